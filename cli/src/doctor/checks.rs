//! The checks, each a question to the code that a service would ask.

use polyphony_error::chain;
use polyphony_inference::{InferenceConfig, Runtime, gpu};
use polyphony_models::{ModelsConfig, Presence, Store};

use super::{Finding, matrix};

/// What every machine has a model for after `make up`.
const EMBEDDED: [(&str, &str); 6] = [
    ("vad", "voice activity"),
    ("align", "alignment"),
    ("diar", "diarization"),
    ("tts", "speech synthesis"),
    ("ocr", "text recognition"),
    ("pitch", "pitch"),
];

/// Every check, in the order in which a person would mend things.
pub(super) fn all(inference: &InferenceConfig, models: &ModelsConfig, worker: &str) -> Vec<Finding> {
    let mut findings = vec![onnx_runtime(inference), pocketsphinx()];
    findings.extend(gpus());
    findings.push(video_worker(worker));
    findings.extend(stored(models));
    findings
}

fn onnx_runtime(config: &InferenceConfig) -> Finding {
    const WHAT: &str = "ONNX Runtime";
    match Runtime::new(config).get() {
        Ok(loaded) if matrix::fits_onnx_runtime(loaded.version()) => Finding::good(
            WHAT,
            format!("{} ({})", loaded.version(), loaded.path().display()),
        ),
        Ok(loaded) => Finding::missing(
            WHAT,
            format!(
                "{} ({}) is outside of what this build was run with",
                loaded.version(),
                loaded.path().display()
            ),
            "install 1.20 to 1.31, or name one with inference.onnxruntime",
        ),
        Err(error) => Finding::missing(
            WHAT,
            chain(&error).to_string(),
            "make up, or pip install onnxruntime==1.31.1",
        ),
    }
}

fn pocketsphinx() -> Finding {
    const WHAT: &str = "libpocketsphinx";
    match polyphony_asr::engine::pocketsphinx::probe() {
        Ok(()) => Finding::good(WHAT, "opens; the embedded recogniser can run"),
        Err(error) => Finding::missing(
            WHAT,
            chain(&error).to_string(),
            "apt-get install libpocketsphinx3 pocketsphinx-en-us",
        ),
    }
}

fn gpus() -> Vec<Finding> {
    const WHAT: &str = "GPU";
    let gpus = match gpu::list() {
        Ok(gpus) => gpus,
        Err(error @ gpu::NoGpu::NoDriver) => {
            return vec![Finding::optional(WHAT, error.to_string(), "")];
        }
        Err(error) => {
            let remedy = "nvidia-smi says more; reboot after a driver update";
            return vec![Finding::optional(WHAT, chain(&error).to_string(), remedy)];
        }
    };
    let (major, minor) = gpus.cuda;
    let driver = match matrix::newest_cuda(&gpus.driver) {
        Some(cuda) => Finding::good(
            "NVIDIA driver",
            format!(
                "{} (CUDA up to {major}.{minor}; libraries for CUDA {cuda} fit)",
                gpus.driver
            ),
        ),
        None => Finding::optional(
            "NVIDIA driver",
            format!("{} is too old for CUDA 12", gpus.driver),
            "install driver 525.60.13 or later",
        ),
    };
    let cards = gpus.devices.iter().map(|gpu| {
        let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
        let (major, minor) = gpu.compute;
        let found = format!(
            "{}, {:.1} of {:.1} GiB free, compute {major}.{minor}",
            gpu.name,
            gib(gpu.memory_free),
            gib(gpu.memory_total)
        );
        Finding::good(format!("GPU {}", gpu.index), found)
    });
    std::iter::once(driver).chain(cards).collect()
}

/// The program that makes videos, which alone needs LibTorch.
fn video_worker(configured: &str) -> Finding {
    const WHAT: &str = "video worker";
    match polyphony_video_gen::engine::program::find(configured) {
        Ok(path) => Finding::good(WHAT, path.display().to_string()),
        Err(error) => {
            let found = format!("{error}; nothing but new videos needs it");
            Finding::optional(WHAT, found, "make video")
        }
    }
}

/// What is on disk, verified byte by byte against its digests.
fn stored(config: &ModelsConfig) -> Vec<Finding> {
    let opened = Store::open(config, |name| std::env::var_os(name));
    let (store, list) = match opened.and_then(|store| store.list().map(|list| (store, list))) {
        Ok(opened) => opened,
        Err(error) => {
            return vec![Finding::missing(
                "model store",
                chain(&error).to_string(),
                "mend models.dir",
            )];
        }
    };
    let present = list
        .iter()
        .filter(|listing| matches!(listing.presence, Presence::OnDisk { .. } | Presence::Damaged(_)));
    let mut findings: Vec<_> = present
        .map(|listing| {
            let what = format!("model {}", listing.model);
            match store.verify(&listing.model) {
                Ok(installed) => Finding::good(what, format!("verified, sha256:{}", installed.digest)),
                Err(error) => Finding::missing(
                    what,
                    chain(&error).to_string(),
                    format!("polyphony models pull {}", listing.model.id),
                ),
            }
        })
        .collect();
    let has = |task: &str| {
        list.iter()
            .any(|l| l.task == task && matches!(l.presence, Presence::OnDisk { .. }))
    };
    for (task, what) in EMBEDDED {
        if !has(task) {
            let remedy = "make up installs the embedded one";
            findings.push(Finding::missing(what, "no model on disk", remedy));
        }
    }
    let neural = list.iter().any(|l| {
        l.task == "asr" && l.engine != "pocketsphinx" && matches!(l.presence, Presence::OnDisk { .. })
    });
    if !neural {
        findings.push(Finding::optional(
            "neural recogniser",
            "none on disk; pocketsphinx stands in and says so",
            "polyphony models pull onnx-community/whisper-base.en",
        ));
    }
    findings
}
