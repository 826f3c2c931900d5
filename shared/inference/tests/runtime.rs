//! The real library and the real voice activity model, both from their wheels.
//!
//! They are installed by the set-up; without them these tests fail and say how to get them.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use polyphony_config::{Layers, Sources};
use polyphony_inference::silero::{CHUNK, Silero};
use polyphony_inference::{
    Device, DeviceChoice, Error, Graph, InferenceConfig, Loaded, Runtime, SessionPool, SessionSettings,
    TensorRt,
};

fn config() -> InferenceConfig {
    let sources = Sources {
        search: Vec::new(),
        ..Sources::of_process(None, Vec::new())
    };
    Layers::load(sources)
        .expect("environment")
        .section("inference")
        .expect("[inference]")
}

fn loaded() -> &'static Loaded {
    Runtime::new(&config())
        .get()
        .unwrap_or_else(|error| panic!("{error}"))
}

/// The model in the silero-vad wheel, beside the wheel of ONNX Runtime.
fn silero_file() -> PathBuf {
    let capi = loaded().path().parent().expect("a folder");
    let packages = capi.parent().and_then(Path::parent).expect("site-packages");
    let file = packages.join("silero_vad/data/silero_vad.onnx");
    assert!(
        file.is_file(),
        "{} is missing; `pip install --no-deps silero-vad==6.2.3` into the environment of `inference.wheel_dirs`",
        file.display()
    );
    file
}

fn one() -> NonZeroUsize {
    NonZeroUsize::MIN
}

#[test]
fn the_library_tells_its_version() {
    let version = loaded().version();
    assert!(version.starts_with("1."), "{version}");
}

#[test]
fn a_gpu_that_is_not_there_is_refused_and_auto_goes_without() {
    if polyphony_inference::gpu::list().is_ok() {
        return; // A machine with a GPU has other truths; the decision itself is tested beside its code.
    }
    let error = DeviceChoice::Only(Device::Cuda(0))
        .place(loaded())
        .expect_err("no GPU");
    assert!(matches!(error, Error::DeviceUnavailable { .. }), "{error}");
    let placement = DeviceChoice::Auto.place(loaded()).expect("the processor");
    assert_eq!(placement.device, Device::Cpu);
    assert!(placement.fallback.is_some());
}

#[test]
fn silence_is_not_speech_and_streams_do_not_mix() {
    let silero = Silero::open(loaded(), &silero_file(), one()).expect("model");
    let mut quiet = silero.stream();
    let mut buzzing = silero.stream();
    let mut alone = silero.stream();
    let mut tone = [0.0; CHUNK];
    for step in 0..20_u8 {
        for (i, sample) in tone.iter_mut().enumerate() {
            let t = (usize::from(step) * CHUNK + i) as f32 / 16_000.0;
            *sample = 0.3 * (2.0 * std::f32::consts::PI * 140.0 * t).sin().powi(5);
        }
        let silence = quiet.push(&[0.0; CHUNK]).expect("run");
        let mixed = buzzing.push(&tone).expect("run");
        let single = alone.push(&tone).expect("run");
        assert!(silence < 0.1, "{silence} at {step}");
        assert!(
            (mixed - single).abs() < f32::EPSILON,
            "{mixed} and {single} at {step}"
        );
    }
    buzzing.reset();
    assert!(buzzing.push(&[0.0; CHUNK]).expect("run") < 0.1);
}

#[test]
fn a_session_comes_back_when_its_lease_ends() {
    let settings = SessionSettings {
        device: Device::Cpu,
        threads: one(),
        fixed_shapes: true,
    };
    let pool = SessionPool::open(loaded(), &silero_file(), settings, one()).expect("model");
    let lease = pool.lease();
    let refused = pool
        .lease_unless(|| true)
        .expect_err("nobody waits for a session that nobody wants");
    assert!(matches!(refused, Error::Cancelled));
    let waiting = {
        let pool = pool.clone();
        std::thread::spawn(move || pool.lease_unless(|| false).expect("a session").inputs().len())
    };
    drop(lease);
    assert_eq!(waiting.join().expect("thread"), pool.inputs().len());
}

#[test]
fn what_is_not_a_model_is_refused_with_its_path() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("model.onnx");
    std::fs::write(&path, b"hello").expect("file");
    let error = Silero::open(loaded(), &path, one()).expect_err("not a model");
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
}

#[test]
fn a_graph_is_opened_from_bytes_in_place_of_its_file() {
    let settings = SessionSettings {
        device: Device::Cpu,
        threads: one(),
        fixed_shapes: true,
    };
    let bytes = std::fs::read(silero_file()).expect("file");
    let graph = Graph {
        path: Path::new("no/such/file.onnx"),
        bytes: Some(&bytes),
        tensor_rt: None,
    };
    let pool = SessionPool::open_graph(loaded(), graph, settings, one()).expect("model");
    assert!(pool.inputs().iter().any(|input| input.name == "input"));
    assert_eq!(pool.path(), graph.path);
}

#[test]
fn tensorrt_is_never_quietly_something_else() {
    let settings = SessionSettings {
        device: Device::Cpu,
        threads: one(),
        fixed_shapes: true,
    };
    let tensor_rt = TensorRt {
        cache: std::env::temp_dir(),
        fp16: false,
        least: String::new(),
        usual: String::new(),
        most: String::new(),
    };
    let file = silero_file();
    let graph = Graph {
        path: &file,
        bytes: None,
        tensor_rt: Some(&tensor_rt),
    };
    let error = SessionPool::open_graph(loaded(), graph, settings, one()).expect_err("the processor");
    assert!(matches!(error, Error::DeviceUnavailable { .. }), "{error}");
}
