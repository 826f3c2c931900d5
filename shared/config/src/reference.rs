//! Keeps a commented reference file true: every key is in it, with its default.
//!
//! In the reference, a line that begins with `# ` is prose, and one that begins with `#` and no space is a key (or a
//! section) at its default, commented out. A key whose default is nothing (`None`, an empty list or table) is shown
//! with an example value, and must be commented out; any other key shows its default, commented out or not. What is
//! inside of an example table is a promise too: [`Reference::example`] checks it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::{Error, Layers, file, text};

/// A reference file being checked, section by section.
#[derive(Debug)]
pub struct Reference {
    /// Only what is in force.
    active: Layers,
    /// With the commented keys.
    full: Layers,
    /// The sections checked so far, as the file shows them.
    shown: serde_json::Map<String, Json>,
    mismatches: Vec<Mismatch>,
    /// Tables whose keys another section shows.
    elsewhere: Vec<String>,
}

/// One lie of a reference file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch {
    /// A key that exists is not shown.
    Missing {
        /// The full key.
        key: String,
        /// Its default, as JSON.
        default: String,
    },
    /// A key is shown with another value than its default.
    Differs {
        /// The full key.
        key: String,
        /// Its default, as JSON.
        default: String,
        /// What the file says, as JSON.
        shown: String,
        /// Whether that is in force, or commented out.
        active: bool,
    },
    /// The file cannot be read as the section's type: an unknown key, a wrong type.
    Unreadable(String),
    /// A section of the file that nobody knows.
    UnknownSection(String),
}

// === impl Reference ===

impl Reference {
    /// Takes the text of a reference file.
    ///
    /// # Errors
    /// [`Error::Syntax`] if it is not TOML, with or without the commented keys.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let path = Arc::new(PathBuf::from("polyphony.toml"));
        let layers = |text: &str| Ok::<_, Error>(Layers::of_table(file::parse(text, &path)?, None));
        Ok(Self {
            active: layers(text)?,
            full: layers(&Self::uncommented(text))?,
            shown: serde_json::Map::new(),
            mismatches: Vec::new(),
            elsewhere: Vec::new(),
        })
    }

    /// The text with every commented key and section in force, examples included.
    pub fn uncommented(text: &str) -> String {
        let lines = text.lines().map(|line| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_alphanumeric() || "[]{}\"'_".contains(c)) => {
                rest
            }
            _ => line,
        });
        lines.flat_map(|line| [line, "\n"]).collect()
    }

    /// The keys of this table, as `align.server`, are those that another section shows. To be called before the section is
    /// checked.
    #[must_use]
    pub fn elsewhere(mut self, key: &str) -> Self {
        self.elsewhere.push(key.to_owned());
        self
    }

    /// Checks section `[name]` against the defaults of its type.
    ///
    /// # Errors
    /// [`Error::Unprintable`] if the struct is not a map of plain values. What is wrong with the file comes out of
    /// [`Reference::finish`].
    pub fn section<T: Default + Serialize + DeserializeOwned>(mut self, name: &str) -> Result<Self, Error> {
        let default = printed(name, &T::default())?;
        // Known from here on, also if it cannot be read.
        self.shown.insert(name.to_owned(), Json::Null);
        for (layers, active) in [(&self.full, false), (&self.active, true)] {
            match layers.section::<T>(name) {
                Ok(section) => {
                    let shown = printed(name, &section)?;
                    let comparison = Comparison {
                        layers,
                        active,
                        elsewhere: &self.elsewhere,
                    };
                    comparison.compare(&mut vec![name.to_owned()], &default, &shown, &mut self.mismatches);
                    if !active {
                        self.shown.insert(name.to_owned(), shown);
                    }
                }
                Err(error) => self.mismatches.push(Mismatch::Unreadable(error.to_string())),
            }
        }
        Ok(self)
    }

    /// Checks a table that is only there as an example, as `gateway.clusters.asr` or, the first of a list,
    /// `gateway.routes.0`: it shows every key of its type, at its default. `default` has the example's own values where a
    /// key is required. To be called after the section was checked.
    ///
    /// # Errors
    /// [`Error::Unprintable`] if `default` is not a map of plain values.
    pub fn example<T: Serialize>(mut self, key: &str, default: &T) -> Result<Self, Error> {
        let mut path = text::dotted(key).unwrap_or_default();
        let default = printed(key, default)?;
        let shown = at(&self.shown, &path).cloned().unwrap_or_default();
        let comparison = Comparison {
            layers: &self.full,
            active: false,
            elsewhere: &self.elsewhere,
        };
        comparison.compare(&mut path, &default, &shown, &mut self.mismatches);
        Ok(self)
    }

    /// Everything that is wrong, in the order of the sections; empty if the file is true.
    pub fn finish(self) -> Vec<Mismatch> {
        let Self {
            full,
            shown,
            mut mismatches,
            ..
        } = self;
        let unknown = full.sections().filter(|section| !shown.contains_key(*section));
        mismatches.extend(unknown.map(|name| Mismatch::UnknownSection(name.to_owned())));
        mismatches
    }
}

/// One of the two readings of the file.
struct Comparison<'a> {
    layers: &'a Layers,
    active: bool,
    elsewhere: &'a [String],
}

// === impl Comparison ===

impl Comparison<'_> {
    fn compare(&self, path: &mut Vec<String>, default: &Json, shown: &Json, out: &mut Vec<Mismatch>) {
        if self.elsewhere.contains(&path.join(".")) {
            return;
        }
        if let Json::Object(defaults) = default
            && !defaults.is_empty()
        {
            for (key, default) in defaults {
                path.push(key.clone());
                self.compare(path, default, shown.get(key).unwrap_or(&Json::Null), out);
                path.pop();
            }
            return;
        }
        let is_shown = self.layers.node(path.iter().map(String::as_str)).is_some();
        if !self.active && !is_shown {
            out.push(Mismatch::Missing {
                key: path.join("."),
                default: default.to_string(),
            });
            return;
        }
        // An example of what has no default is free, as long as it is not in force.
        let example = !self.active && is_nothing(default);
        if !example && default != shown {
            out.push(Mismatch::Differs {
                key: path.join("."),
                default: default.to_string(),
                shown: shown.to_string(),
                active: self.active,
            });
        }
    }
}

fn is_nothing(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::Array(items) => items.is_empty(),
        Json::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// What the sections show at a path, array indices in decimal.
fn at<'a>(sections: &'a serde_json::Map<String, Json>, path: &[String]) -> Option<&'a Json> {
    let (section, inner) = path.split_first()?;
    inner
        .iter()
        .try_fold(sections.get(section)?, |value, segment| match value {
            Json::Array(items) => items.get(segment.parse::<usize>().ok()?),
            value => value.get(segment),
        })
}

fn printed<T: Serialize>(name: &str, value: &T) -> Result<Json, Error> {
    serde_json::to_value(value).map_err(|source| Error::Unprintable {
        section: name.to_owned(),
        source,
    })
}

// === impl Mismatch ===

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { key, default } => {
                write!(f, "`{key}` is not in the reference; its default is {default}")
            }
            Self::Differs {
                key,
                default,
                shown,
                active,
            } => {
                let how = if *active { "set to" } else { "shown as" };
                write!(f, "`{key}` is {how} {shown}, but its default is {default}")
            }
            Self::Unreadable(error) => f.write_str(error),
            Self::UnknownSection(name) => write!(f, "section `{name}` is not known"),
        }
    }
}
