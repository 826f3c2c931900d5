//! The keys of text recognition: `[ocr]`, and the sections it shares with the rest of the mesh, `[models]`, `[inference]`
//! and `[jobs]`.

use std::path::PathBuf;

use polyphony_chassis::Checks;
use polyphony_chassis::config::ServerConfig;
use polyphony_chassis::places::or_each_core;
use polyphony_config::{ByteSize, HumanDuration, Layers};
use polyphony_inference::InferenceConfig;
use polyphony_jobs::JobsConfig;
use polyphony_models::ModelsConfig;
use serde::{Deserialize, Serialize};

use crate::document::LONGEST_SIDE;
use crate::reader::Bounds;

/// All that text recognition is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where and how it is served. Default: 127.0.0.1:7006, admin 127.0.0.1:8006.
    pub server: ServerConfig,
    /// "auto" takes the best model on disk; "ppocr" only models of that engine. Default: "auto".
    pub engine: EngineChoice,
    /// The model for requests that name none. Empty, the default: the best.
    pub model: String,
    /// Load the default model before the first request, and be ready only then. Default: false, which keeps an idle
    /// process small.
    pub preload: bool,
    /// Documents open at once, each in a process of its own; one more is refused. 0, the default: two for each core.
    pub max_streams: usize,
    /// Pages read at once. 0, the default: one for each core.
    pub workers: usize,
    /// Images that wait for a worker; one more is refused. Default: 64.
    pub max_queue: usize,
    /// The most pixels of a page; a larger one is refused before it is decoded. Default: 50,000,000, an A4 page at 700
    /// dots an inch.
    pub max_pixels: u64,
    /// The most pages of a document that one call may ask for. Default: 1,000.
    pub max_pages: u32,
    /// How long a document may take to open, and each page to be decoded or drawn; then its process is killed.
    /// Default: 4 s.
    pub page_timeout: HumanDuration,
    /// What that process may hold in memory. Default: 1 GiB.
    pub page_memory: ByteSize,
    /// The program that opens documents. Empty, the default: this one, or `polyphony-ocr` beside it.
    pub reader: PathBuf,
    /// Run models by TensorRT, on a GPU that CUDA finds. Default: false.
    pub tensorrt: bool,
    /// With TensorRT, compute in half precision. Default: true.
    pub tensorrt_fp16: bool,
    /// Where TensorRT keeps what it compiled. None: `tensorrt` in the folder of models.
    pub tensorrt_cache: Option<PathBuf>,
    /// Batches that are kept, waiting, running or done; one more is refused. Each holds its documents on the disk until it
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
    /// PP-OCR alone.
    PpOcr,
}

/// Below this no page can be drawn at all.
const LEAST_MEMORY: ByteSize = ByteSize::mib(64);

// === impl Config ===

impl Config {
    /// Reads the four sections.
    ///
    /// # Errors
    /// The first key that is unknown or whose value cannot be used.
    pub fn read(layers: &Layers) -> Result<Self, polyphony_config::Error> {
        let mut config: Self = layers.section("ocr")?;
        config.models = layers.section("models")?;
        config.inference = layers.section("inference")?;
        config.jobs = JobsConfig::read(layers)?;
        config.server.limits.take_media();
        config.check(layers)?;
        Ok(config)
    }

    /// Rules that types cannot express.
    ///
    /// # Errors
    /// The first key whose value cannot be used.
    pub fn check(&self, layers: &Layers) -> Result<(), polyphony_config::Error> {
        let checks = Checks::of(layers, "ocr");
        checks.model("model", &self.model, "pp-ocr-v4")?;
        checks.seconds([
            ("page_timeout", self.page_timeout),
            ("operation_retention", self.operation_retention),
        ])?;
        let most = u64::from(LONGEST_SIDE).pow(2);
        if !(1..=most).contains(&self.max_pixels) {
            return Err(checks.invalid("max_pixels", format!("must be 1 to {most}")));
        }
        checks.positive("max_pages", self.max_pages as usize)?;
        if self.page_memory < LEAST_MEMORY {
            return Err(checks.invalid("page_memory", format!("must be at least {LEAST_MEMORY}")));
        }
        checks.threads(self.streams(), self.workers())?;
        checks.positive("max_operations", self.max_operations)
    }

    /// Documents at once.
    pub fn streams(&self) -> usize {
        or_each_core(self.max_streams, 2)
    }

    /// Pages at once.
    pub fn workers(&self) -> usize {
        or_each_core(self.workers, 1)
    }

    /// What opening a document may cost.
    pub const fn bounds(&self) -> Bounds {
        Bounds {
            max_pixels: self.max_pixels,
            time: self.page_timeout.get(),
            memory: self.page_memory.bytes(),
        }
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
            max_pixels: 50_000_000,
            max_pages: 1_000,
            page_timeout: HumanDuration::from_secs(4),
            page_memory: ByteSize::gib(1),
            reader: PathBuf::new(),
            tensorrt: false,
            tensorrt_fp16: true,
            tensorrt_cache: None,
            max_operations: 64,
            operation_retention: HumanDuration::from_secs(3600),
            models: ModelsConfig::default(),
            inference: InferenceConfig::default(),
            jobs: JobsConfig::default(),
        }
    }
}
