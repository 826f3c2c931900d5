//! The file of keys: TOML, read whole or not at all.
//!
//! ```toml
//! [[key]]
//! name = "books"
//! sha256 = "…"                     # printf %s "$KEY" | sha256sum
//! callers = ["books.internal"]     # gRPC callers that count as this key: names in verified certificates
//! requests_per_minute = 60
//! tokens_per_day = 1000000
//! ```

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use polyphony_chassis::Caller;
use serde::Deserialize;

/// What a key may.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Policy {
    pub(super) name: String,
    #[serde(default)]
    sha256: Option<String>,
    #[serde(default)]
    callers: Vec<String>,
    #[serde(default)]
    pub(super) requests_per_minute: Option<u64>,
    #[serde(default)]
    pub(super) tokens_per_day: Option<u64>,
}

/// All keys.
#[derive(Debug, Default)]
pub(super) struct KeyFile {
    by_digest: HashMap<[u8; 32], Arc<Policy>>,
    with_callers: Vec<Arc<Policy>>,
}

/// A file of keys or of usage cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read or written.
    #[error("{path} cannot be read or written")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not what it should be. Without the cause, which would quote it.
    #[error("{path}: {message}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    key: Vec<Policy>,
}

// === impl KeyFile ===

impl KeyFile {
    pub(super) fn read(path: &Path) -> Result<Self, FileError> {
        let text = std::fs::read_to_string(path).map_err(|source| FileError::Io {
            path: path.to_owned(),
            source,
        })?;
        let wrong = |message: String| FileError::Content {
            path: path.to_owned(),
            message,
        };
        let raw: Raw = toml::from_str(&text).map_err(|error| wrong(error.message().to_owned()))?;
        let mut all = Self::default();
        let mut names = Vec::new();
        for policy in raw.key {
            let name = policy.name.clone();
            if name.is_empty() || names.contains(&name) {
                return Err(wrong(format!("key \"{name}\": each needs a name of its own")));
            }
            if policy.sha256.is_none() && policy.callers.is_empty() {
                return Err(wrong(format!("key \"{name}\": needs sha256, or callers")));
            }
            let policy = Arc::new(policy);
            if let Some(text) = &policy.sha256 {
                let digest = digest(text)
                    .ok_or_else(|| wrong(format!("key \"{name}\": sha256 must be 64 hexadecimal digits")))?;
                if all.by_digest.insert(digest, Arc::clone(&policy)).is_some() {
                    return Err(wrong(format!("key \"{name}\": has the sha256 of another")));
                }
            }
            if !policy.callers.is_empty() {
                all.with_callers.push(policy);
            }
            names.push(name);
        }
        Ok(all)
    }

    pub(super) fn by_digest(&self, digest: &[u8; 32]) -> Option<Arc<Policy>> {
        self.by_digest.get(digest).cloned()
    }

    pub(super) fn by_caller(&self, caller: &Caller) -> Option<Arc<Policy>> {
        let is = |policy: &&Arc<Policy>| policy.callers.iter().any(|name| caller.is(name));
        self.with_callers.iter().find(is).cloned()
    }
}

fn digest(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(digest)
}

/// When the file was changed.
pub(super) fn changed(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_file_is_said_without_quoting_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("keys.toml");
        for (text, told) in [
            ("[[key]]\nname = \"a\"\n", "needs sha256"),
            ("[[key]]\nname = \"a\"\nsha256 = \"x\"\n", "64 hexadecimal digits"),
            ("[[key]]\nname = \"a\"\nkey = \"sk-secret\"\n", "unknown field"),
            (
                "[[key]]\nname = \"a\"\ncallers = [\"c\"]\n[[key]]\nname = \"a\"\ncallers = [\"d\"]\n",
                "a name of its own",
            ),
        ] {
            std::fs::write(&path, text).expect("written");
            let error = KeyFile::read(&path).expect_err("refused").to_string();
            assert!(error.contains(told) && !error.contains("sk-secret"), "{error}");
        }
    }
}
