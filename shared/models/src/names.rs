//! The names of things: models, variants, revisions and files inside a model. A value of these types is safe to join to
//! a folder; nothing else in this crate is ever joined to one.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// The id of a model: `name` or `owner/name`, as on the hub. Each part is 1 to 96 ASCII letters, digits, `-`, `_` or
/// `.`, begins with a letter or digit, does not end in `-` or `.`, and has neither `--` nor `..` in it (the hub's rule).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelId(String);

/// One of the forms in which a model comes, as `fp32`, `fp16` or `int8`: 1 to 32 lower-case letters, digits, `-`, `_`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Variant(String);

/// A revision: a branch, tag, commit or version, 1 to 64 ASCII letters, digits, `.`, `-`, `_`, `+`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Revision(String);

/// The path of a file inside a model: relative, with `/`, at most 8 parts of at most 128 characters, none of them
/// hidden, empty, `..` or a name that the store uses itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FilePath(String);

/// A model as people name it: `onnx-community/whisper-tiny.en`, or with a variant `onnx-community/whisper-tiny.en@int8`.
///
/// Without a variant it means the first one that is on disk, in the order of the catalogue; for a pull, the first one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelRef {
    /// Which model.
    pub id: ModelId,
    /// In which form.
    pub variant: Option<Variant>,
}

/// The name of the manifest that the store puts beside the files of a model.
pub(crate) const MANIFEST: &str = "model.json";
/// What a file is called until all its bytes are here.
pub(crate) const PARTIAL: &str = ".partial";

/// What every name gives: reading from text, and the text.
macro_rules! name {
    ($name:ident, $what:literal, $rule:literal, $valid:path) => {
        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                if $valid(text) {
                    return Ok(Self(text.to_owned()));
                }
                // What is said back is cut: the text may be megabytes of a caller's.
                let text = text.chars().take(128).collect();
                Err(Error::Name {
                    what: $what,
                    text,
                    rule: $rule,
                })
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(text: String) -> Result<Self, Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    ModelId,
    "model id",
    "expected \"name\" or \"owner/name\" of letters, digits, '-', '_', '.'",
    is_model_id
);
name!(
    Variant,
    "model variant",
    "expected 1 to 32 lower-case letters, digits, '-', '_'",
    is_variant
);
name!(
    Revision,
    "revision",
    "expected 1 to 64 letters, digits, '.', '-', '_', '+'",
    is_revision
);
name!(
    FilePath,
    "file path inside a model",
    "expected a relative path with '/', of letters, digits, '-', '_', '.', '+', without hidden parts and \"..\"",
    is_file_path
);

fn is_model_id(text: &str) -> bool {
    text.split('/').count() <= 2
        && text.split('/').all(|part| {
            starts_plain(part, 96)
                && !part.ends_with(['-', '.'])
                && part.bytes().all(is_word)
                && !part.contains("--")
                && !part.contains("..")
        })
}

fn is_variant(text: &str) -> bool {
    starts_plain(text, 32)
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

fn is_revision(text: &str) -> bool {
    starts_plain(text, 64) && text.bytes().all(|b| is_word(b) || b == b'+') && !text.contains("..")
}

fn is_file_path(text: &str) -> bool {
    text.split('/').count() <= 8
        && text != MANIFEST
        && text.split('/').all(|part| {
            (1..=128).contains(&part.len())
                && !part.starts_with(['.', '-'])
                && !part.ends_with(PARTIAL)
                && part.bytes().all(|b| is_word(b) || b == b'+')
        })
}

fn starts_plain(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len()) && text.as_bytes()[0].is_ascii_alphanumeric()
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

// === impl ModelId ===

impl ModelId {
    /// One folder name for the id. `--` cannot occur in an id, so no two ids share one.
    pub(crate) fn folder(&self) -> String {
        self.0.replace('/', "--")
    }

    /// The id that a folder was named after.
    pub(crate) fn from_folder(folder: &str) -> Option<Self> {
        folder.replacen("--", "/", 1).parse().ok()
    }
}

// === impl FilePath ===

impl FilePath {
    /// The path in the form of this system.
    pub(crate) fn native(&self) -> PathBuf {
        self.0.split('/').collect()
    }

    /// Whether the name ends in `.onnx`.
    pub(crate) fn is_onnx(&self) -> bool {
        self.0.ends_with(".onnx")
    }

    /// Another file in the folder of this one.
    pub(crate) fn sibling(&self, name: &str) -> Option<Self> {
        match self.0.rsplit_once('/') {
            Some((folder, _)) => format!("{folder}/{name}").parse().ok(),
            None => name.parse().ok(),
        }
    }
}

// === impl ModelRef ===

impl ModelRef {
    /// A model in a certain form.
    pub fn exact(id: ModelId, variant: Variant) -> Self {
        Self {
            id,
            variant: Some(variant),
        }
    }
}

impl From<ModelId> for ModelRef {
    fn from(id: ModelId) -> Self {
        Self { id, variant: None }
    }
}

impl FromStr for ModelRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Ok(match text.split_once('@') {
            Some((id, variant)) => Self::exact(id.parse()?, variant.parse()?),
            None => Self::from(text.parse::<ModelId>()?),
        })
    }
}

impl TryFrom<String> for ModelRef {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<ModelRef> for String {
    fn from(model: ModelRef) -> Self {
        model.to_string()
    }
}

impl fmt::Display for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.variant {
            Some(variant) => write!(f, "{}@{variant}", self.id),
            None => self.id.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_hub_are_read() {
        for id in [
            "silero-vad",
            "onnx-community/whisper-tiny.en",
            "distil-whisper/distil-large-v3.5-ONNX",
        ] {
            let parsed: ModelId = id.parse().expect(id);
            assert_eq!(parsed.as_str(), id);
            assert_eq!(ModelId::from_folder(&parsed.folder()), Some(parsed));
        }
        let model: ModelRef = "onnx-community/whisper-tiny.en@int8"
            .parse()
            .expect("a reference");
        assert_eq!(model.variant.as_ref().map(Variant::as_str), Some("int8"));
        assert_eq!(model.to_string(), "onnx-community/whisper-tiny.en@int8");
    }

    #[test]
    fn ids_that_would_leave_the_store_are_refused() {
        for id in [
            "", "/", "..", "../x", "a/..", "a/../b", "a/b/c", "/etc", ".hidden", "a//b", "a\\b", "a\0b",
            "a%2f..", "a b", "C:x", "-rf", "a--b", "a-/b", "a.", "ä", "a/", "a\n",
        ] {
            assert!(id.parse::<ModelId>().is_err(), "{id:?}");
        }
        assert!("a".repeat(97).parse::<ModelId>().is_err());
        for model in ["a@", "a@../x", "a@b@c", "@int8", "a@INT8"] {
            assert!(model.parse::<ModelRef>().is_err(), "{model:?}");
        }
        for revision in ["", "..", "a/b", ".git", "refs/heads/main", "a..b"] {
            assert!(revision.parse::<Revision>().is_err(), "{revision:?}");
        }
    }

    #[test]
    fn files_that_would_leave_the_model_are_refused() {
        for path in [
            "config.json",
            "onnx/encoder_model.onnx_data",
            "en-us/feat.params",
            "a/b/c/d",
        ] {
            path.parse::<FilePath>().expect(path);
        }
        for path in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../x",
            "a/../../x",
            "a/..",
            "./a",
            "a/./b",
            "a//b",
            "a/",
            "\\x",
            "a\\..\\x",
            "a\0",
            "..%2fx",
            ".ssh/id",
            "a/.b",
            "C:/x",
            "~x/y",
            "a\nb",
            "-a",
            "x.partial",
            "a.partial/b",
            MANIFEST,
            "1/2/3/4/5/6/7/8/9",
        ] {
            assert!(path.parse::<FilePath>().is_err(), "{path:?}");
        }
    }
}
