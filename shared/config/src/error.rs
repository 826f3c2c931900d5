//! What can be wrong with a configuration. Every message names the key, where it was set and the remedy.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::Origin;

/// The configuration cannot be used. No variant ever holds the value of a [`Secret`](crate::Secret).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that was asked for by name is not there.
    #[error("configuration file {} does not exist; give another path or leave `--config` out", path.display())]
    NotFound {
        /// The file.
        path: PathBuf,
    },
    /// A file is there and cannot be read.
    #[error("cannot read configuration file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is larger than any sane configuration.
    #[error("{} is larger than {limit} bytes, which no configuration needs", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most that is read.
        limit: u64,
    },
    /// The file is not TOML. The line itself is not quoted, for it may hold a secret.
    #[error("{origin}: not valid TOML: {message}")]
    Syntax {
        /// The file and line.
        origin: Origin,
        /// What the parser says.
        message: String,
    },
    /// A `--set` that is not `key=value`.
    #[error("--set {flag}: expected section.key=value")]
    Flag {
        /// The key part of the flag as it was given.
        flag: String,
    },
    /// A variable whose name has no usable key in it, or whose value is not UTF-8.
    #[error("{variable}: {message}")]
    Variable {
        /// The name of the variable.
        variable: String,
        /// What is wrong with it.
        message: &'static str,
    },
    /// Two settings of one layer exclude each other, as `a` and `a.b`, or `key` and `key_file`.
    #[error("`{key}` ({origin}) contradicts `{other}` ({other_origin}); keep one of them")]
    Conflict {
        /// One key.
        key: String,
        /// Where it was set.
        origin: Origin,
        /// The other key.
        other: String,
        /// Where that was set.
        other_origin: Origin,
    },
    /// There is no such key or section.
    #[error("unknown key `{key}` ({origin}){}", Hint { nearest, known })]
    Unknown {
        /// The full key.
        key: String,
        /// Where it was set.
        origin: Origin,
        /// The known name that is most like it.
        nearest: Option<String>,
        /// The names known there.
        known: Vec<String>,
    },
    /// The value is not of the type or range that the key wants.
    #[error("`{key}` ({origin}): {message}")]
    Invalid {
        /// The full key.
        key: String,
        /// Where the value was set.
        origin: Origin,
        /// What is wrong and what was expected.
        message: String,
    },
    /// The file that should hold a secret cannot be read.
    #[error("`{key}` ({origin}): cannot read the secret from {}", path.display())]
    SecretFile {
        /// The full key, which ends in `_file`.
        key: String,
        /// Where the path was set.
        origin: Origin,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A section's struct cannot be written out; a bug in the struct, never in the configuration.
    #[error("cannot write out section `{section}`")]
    Unprintable {
        /// The section.
        section: String,
        /// What serde says.
        source: serde_json::Error,
    },
}

/// The tail of [`Error::Unknown`].
struct Hint<'a> {
    nearest: &'a Option<String>,
    known: &'a [String],
}

// === impl Hint ===

impl fmt::Display for Hint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.nearest, self.known) {
            (Some(nearest), _) => write!(f, "; did you mean `{nearest}`?"),
            (None, []) => f.write_str("; no keys are known here"),
            (None, known) => write!(f, "; known here: {}", known.join(", ")),
        }
    }
}
