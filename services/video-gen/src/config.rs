//! The keys of the video service: `[video-gen]`, and the sections it shares with the rest of the mesh, `[models]` and
//! `[jobs]`.

use std::time::Duration;

use polyphony_chassis::Checks;
use polyphony_chassis::config::ServerConfig;
use polyphony_config::{ByteSize, HumanDuration, Layers};
use polyphony_jobs::JobsConfig;
use polyphony_models::ModelsConfig;
use polyphony_video_worker::{catalogue, protocol};
use serde::{Deserialize, Serialize};

/// All that a video service is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where and how it is served. Default: 127.0.0.1:7008, admin 127.0.0.1:8008.
    pub server: ServerConfig,
    /// The program that makes videos. Empty, the default: `polyphony-video-worker` beside this program, else in
    /// `$POLYPHONY_HOME/bin`, else in `$PATH`.
    pub worker: String,
    /// Where it computes: "auto" takes a GPU if there is one. Or "cpu", "cuda", "cuda:1". Default: "auto".
    pub device: String,
    /// The model for requests that name none, as "wan2.1-t2v-1.3b". Empty, the default: the best on disk.
    pub model: String,
    /// How large models of random weights are. Default: "toy".
    pub dummy_size: DummySize,
    /// What a video may take of the device's memory. "0", the default: nine tenths of it.
    pub memory_limit: ByteSize,
    /// Whether a model's text encoder leaves the device's memory before a video is denoised, to be loaded again for other
    /// prompts. "auto": where the video does not fit beside it. "always", "never". Default: "auto".
    pub offload_text_encoder: OffloadTextEncoder,
    /// A preview is made every so many steps; 0: none. Default: 5.
    pub preview_every_steps: u32,
    /// Videos that wait; one more is refused. Default: 64.
    pub max_queue: usize,
    /// Videos that are kept, whatever their state; one more is refused. Default: 1,000.
    pub max_operations: usize,
    /// A video during which the service ended so often in a row, without coming farther than before, has failed. Default: 50.
    pub max_interruptions: u32,
    /// How long a video is kept after it is done. "0": until it is deleted. Default: 7 days.
    pub operation_retention: HumanDuration,
    /// Callers that may ask for `PRIORITY_HIGH`, by their DNS names or SPIFFE ids; "anonymous" are those without a
    /// certificate. Default: "anonymous".
    pub high_priority_callers: Vec<String>,
    /// How long the worker may take to start. Default: 2 min.
    pub worker_start: HumanDuration,
    /// A worker that tells nothing for so long while it loads a model or makes a video is taken for hung, and killed.
    /// Default: 30 min.
    pub worker_silence: HumanDuration,
    /// A worker that does not let go for so long after it was told to is killed. Default: 2 min.
    pub cancel_timeout: HumanDuration,
    /// A worker with no model in memory and nothing to do for so long is stopped. Default: 1 min.
    pub worker_idle: HumanDuration,
    /// `[models]`: where models lie, and how long they stay in memory.
    #[serde(skip)]
    pub models: ModelsConfig,
    /// `[jobs]`: where videos and the queue are kept.
    #[serde(skip)]
    pub jobs: JobsConfig,
}

/// Whether a model's text encoder leaves memory before a video is denoised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OffloadTextEncoder {
    /// Where the video does not fit beside it.
    #[default]
    Auto,
    /// Before each video.
    Always,
    /// Never: what does not fit is refused.
    Never,
}

/// How large a model of random weights is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DummySize {
    /// Few and small layers: for a machine without a GPU.
    #[default]
    Toy,
    /// The model's own sizes: for measuring.
    Full,
}

// === impl Config ===

impl Config {
    /// Reads the sections.
    ///
    /// # Errors
    /// The first key that is unknown or whose value cannot be used.
    pub fn read(layers: &Layers) -> Result<Self, polyphony_config::Error> {
        let mut config: Self = layers.section("video-gen")?;
        config.models = layers.section("models")?;
        config.jobs = JobsConfig::read(layers)?;
        config.check(layers)?;
        Ok(config)
    }

    /// Rules that types cannot express.
    ///
    /// # Errors
    /// The first key whose value cannot be used.
    pub fn check(&self, layers: &Layers) -> Result<(), polyphony_config::Error> {
        let checks = Checks::of(layers, "video-gen");
        if !self.model.is_empty()
            && let Err(missing) = catalogue::find(&self.model)
        {
            return Err(checks.invalid("model", missing.to_string()));
        }
        if !is_device(&self.device) {
            return Err(checks.invalid("device", "must be \"auto\", \"cpu\", \"cuda\" or \"cuda:N\""));
        }
        checks.seconds([
            ("worker_start", self.worker_start),
            ("worker_silence", self.worker_silence),
            ("cancel_timeout", self.cancel_timeout),
            ("worker_idle", self.worker_idle),
        ])?;
        checks.positive("max_queue", self.max_queue)?;
        checks.positive("max_operations", self.max_operations)?;
        checks.positive("max_interruptions", self.max_interruptions as usize)
    }

    /// How long a video is kept. None: until it is deleted.
    pub(crate) fn retention(&self) -> Option<Duration> {
        Some(self.operation_retention.get()).filter(|retention| !retention.is_zero())
    }
}

fn is_device(name: &str) -> bool {
    let number = name.strip_prefix("cuda:");
    let numbered = number.is_some_and(|number| number.parse::<u8>().is_ok());
    numbered || ["auto", "cpu", "cuda"].contains(&name)
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server: ServerConfig::default(),
            worker: String::new(),
            device: "auto".to_owned(),
            model: String::new(),
            dummy_size: DummySize::Toy,
            memory_limit: ByteSize::default(),
            offload_text_encoder: OffloadTextEncoder::Auto,
            preview_every_steps: 5,
            max_queue: 64,
            max_operations: 1_000,
            max_interruptions: 50,
            operation_retention: HumanDuration::from_secs(7 * 24 * 3_600),
            high_priority_callers: vec![polyphony_chassis::ANONYMOUS.to_owned()],
            worker_start: HumanDuration::from_secs(120),
            worker_silence: HumanDuration::from_secs(30 * 60),
            cancel_timeout: HumanDuration::from_secs(120),
            worker_idle: HumanDuration::from_secs(60),
            models: ModelsConfig::default(),
            jobs: JobsConfig::default(),
        }
    }
}

impl From<DummySize> for protocol::DummySize {
    fn from(size: DummySize) -> Self {
        match size {
            DummySize::Toy => Self::Toy,
            DummySize::Full => Self::Full,
        }
    }
}
