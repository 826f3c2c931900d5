//! The keys of the recogniser: `[asr]`, and the sections it shares with the rest of the mesh, `[models]`, `[inference]` and
//! `[jobs]`.

use polyphony_chassis::Checks;
use polyphony_chassis::config::ServerConfig;
use polyphony_chassis::places::or_each_core;
use polyphony_config::{HumanDuration, Layers};
use polyphony_inference::InferenceConfig;
use polyphony_jobs::JobsConfig;
use polyphony_models::ModelsConfig;
use serde::{Deserialize, Serialize};

/// All that a recogniser is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where and how it is served. Default: 127.0.0.1:7001, admin 127.0.0.1:8001.
    pub server: ServerConfig,
    /// "auto" takes the best model on disk; "whisper" or "pocketsphinx" only models of that engine. Default: "auto".
    pub engine: EngineChoice,
    /// The model for requests that name none, as "onnx-community/whisper-base.en". Empty, the default: the best.
    pub model: String,
    /// Load the default model before the first request, and be ready only then. Default: false, which keeps an idle
    /// process small.
    pub preload: bool,
    /// Streams at once; one more is refused when it opens. 0, the default: four for each core.
    pub max_streams: usize,
    /// Recordings recognised at once. 0, the default: one for each core.
    pub workers: usize,
    /// Recordings that wait for a worker; one more is refused. Default: 64.
    pub max_queue: usize,
    /// A stream whose client has sent nothing for so long is ended. Default: 60 s.
    pub stream_idle: HumanDuration,
    /// The longest stream, in audio. "0", the default: no limit.
    pub max_stream_duration: HumanDuration,
    /// The longest recording of `Recognize`. Default: 10 min.
    pub max_recognize_duration: HumanDuration,
    /// The longest recording of `BatchRecognize`. Default: 4 h.
    pub max_batch_duration: HumanDuration,
    /// Batches that are kept, waiting, running or done; one more is refused. Each holds its recordings on the disk until it
    /// is done, so this times the largest message is what they may take. Default: 64.
    pub max_operations: usize,
    /// How long a batch is kept after it is done. Default: 1 h.
    pub operation_retention: HumanDuration,
    /// `[models]`: where models lie.
    #[serde(skip)]
    pub models: ModelsConfig,
    /// `[inference]`: where ONNX Runtime lies, and which device runs it.
    #[serde(skip)]
    pub inference: InferenceConfig,
    /// `[jobs]`: where batches are kept.
    #[serde(skip)]
    pub jobs: JobsConfig,
}

/// Which engines may serve.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineChoice {
    /// All; the best whose model is on disk serves by default.
    #[default]
    Auto,
    /// Whisper alone.
    Whisper,
    /// CMU Sphinx alone.
    PocketSphinx,
}

// === impl Config ===

impl Config {
    /// Reads the four sections.
    ///
    /// # Errors
    /// The first key that is unknown or whose value cannot be used.
    pub fn read(layers: &Layers) -> Result<Self, polyphony_config::Error> {
        let mut config: Self = layers.section("asr")?;
        config.models = layers.section("models")?;
        config.inference = layers.section("inference")?;
        config.jobs = JobsConfig::read(layers)?;
        config.check(layers)?;
        Ok(config)
    }

    /// Rules that types cannot express.
    ///
    /// # Errors
    /// The first key whose value cannot be used.
    pub fn check(&self, layers: &Layers) -> Result<(), polyphony_config::Error> {
        let checks = Checks::of(layers, "asr");
        checks.model("model", &self.model, "onnx-community/whisper-base.en")?;
        checks.seconds([
            ("stream_idle", self.stream_idle),
            ("max_recognize_duration", self.max_recognize_duration),
            ("max_batch_duration", self.max_batch_duration),
            ("operation_retention", self.operation_retention),
        ])?;
        checks.threads(self.streams(), self.workers())?;
        checks.positive("max_operations", self.max_operations)
    }

    /// Streams at once.
    pub fn streams(&self) -> usize {
        or_each_core(self.max_streams, 4)
    }

    /// Recordings at once.
    pub fn workers(&self) -> usize {
        or_each_core(self.workers, 1)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server: ServerConfig::default(),
            engine: EngineChoice::Auto,
            model: String::new(),
            preload: false,
            max_streams: 0,
            workers: 0,
            max_queue: 64,
            stream_idle: HumanDuration::from_secs(60),
            max_stream_duration: HumanDuration::default(),
            max_recognize_duration: HumanDuration::from_secs(600),
            max_batch_duration: HumanDuration::from_secs(4 * 3600),
            max_operations: 64,
            operation_retention: HumanDuration::from_secs(3600),
            models: ModelsConfig::default(),
            inference: InferenceConfig::default(),
            jobs: JobsConfig::default(),
        }
    }
}
