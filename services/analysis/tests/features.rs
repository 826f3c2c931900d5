//! Features against librosa 0.11 and pyloudnorm 0.2, of recordings and of streams.

mod signal;

use std::collections::BTreeMap;

use polyphony_analysis::features::key::Mode;
use polyphony_analysis::features::{Feature, FeatureStream, Matrix, Measured, Settings, measure};
use polyphony_audio::decode::Decoder;
use polyphony_audio::limits::Limits;
use polyphony_audio::pcm::{Encoding, SampleRate, Spec};
use polyphony_inference::Cancel;
use serde::Deserialize;

pub(crate) use signal::signal;

#[derive(Debug, Deserialize)]
struct Case {
    rate: u32,
    seconds: f64,
    quiet: f64,
    fft: usize,
    hop: usize,
    mels: usize,
    mfccs: usize,
    start_bpm: f32,
    count: usize,
    frames: Vec<usize>,
    values: BTreeMap<String, Vec<f64>>,
    tuning: f64,
    mean_chroma: Vec<f64>,
    bpm: f64,
    beats: Vec<u64>,
    loudness: Option<f64>,
}

impl Case {
    /// All, small enough for a test.
    fn all() -> Vec<Self> {
        serde_json::from_str(include_str!("features/golden.json")).expect("golden.json")
    }

    fn settings(&self) -> Settings {
        let mut features = Feature::ALL.to_vec();
        features.retain(|feature| *feature != Feature::SpectralContrast || self.rate > 12_800);
        Settings {
            rate: SampleRate::new(self.rate).expect("a rate"),
            fft_size: self.fft,
            hop: self.hop,
            mels: self.mels,
            mfccs: self.mfccs,
            start_bpm: self.start_bpm,
            ..Settings::new(features).expect("a rate")
        }
    }

    fn samples(&self) -> Vec<f32> {
        signal(self.rate, self.seconds, self.quiet)
    }

    fn name(&self) -> String {
        format!("{} Hz, {}/{}", self.rate, self.fft, self.hop)
    }
}

/// Raw samples of one channel, as a request brings them.
fn bytes(samples: &[f32]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

fn whole(samples: &[f32], settings: &Settings) -> Measured {
    let (bytes, limits) = (bytes(samples), Limits::default());
    let spec = Spec::new(settings.rate.hz(), 1).expect("valid");
    let open = || Decoder::open_raw(&bytes, Encoding::F32, spec, &limits);
    measure(open, settings, u64::MAX, &Cancel::default()).expect("measured")
}

fn matrix(matrices: &[Matrix], feature: Feature) -> &Matrix {
    matrices
        .iter()
        .find(|matrix| matrix.feature == feature)
        .unwrap_or_else(|| panic!("no {feature:?}"))
}

/// The most that values may differ, in units of their own.
fn tolerance(name: &str, values: &[f64]) -> f64 {
    let greatest = values.iter().fold(0.0f64, |most, value| most.max(value.abs()));
    match name {
        // Decibels, and the cepstra of decibels, of librosa's f32 spectra.
        "OnsetStrength" | "SpectralContrast" => 1e-4,
        "Mfcc" => 5e-4,
        "SpectralFlatness" => 5e-6,
        "Chroma" => 2e-6,
        "ZeroCrossingRate" => 1e-8,
        _ => 1e-6 * greatest,
    }
}

#[test]
fn every_feature_of_a_recording_is_librosas() {
    for case in Case::all() {
        let settings = case.settings();
        settings.check().expect("settings");
        let found = whole(&case.samples(), &settings);
        for (name, expected) in &case.values {
            let feature = Feature::ALL
                .into_iter()
                .find(|feature| format!("{feature:?}") == *name)
                .expect("a feature");
            let matrix = matrix(&found.matrices, feature);
            assert_eq!(matrix.values.len(), matrix.rows * case.count, "{name}");
            let wanted = expected.chunks_exact(matrix.rows);
            let most = tolerance(name, expected);
            let mut worst = 0.0f64;
            for (frame, wanted) in case.frames.iter().zip(wanted) {
                let row = &matrix.values[frame * matrix.rows..(frame + 1) * matrix.rows];
                for (value, wanted) in row.iter().zip(wanted) {
                    worst = worst.max((f64::from(*value) - wanted).abs());
                }
            }
            assert!(worst <= most, "{}: {name} is {worst} off", case.name());
        }
    }
}

#[test]
fn what_belongs_to_the_whole_is_librosas_and_pyloudnorms() {
    for case in Case::all() {
        let found = whole(&case.samples(), &case.settings());
        let name = case.name();
        let tuning = found.tuning.expect("a tuning");
        assert!((tuning - case.tuning).abs() < 1e-9, "{name}: {tuning}");
        let tempo = found.tempo.expect("a tempo");
        assert!((tempo.bpm - case.bpm).abs() < 1e-9, "{name}: {}", tempo.bpm);
        assert_eq!(tempo.beats, case.beats, "{name}");
        assert!((0.0..=1.0).contains(&tempo.confidence), "{name}");
        let loudness = found.loudness.expect("loudness").integrated_lufs.map(f64::from);
        match case.loudness {
            // pyloudnorm rounds the ends of its blocks to samples, and its gate is not at the same blocks.
            Some(expected) => assert!(
                (loudness.expect("sound") - expected).abs() < 0.05,
                "{name}: {loudness:?}"
            ),
            None => assert_eq!(loudness, None, "{name}"),
        }
        let mean = |row: usize| {
            let matrix = matrix(&found.matrices, Feature::Chroma);
            let rows = matrix.values.chunks_exact(matrix.rows);
            rows.map(|frame| f64::from(frame[row])).sum::<f64>() / case.count as f64
        };
        for (row, expected) in case.mean_chroma.iter().enumerate() {
            assert!((mean(row) - expected).abs() < 1e-6, "{name}: {row}");
        }
    }
}

#[test]
fn the_key_of_a_progression_in_d_is_d() {
    let case = &Case::all()[0];
    let settings = Settings {
        features: vec![Feature::Key],
        ..case.settings()
    };
    let key = whole(&case.samples(), &settings).key.expect("a key");
    assert_eq!((key.tonic, key.mode), (2, Mode::Major));
    assert!(key.correlation > 0.6, "{key:?}");
}

/// A stream in pieces of these sizes, in turn: all matrices put together, and what was told at the end.
fn streamed(samples: &[f32], settings: &Settings, cuts: &[usize]) -> Measured {
    let mut stream = FeatureStream::new(settings).expect("settings");
    let mut matrices: Vec<Matrix> = Vec::new();
    let mut join = |pieces: Vec<Matrix>| {
        for piece in pieces {
            match matrices.iter_mut().find(|matrix| matrix.feature == piece.feature) {
                Some(matrix) => {
                    assert_eq!(piece.first as usize, matrix.values.len() / matrix.rows);
                    matrix.values.extend(piece.values);
                }
                None => matrices.push(piece),
            }
        }
    };
    let mut rest = samples;
    for cut in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, later) = rest.split_at((*cut).min(rest.len()));
        join(stream.push(piece).expect("frames"));
        rest = later;
    }
    let (whole, tuning) = stream.finish(&Cancel::default()).expect("the end");
    join(whole.matrices);
    let place = |feature| settings.features.iter().position(|wanted| *wanted == feature);
    matrices.sort_by_key(|matrix| place(matrix.feature));
    Measured {
        tempo: whole.tempo,
        key: whole.key,
        matrices,
        tuning,
        ..Measured::default()
    }
}

/// Loudness is measured beside the stream, in the recording's own rate.
fn without_loudness(mut settings: Settings) -> Settings {
    settings.features.retain(|feature| *feature != Feature::Loudness);
    settings
}

#[test]
fn cuts_do_not_change_a_stream() {
    let case = &Case::all()[3];
    let settings = without_loudness(case.settings());
    let samples = case.samples();
    let at_once = streamed(&samples, &settings, &[samples.len()]);
    for cuts in [&[1, 700, 3][..], &[4_096], &[127, 9_999]] {
        assert_eq!(streamed(&samples, &settings, cuts), at_once, "{cuts:?}");
    }
}

#[test]
fn a_stream_has_the_frames_of_the_recording_once_its_loudest_has_been_heard() {
    for case in Case::all() {
        let settings = without_loudness(case.settings());
        let samples = case.samples();
        let (stream, recording) = (
            streamed(&samples, &settings, &[1_000]),
            whole(&samples, &settings),
        );
        assert_eq!(stream.tuning, recording.tuning);
        assert_eq!(stream.key, recording.key);
        let mel = matrix(&recording.matrices, Feature::MelSpectrogram);
        let loudness = |frame: usize| {
            let row = &mel.values[frame * mel.rows..(frame + 1) * mel.rows];
            row.iter().copied().fold(0.0, f32::max)
        };
        let loudest = (0..case.count)
            .max_by(|a, b| loudness(*a).total_cmp(&loudness(*b)))
            .expect("frames");
        for (streamed, expected) in stream.matrices.iter().zip(&recording.matrices) {
            assert_eq!(
                (streamed.feature, streamed.rows),
                (expected.feature, expected.rows)
            );
            let from = match streamed.feature {
                Feature::Mfcc => loudest,
                Feature::OnsetStrength => loudest + 1 + case.fft / (2 * case.hop),
                // Its peaks and valleys are not the mel bands'; the loudest of them are within the first chords.
                Feature::SpectralContrast => case.count * 3 / 4,
                _ => 0,
            };
            assert_eq!(streamed.values.len(), expected.values.len());
            let from = (from * streamed.rows).min(streamed.values.len());
            assert_eq!(
                streamed.values[from..],
                expected.values[from..],
                "{}: {:?}",
                case.name(),
                streamed.feature
            );
        }
    }
}

#[test]
fn a_long_stream_follows_the_tuning_of_its_first_half_minute() {
    let settings = Settings {
        rate: SampleRate::new(8_000).expect("a rate"),
        fft_size: 512,
        hop: 512,
        ..Settings::new(vec![Feature::Rms, Feature::Chroma]).expect("a rate")
    };
    let mut samples = signal(8_000, 30.0, 0.0);
    let first = whole(&samples, &settings);
    // What comes later is in tune, which does not matter any more.
    samples.extend((0..16_000).map(|n| (std::f32::consts::TAU * 440.0 * n as f32 / 8_000.0).sin()));
    let stream = streamed(&samples, &settings, &[3_333]);
    assert_eq!(stream.tuning, first.tuning);
    let (streamed, expected) = (&stream.matrices[1], &first.matrices[1]);
    assert_eq!(streamed.values.len(), 12 * (1 + samples.len() / 512));
    // All frames but the last hear nothing of what came later.
    let same = expected.values.len() - 12;
    assert_eq!(streamed.values[..same], expected.values[..same]);
    let given = Settings {
        tuning: Some(0.0),
        ..settings
    };
    let mut prompt = FeatureStream::new(&given).expect("settings");
    let matrices = prompt.push(&samples[..8_000]).expect("frames");
    assert_eq!(matrices.len(), 2, "with the tuning given nothing is held back");
}

#[test]
fn a_summary_is_of_the_frames_that_would_have_come() {
    let case = &Case::all()[1];
    let settings = without_loudness(case.settings());
    let samples = case.samples();
    let frames = whole(&samples, &settings);
    let summary = Settings {
        summary: true,
        ..settings
    };
    let (recorded, streamed) = (whole(&samples, &summary), streamed(&samples, &summary, &[999]));
    assert_eq!(recorded.matrices.len(), frames.matrices.len());
    for ((recorded, streamed), frames) in recorded
        .matrices
        .iter()
        .zip(&streamed.matrices)
        .zip(&frames.matrices)
    {
        assert_eq!(recorded.values.len(), 2 * frames.rows);
        assert_eq!((streamed.first, streamed.values.len()), (0, 2 * frames.rows));
        let count = (frames.values.len() / frames.rows) as f64;
        for row in 0..frames.rows {
            let values = || {
                frames
                    .values
                    .iter()
                    .skip(row)
                    .step_by(frames.rows)
                    .map(|value| f64::from(*value))
            };
            let mean = values().sum::<f64>() / count;
            let deviation = (values().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
            let near = |found: f32, expected: f64| {
                (f64::from(found) - expected).abs() <= 1e-5 * (1.0 + expected.abs())
            };
            assert!(near(recorded.values[row], mean), "{:?}", frames.feature);
            assert!(
                near(recorded.values[frames.rows + row], deviation),
                "{:?}",
                frames.feature
            );
        }
    }
}

#[test]
fn an_answer_that_would_not_fit_is_refused_while_it_is_made() {
    let case = &Case::all()[1];
    let settings = without_loudness(case.settings());
    let (bytes, limits) = (bytes(&case.samples()), Limits::default());
    let spec = Spec::new(case.rate, 1).expect("valid");
    let open = || Decoder::open_raw(&bytes, Encoding::F32, spec, &limits);
    let needed = (case.count * settings.width()) as u64;
    measure(open, &settings, needed, &Cancel::default()).expect("just fits");
    let refused = measure(open, &settings, needed - 1, &Cancel::default()).expect_err("does not fit");
    assert!(
        format!("{refused:?}").contains("FEATURES_TOO_LARGE"),
        "{refused:?}"
    );
}
