//! The keys of the analyser: `[analysis]`, and the sections it shares with the rest of the mesh, `[models]` and
//! `[inference]`.

use polyphony_chassis::Checks;
use polyphony_chassis::config::ServerConfig;
use polyphony_chassis::places::or_each_core;
use polyphony_config::{HumanDuration, Layers};
use polyphony_inference::InferenceConfig;
use polyphony_models::ModelsConfig;
use serde::{Deserialize, Serialize};

/// All that an analyser is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where and how it is served. Default: 127.0.0.1:7009, admin 127.0.0.1:8009.
    pub server: ServerConfig,
    /// The model for requests for pitch that name none, as "crepe-tiny". Empty, the default: the best on disk.
    pub pitch_model: String,
    /// The model for separations that name none, as "htdemucs". Empty, the default: the best on disk.
    pub separation_model: String,
    /// Load the default model for pitch before the first request, and be ready only then. Default: false, which keeps
    /// an idle process small. Without it the service is ready at once, because features need no model.
    pub preload: bool,
    /// Streams at once; one more is refused when it opens. 0, the default: four for each core.
    pub max_streams: usize,
    /// Recordings worked on at once. 0, the default: one for each core.
    pub workers: usize,
    /// Recordings that wait for a worker; one more is refused. Default: 64.
    pub max_queue: usize,
    /// A stream whose client has sent nothing for so long is ended. Default: 60 s.
    pub stream_idle: HumanDuration,
    /// The longest stream, in audio. "0", the default: no limit.
    pub max_stream_duration: HumanDuration,
    /// The longest recording of `Pitch`, `Separate` and `Features`. Default: 10 min.
    pub max_audio_duration: HumanDuration,
    /// `[models]`: where models lie.
    #[serde(skip)]
    pub models: ModelsConfig,
    /// `[inference]`: where ONNX Runtime lies, and which device runs it.
    #[serde(skip)]
    pub inference: InferenceConfig,
}

// === impl Config ===

impl Config {
    /// Reads the three sections.
    ///
    /// # Errors
    /// The first key that is unknown or whose value cannot be used.
    pub fn read(layers: &Layers) -> Result<Self, polyphony_config::Error> {
        let mut config: Self = layers.section("analysis")?;
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
        let checks = Checks::of(layers, "analysis");
        checks.model("pitch_model", &self.pitch_model, "crepe-tiny")?;
        checks.model("separation_model", &self.separation_model, "htdemucs")?;
        checks.seconds([
            ("stream_idle", self.stream_idle),
            ("max_audio_duration", self.max_audio_duration),
        ])?;
        checks.threads(self.streams(), self.workers())
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
            pitch_model: String::new(),
            separation_model: String::new(),
            preload: false,
            max_streams: 0,
            workers: 0,
            max_queue: 64,
            stream_idle: HumanDuration::from_secs(60),
            max_stream_duration: HumanDuration::default(),
            max_audio_duration: HumanDuration::from_secs(600),
            models: ModelsConfig::default(),
            inference: InferenceConfig::default(),
        }
    }
}
