//! Parity: the samples of torch from the same ids and weights, and the ids of piper-tts from the same text.
//!
//! The voices are those of `tests/fixtures/make_tiny_voices.py`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use polyphony_inference::Device;
use serde::Deserialize;

use super::*;
use crate::engine::golden;

#[derive(Deserialize)]
struct Audio {
    ids: Vec<i64>,
    length: f32,
    speaker: Option<i64>,
    samples: Vec<f32>,
}

#[derive(Deserialize)]
struct Read {
    voice: String,
    text: String,
    sentences: Vec<String>,
    ids: Vec<Vec<i64>>,
}

fn fixture(name: &str) -> PathBuf {
    golden::fixture("voices").join(name)
}

fn network(path: &Path, sessions: usize) -> Network {
    let width = (NonZeroUsize::new(sessions).expect("sessions"), NonZeroUsize::MIN);
    Network::open(golden::loaded(), path, Device::Cpu, width).expect("a voice")
}

fn run(network: &Network, input: &Input<'_>) -> (Option<Vec<usize>>, Vec<f32>, usize) {
    let (mut ends, mut samples, mut pieces) = (None, Vec::new(), 0);
    let mut take = |output: Output| match output {
        Output::Ends(told) => ends = told,
        Output::Audio(audio) => {
            pieces += 1;
            samples.extend(audio);
        }
    };
    network.run(input, &Cancel::default(), &mut take).expect("audio");
    (ends, samples, pieces)
}

/// A graph that cannot be cut: it rounds up twice.
fn uncut(folder: &Path) -> PathBuf {
    let mut model = std::fs::read(fixture("one/voice.onnx")).expect("a voice");
    // Messages that are there twice are merged: one node more.
    let node = [&[0x0A, 6][..], b"scales", &[0x12, 1], b"x", &[0x22, 4], b"Ceil"].concat();
    let graph = [&[0x0A, node.len() as u8][..], &node].concat();
    model.extend([0x3A, graph.len() as u8]);
    model.extend(graph);
    let path = folder.join("voice.onnx");
    std::fs::write(&path, model).expect("a file");
    path
}

#[test]
fn samples_are_those_of_torch_in_windows_and_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = uncut(folder.path());
    for (path, goldens, parted) in [
        (fixture("one/voice.onnx"), "one/audio.json", true),
        (fixture("many/voice.onnx"), "many/audio.json", true),
        (whole, "one/audio.json", false),
    ] {
        for sessions in [1, 3] {
            let network = network(&path, sessions);
            assert_eq!(network.is_parted(), parted);
            for golden in golden::read::<Vec<Audio>>(&fixture(goldens)) {
                let input = Input {
                    ids: &golden.ids,
                    speaker: golden.speaker,
                    noise: 0.0,
                    length: golden.length,
                    duration_noise: 0.0,
                    seed: None,
                };
                let (ends, samples, pieces) = run(&network, &input);
                assert_eq!(samples.len(), golden.samples.len());
                let far = samples
                    .iter()
                    .zip(&golden.samples)
                    .map(|(one, other)| (one - other).abs());
                let far = far.fold(0.0, f32::max);
                assert!(far < 1e-4, "{} {sessions}: {far}", path.display());
                if parted {
                    let ends = ends.expect("durations");
                    assert_eq!(ends.len(), golden.ids.len());
                    assert_eq!(ends.last(), Some(&samples.len()));
                    assert!(pieces > 1 || samples.len() <= 24 * 16, "{pieces} pieces");
                }
            }
        }
    }
}

#[test]
fn a_long_sentence_is_the_same_in_windows_and_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = network(&uncut(folder.path()), 1);
    let ids: Vec<i64> = (0..801)
        .map(|at| if at % 2 == 0 { 0 } else { 3 + at * 7 % 140 })
        .collect();
    let input = Input {
        ids: &ids,
        speaker: None,
        noise: 0.0,
        length: 1.3,
        duration_noise: 0.0,
        seed: None,
    };
    let (_, wanted, _) = run(&whole, &input);
    for sessions in [1, 2, 4] {
        let (_, samples, pieces) = run(&network(&fixture("one/voice.onnx"), sessions), &input);
        assert_eq!(samples.len(), wanted.len());
        assert!(pieces > 6, "{pieces} windows");
        let far = samples
            .iter()
            .zip(&wanted)
            .map(|(one, other)| (one - other).abs());
        let far = far.fold(0.0, f32::max);
        assert!(far < 1e-4, "{sessions}: {far}");
    }
}

#[test]
fn chance_can_be_repeated() {
    let network = network(&fixture("one/voice.onnx"), 2);
    assert!(!network.is_random() && network.tells_durations());
    let with = |seed| {
        let input = Input {
            ids: &[1, 0, 20, 0, 30, 0, 40, 0, 2],
            speaker: None,
            noise: 0.667,
            length: 1.0,
            duration_noise: 0.8,
            seed,
        };
        run(&network, &input).1
    };
    assert_eq!(with(Some(1)), with(Some(1)));
    assert_ne!(with(Some(1)), with(Some(2)));
    assert_ne!(with(None), with(None));
}

#[test]
fn phones_and_ids_are_those_of_piper_tts() {
    let espeak = golden::espeak();
    let settings = Settings::read(&fixture("one/voice.onnx.json")).expect("settings");
    let goldens: Vec<Read> = golden::read(&fixture("ids.json"));
    assert!(goldens.len() > 20);
    for golden in goldens {
        let voice = espeak.voice(&golden.voice).expect("a voice of espeak-ng");
        for times in [false, true] {
            let wanted = Wanted {
                voice: &voice,
                tie: None,
                times,
            };
            let script = Script::plain(golden.text.as_str(), 0);
            let spoken = phonemes::of(&espeak, &script, wanted, &Cancel::default()).expect("phones");
            let sentences: Vec<String> = spoken
                .sentences
                .iter()
                .map(|sentence| sentence.iter().map(|symbol| symbol.character).collect())
                .collect();
            let normal = icu_normalizer::DecomposingNormalizer::new_nfd();
            let sentences: Vec<String> = sentences
                .iter()
                .map(|sentence| normal.normalize(sentence).into_owned())
                .collect();
            assert_eq!(sentences, golden.sentences, "{}: {}", golden.voice, golden.text);
            let ids: Vec<Vec<i64>> = spoken
                .sentences
                .iter()
                .map(|sentence| Ids::of(sentence, &settings).ids)
                .collect();
            assert_eq!(ids, golden.ids, "{}: {}", golden.voice, golden.text);
            let unplaced = |symbol: &&Symbol| phonemes::is_letter(symbol.character) && symbol.phone.is_none();
            let letters = spoken.sentences.iter().flatten();
            assert!(!times || letters.filter(unplaced).count() == 0, "{}", golden.text);
        }
    }
}

#[test]
fn a_file_that_is_no_voice_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("voice.onnx");
    for bytes in [&b"not a model"[..], &[]] {
        std::fs::write(&path, bytes).expect("a file");
        assert!(
            Network::open(
                golden::loaded(),
                &path,
                Device::Cpu,
                (NonZeroUsize::MIN, NonZeroUsize::MIN)
            )
            .is_err()
        );
    }
}
