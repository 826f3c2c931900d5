//! Parity: the samples and durations of torch from the same ids, style and weights, and misaki's phones of the same text.
//!
//! The model is that of `tests/fixtures/make_tiny_kokoro.py`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use polyphony_inference::Device;
use serde::Deserialize;

use super::*;
use crate::domain::Script;
use crate::engine::golden;
use crate::engine::graph::Graph;

#[derive(Deserialize)]
struct Audio {
    ids: Vec<i64>,
    voice: String,
    speed: f32,
    durations: Vec<f32>,
    samples: Vec<f32>,
}

#[derive(Deserialize)]
struct Read {
    language: String,
    text: String,
    phones: String,
}

fn fixture(name: &str) -> PathBuf {
    golden::fixture("kokoro").join(name)
}

fn network(path: &Path) -> Network {
    Network::open(
        golden::loaded(),
        path,
        Device::Cpu,
        (NonZeroUsize::MIN, NonZeroUsize::MIN),
    )
    .expect("a model")
}

/// The style of a voice for so many ids, as the script makes it.
fn style(voice: &str, row: usize) -> Vec<f32> {
    let names = ["af_one", "am_two", "bf_three"];
    let number = names.iter().position(|name| *name == voice).expect("a voice");
    let at = (row * 256..(row + 1) * 256).map(|at| (at * 7_919 + (number + 1) * 104_729) % 2_001);
    at.map(|value| value as f32 / 1_000.0 - 1.0).collect()
}

/// The graph with a message more in it, which protobuf merges.
fn with(folder: &Path, more: &[u8]) -> PathBuf {
    let mut model = std::fs::read(fixture("onnx/model.onnx")).expect("a model");
    model.extend([0x3A, more.len() as u8]);
    model.extend(more);
    let path = folder.join("model.onnx");
    std::fs::write(&path, model).expect("a file");
    path
}

#[test]
fn samples_and_durations_are_those_of_torch() {
    let folder = tempfile::tempdir().expect("a folder");
    // An export that gives durations, and one in which two things are rounded, so that it is not known which they are.
    let given = [&[0x62, 10, 0x0A, 8][..], b"pred_dur"].concat();
    let node = [&[0x0A, 5][..], b"speed", &[0x12, 1], b"x", &[0x22, 5], b"Round"].concat();
    let unknown = [&[0x0A, node.len() as u8][..], &node].concat();
    for (name, more, tells) in [
        ("hidden", None, true),
        ("given", Some(given), true),
        ("unknown", Some(unknown), false),
    ] {
        let path = more.map_or_else(|| fixture("onnx/model.onnx"), |more| with(folder.path(), &more));
        let network = network(&path);
        assert_eq!(network.speeds(), 0.5..=2.0);
        for golden in golden::read::<Vec<Audio>>(&fixture("audio.json")) {
            let ids = [&[0][..], &golden.ids, &[0]].concat();
            let row = style(&golden.voice, golden.ids.len());
            let made = network
                .run(&ids, row, golden.speed, &Cancel::default())
                .expect("audio");
            assert_eq!(made.samples.len(), golden.samples.len());
            let far = made
                .samples
                .iter()
                .zip(&golden.samples)
                .map(|(one, other)| (one - other).abs());
            let far = far.fold(0.0, f32::max);
            assert!(far <= 1e-4, "{name}: {far}");
            assert_eq!(made.durations, tells.then_some(golden.durations), "{name}");
        }
    }
}

#[test]
fn durations_are_found_by_what_is_rounded() {
    let model = std::fs::read(fixture("onnx/model.onnx")).expect("a model");
    let graph = Graph::outline(&model).expect("a graph");
    let tensor = durations::tensor(&graph).expect("durations");
    assert!(graph.leads_to(tensor, "pred_dur"));
    assert_eq!(graph.maker(tensor).map(|node| node.kind), Some("Cast"));
}

#[test]
fn phones_are_those_of_misaki() {
    let espeak = golden::espeak();
    let goldens: Vec<Read> = golden::read(&fixture("phones.json"));
    assert!(goldens.len() > 15);
    for golden in goldens {
        let voice = espeak.voice(&golden.language).expect("a voice of espeak-ng");
        let accent = match golden.language.as_str() {
            "en-us" => Accent::American,
            "en-gb" => Accent::British,
            _ => Accent::Other,
        };
        for times in [false, true] {
            let wanted = Wanted {
                voice: &voice,
                tie: Some(phones::TIE),
                times,
            };
            let script = Script::plain(golden.text.as_str(), 0);
            let spoken = phonemes::of(&espeak, &script, wanted, &Cancel::default()).expect("phones");
            let sentences: Vec<_> = spoken
                .sentences
                .iter()
                .map(|sentence| phones::written(sentence, accent))
                .collect();
            let written: String = sentences
                .iter()
                .flatten()
                .map(|symbol| symbol.character)
                .collect();
            let wanted = match accent {
                // What its rules mean to do.
                Accent::British => golden.phones.replace("Aə", "ɛː").replace("iə", "ɪə"),
                _ => golden.phones.clone(),
            };
            assert_eq!(written, wanted, "{}: {}", golden.language, golden.text);
            let unplaced = |symbol: &&super::phonemes::Symbol| {
                phonemes::is_letter(symbol.character) && symbol.phone.is_none()
            };
            assert!(!times || sentences.iter().flatten().filter(unplaced).count() == 0);
        }
    }
}

#[test]
fn a_file_that_is_no_model_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.onnx");
    let one = (NonZeroUsize::MIN, NonZeroUsize::MIN);
    for bytes in [&b"not a model"[..], &[]] {
        std::fs::write(&path, bytes).expect("a file");
        assert!(Network::open(golden::loaded(), &path, Device::Cpu, one).is_err());
    }
    let piper = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/voices/one/voice.onnx");
    let refused =
        Network::open(golden::loaded(), &piper, Device::Cpu, one).expect_err("another kind of model");
    assert!(refused.to_string().contains("input_ids"), "{refused}");
}
