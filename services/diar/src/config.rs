//! The keys of the diarizer: `[diar]`, and the sections it shares with the rest of the mesh, `[models]` and `[inference]`.

use std::path::PathBuf;

use polyphony_chassis::Checks;
use polyphony_chassis::config::ServerConfig;
use polyphony_chassis::places::or_each_core;
use polyphony_config::{ByteSize, HumanDuration, Layers};
use polyphony_inference::InferenceConfig;
use polyphony_models::ModelsConfig;
use serde::{Deserialize, Serialize};

/// All that a diarizer is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where and how it is served. Default: 127.0.0.1:7003, admin 127.0.0.1:8003.
    pub server: ServerConfig,
    /// "auto" takes the best model on disk; "pyannote" and "ge2e" only models of that engine. Default: "auto".
    pub engine: EngineChoice,
    /// The model for requests that name none. Empty, the default: the best.
    pub model: String,
    /// Load the default model before the first request, and be ready only then. Default: false, which keeps an idle
    /// process small.
    pub preload: bool,
    /// Streams at once; one more is refused when it opens. 0, the default: four for each core.
    pub max_streams: usize,
    /// Recordings diarized at once. 0, the default: one for each core.
    pub workers: usize,
    /// Recordings that wait for a worker; one more is refused. Default: 64.
    pub max_queue: usize,
    /// A stream whose client has sent nothing for so long is ended. Default: 60 s.
    pub stream_idle: HumanDuration,
    /// The longest stream, in audio. "0", the default: no limit.
    pub max_stream_duration: HumanDuration,
    /// The longest recording of `Diarize`. Default: 4 h.
    pub max_diarize_duration: HumanDuration,
    /// What the models said of recent recordings is kept up to this size, so that the same recording with other settings
    /// takes a fraction of the time. Default: 64 MiB.
    pub embedding_cache: ByteSize,
    /// The folder that enrolled speakers are kept in. None: `speakers` in the data folder.
    pub speakers_dir: Option<PathBuf>,
    /// Enrolled speakers of one owner; one more is refused. Default: 1,000.
    pub max_speakers: usize,
    /// `[models]`: where models lie.
    #[serde(skip)]
    pub models: ModelsConfig,
    /// `[inference]`: where ONNX Runtime lies, and which device runs it.
    #[serde(skip)]
    pub inference: InferenceConfig,
}

/// Which engines may serve.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineChoice {
    /// All; the best whose models are on disk serves by default.
    #[default]
    Auto,
    /// pyannote's segmentation and a speaker network.
    Pyannote,
    /// Voice activity and the GE2E speaker encoder.
    Ge2e,
}

// === impl Config ===

impl Config {
    /// Reads the three sections.
    ///
    /// # Errors
    /// The first key that is unknown or whose value cannot be used.
    pub fn read(layers: &Layers) -> Result<Self, polyphony_config::Error> {
        let mut config: Self = layers.section("diar")?;
        config.models = layers.section("models")?;
        config.inference = layers.section("inference")?;
        config.server.limits.take_media();
        config.check(layers)?;
        Ok(config)
    }

    /// Rules that types cannot express.
    ///
    /// # Errors
    /// The first key whose value cannot be used.
    pub fn check(&self, layers: &Layers) -> Result<(), polyphony_config::Error> {
        let checks = Checks::of(layers, "diar");
        checks.model("model", &self.model, "ge2e")?;
        checks.seconds([
            ("stream_idle", self.stream_idle),
            ("max_diarize_duration", self.max_diarize_duration),
        ])?;
        checks.threads(self.streams(), self.workers())?;
        checks.positive("max_speakers", self.max_speakers)
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
            max_diarize_duration: HumanDuration::from_secs(4 * 3600),
            embedding_cache: ByteSize::mib(64),
            speakers_dir: None,
            max_speakers: 1_000,
            models: ModelsConfig::default(),
            inference: InferenceConfig::default(),
        }
    }
}
