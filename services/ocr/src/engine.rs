//! The verbs of text recognition: what every engine can do. One file an engine in `engine/`.
//!
//! An engine knows nothing of gRPC, of files or of formats: it takes a picture and gives what stands on it. It is
//! blocking and CPU-bound: callers run it on a blocking thread.

pub mod ppocr;

use polyphony_inference::Cancel;

use crate::domain::{EngineInfo, Options, PageReading, Picture};
use crate::error::Error;

/// A reader with its model loaded; shared by all requests.
pub trait Engine: Send + Sync {
    /// What it is.
    fn info(&self) -> &EngineInfo;

    /// Reads one page. An empty page has no lines; that is no error.
    ///
    /// # Errors
    /// [`Error::Cancelled`] within one run of a model after `cancel`; [`Error::Engine`] when the model fails.
    fn read(&self, page: &Picture, options: &Options, cancel: &Cancel) -> Result<PageReading, Error>;
}
