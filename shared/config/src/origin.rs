//! Where a value came from: what an error points at and a dump prints.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// The layer that set a value, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// No layer set it.
    Default,
    /// A line (from 1) of the configuration file.
    File {
        /// The file as it was named.
        path: Arc<PathBuf>,
        /// The line of the key.
        line: usize,
    },
    /// The environment variable of this name.
    Variable(Arc<str>),
    /// `--set` with this key.
    Flag(Arc<str>),
}

// === impl Origin ===

impl Origin {
    /// The height of the layer: a higher one wins.
    pub(crate) fn layer(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File { .. } => 1,
            Self::Variable(_) => 2,
            Self::Flag(_) => 3,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(key) => write!(f, "--set {key}"),
        }
    }
}
