//! The keys of the synthesiser: `[tts]`, and the sections it shares with the rest of the mesh, `[models]` and
//! `[inference]`.

use polyphony_chassis::Checks;
use polyphony_chassis::config::ServerConfig;
use polyphony_chassis::places::or_each_core;
use polyphony_config::{HumanDuration, Layers};
use polyphony_inference::InferenceConfig;
use polyphony_models::ModelsConfig;
use serde::{Deserialize, Serialize};

use crate::voices::storage::VoicesConfig;

/// All that a synthesiser is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where and how it is served. Default: 127.0.0.1:7005, admin 127.0.0.1:8005.
    pub server: ServerConfig,
    /// "auto" takes the best model on disk; "espeak", "kokoro" or "piper" only models of that engine. Default: "auto".
    pub engine: EngineChoice,
    /// The model for requests that name none, as "espeak-ng". Empty, the default: the best that speaks the language.
    pub model: String,
    /// Load the default model before the first request, and be ready only then. Default: false, which keeps an idle
    /// process small.
    pub preload: bool,
    /// Streams at once; one more is refused when it opens. 0, the default: four for each core.
    pub max_streams: usize,
    /// Texts spoken at once, besides streams. 0, the default: one for each core.
    pub workers: usize,
    /// Texts that wait for a worker; one more is refused. Default: 64.
    pub max_queue: usize,
    /// A stream whose client has sent nothing for so long is ended. Default: 5 min, for who listens says nothing.
    pub stream_idle: HumanDuration,
    /// The most characters of one text, or of one message of a stream, 1 to 100,000. Default: 5,000.
    pub max_characters: usize,
    /// `[tts.voices]`: where voices are stored that have owners.
    pub voices: VoicesConfig,
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
    /// All; the best whose model is on disk serves by default.
    #[default]
    Auto,
    /// espeak-ng alone.
    Espeak,
    /// Kokoro alone.
    Kokoro,
    /// Piper alone.
    Piper,
}

/// The most that `max_characters` may be.
const MOST_CHARACTERS: usize = 100_000;

// === impl Config ===

impl Config {
    /// Reads the three sections.
    ///
    /// # Errors
    /// The first key that is unknown or whose value cannot be used.
    pub fn read(layers: &Layers) -> Result<Self, polyphony_config::Error> {
        let mut config: Self = layers.section("tts")?;
        config.models = layers.section("models")?;
        config.inference = layers.section("inference")?;
        config.check(layers)?;
        Ok(config)
    }

    /// Rules that types cannot express.
    ///
    /// # Errors
    /// The first key whose value cannot be used.
    pub fn check(&self, layers: &Layers) -> Result<(), polyphony_config::Error> {
        let checks = Checks::of(layers, "tts");
        checks.model("model", &self.model, "espeak-ng")?;
        checks.seconds([("stream_idle", self.stream_idle)])?;
        if !(1..=MOST_CHARACTERS).contains(&self.max_characters) {
            let message = format!("must be 1 to {MOST_CHARACTERS}");
            return Err(checks.invalid("max_characters", message));
        }
        checks.threads(self.streams(), self.workers())
    }

    /// Streams at once.
    pub fn streams(&self) -> usize {
        or_each_core(self.max_streams, 4)
    }

    /// Texts at once.
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
            stream_idle: HumanDuration::from_secs(300),
            max_characters: 5_000,
            voices: VoicesConfig::default(),
            models: ModelsConfig::default(),
            inference: InferenceConfig::default(),
        }
    }
}
