//! What serde reports, until the place where it happened is put on it.

use std::fmt;

use super::Path;
use crate::{Error, Origin, suggest};

/// An error of a value, with its place once a [`Cursor`](super::Cursor) has seen it pass.
#[derive(Debug)]
pub(super) struct Unplaced(Box<Inner>);

#[derive(Debug)]
struct Inner {
    fault: Fault,
    place: Option<(String, Origin)>,
}

#[derive(Debug)]
enum Fault {
    Message(String),
    UnknownField { known: Vec<String> },
    MissingField(&'static str),
    Whole(Error),
}

// === impl Unplaced ===

impl Unplaced {
    fn new(fault: Fault) -> Self {
        Self(Box::new(Inner { fault, place: None }))
    }

    /// An error that already says everything.
    pub(super) fn whole(error: Error) -> Self {
        Self::new(Fault::Whole(error))
    }

    /// The key is not one of `known`.
    pub(super) fn unknown(known: &[&str]) -> Self {
        let known = known.iter().map(|&name| name.to_owned()).collect();
        Self::new(Fault::UnknownField { known })
    }

    /// Places the error here unless a value further in has done so.
    pub(super) fn at(mut self, path: &Path<'_>, origin: &Origin) -> Self {
        self.0
            .place
            .get_or_insert_with(|| (path.to_string(), origin.clone()));
        self
    }

    pub(super) fn into_error(self) -> Error {
        let Inner { fault, place } = *self.0;
        let (key, origin) = place.unwrap_or_else(|| (String::new(), Origin::Default));
        match fault {
            Fault::Whole(error) => error,
            Fault::Message(message) => Error::Invalid { key, origin, message },
            Fault::UnknownField { known } => {
                let name = key.rsplit('.').next().unwrap_or(&key);
                let nearest = suggest::nearest(name, known.iter().map(String::as_str));
                Error::Unknown {
                    key,
                    origin,
                    nearest,
                    known,
                }
            }
            Fault::MissingField(name) => {
                let key = format!("{key}.{name}");
                // What is in a list, or has a quoted name, has no variable of its own.
                let variable = match key.contains(['[', '"', '-']) {
                    true => String::new(),
                    false => format!(
                        ", as POLYPHONY_{}",
                        key.to_uppercase().replace('.', "__").replace('-', "_")
                    ),
                };
                Error::Invalid {
                    message: format!("is required; set it in the file{variable} or with --set"),
                    key,
                    origin,
                }
            }
        }
    }
}

impl fmt::Display for Unplaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.fault {
            Fault::Message(message) => f.write_str(message),
            Fault::UnknownField { known } => write!(f, "unknown key; known here: {}", known.join(", ")),
            Fault::MissingField(name) => write!(f, "`{name}` is required"),
            Fault::Whole(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Unplaced {}

impl serde::de::Error for Unplaced {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(Fault::Message(message.to_string()))
    }

    fn unknown_field(_field: &str, expected: &'static [&'static str]) -> Self {
        Self::unknown(expected)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(Fault::MissingField(field))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let nearest = suggest::nearest(variant, expected.iter().copied());
        let hint = nearest.map_or_else(String::new, |name| format!("did you mean \"{name}\"? "));
        Self::custom(format!(
            "unknown value \"{variant}\"; {hint}expected one of: {}",
            expected.join(", ")
        ))
    }
}
