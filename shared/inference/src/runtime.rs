//! The ONNX Runtime library: found and opened on first use, once per process.
//!
//! A process that loads no model never maps the library (about 30 MB), so it starts at once and stays small.

mod search;
mod version;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ort::environment::Environment;
use ort::logging::LogLevel;
use polyphony_error::chain;

use crate::{Error, InferenceConfig};
use search::Search;

/// Where to find ONNX Runtime, not yet opened. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Runtime {
    search: Arc<Search>,
}

/// ONNX Runtime, open.
#[derive(Debug)]
pub struct Loaded {
    environment: Environment,
    path: PathBuf,
    version: String,
}

/// One library per process: its own rule, because it keeps global state.
static LOADED: OnceLock<Loaded> = OnceLock::new();
/// Held while loading, so that two first users do not both try.
static LOADING: Mutex<()> = Mutex::new(());

// === impl Runtime ===

impl Runtime {
    /// Remembers where to look. Opens nothing.
    pub fn new(config: &InferenceConfig) -> Self {
        Self {
            search: Arc::new(Search::of_process(config)),
        }
    }

    /// The library, opened if no earlier call in this process did; a later configuration cannot change it.
    ///
    /// # Errors
    /// [`Error::RuntimeMissing`] names every place that was looked at; [`Error::RuntimeUnusable`] the file that failed.
    pub fn get(&self) -> Result<&'static Loaded, Error> {
        if let Some(loaded) = LOADED.get() {
            return Ok(loaded);
        }
        let _loading = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loaded) = LOADED.get() {
            return Ok(loaded);
        }
        let path = self.search.find()?;
        let loaded = Loaded::open(path)?;
        tracing::info!(path = %loaded.path.display(), version = loaded.version, "opened ONNX Runtime");
        Ok(LOADED.get_or_init(|| loaded))
    }

    /// The library, if some call opened it already.
    pub fn loaded() -> Option<&'static Loaded> {
        LOADED.get()
    }

    /// The file that [`Runtime::get`] would open, without opening it.
    ///
    /// # Errors
    /// [`Error::RuntimeMissing`].
    pub fn locate(&self) -> Result<PathBuf, Error> {
        self.search.find()
    }
}

// === impl Loaded ===

impl Loaded {
    fn open(path: PathBuf) -> Result<Self, Error> {
        let unusable = |source: Box<dyn std::error::Error + Send + Sync>| Error::RuntimeUnusable {
            path: path.clone(),
            source,
        };
        let environment = ort::init_from(&path)
            .map_err(|error| unusable(error.into()))?
            .with_name("polyphony")
            .with_telemetry(false)
            .with_logger(Arc::new(log))
            .build()
            .map_err(|error| unusable(error.into()))?;
        environment.set_log_level(LogLevel::Warning);
        let version = version::of(&path).unwrap_or_else(|error| {
            tracing::warn!(error = %chain(&error), "ONNX Runtime does not tell its version");
            "unknown".to_owned()
        });
        Ok(Self {
            environment,
            path,
            version,
        })
    }

    /// The environment that sessions are built in.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The library's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its version, as "1.31.1".
    pub fn version(&self) -> &str {
        &self.version
    }
}

/// ONNX Runtime's own messages, one level quieter: what it calls a warning is a remark on the model file.
fn log(level: LogLevel, category: &str, _id: &str, location: &str, message: &str) {
    match level {
        LogLevel::Verbose | LogLevel::Info => tracing::trace!(category, location, "{message}"),
        LogLevel::Warning => tracing::debug!(category, location, "{message}"),
        LogLevel::Error | LogLevel::Fatal => tracing::warn!(category, location, "{message}"),
    }
}
