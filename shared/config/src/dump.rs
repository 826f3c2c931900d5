//! The effective configuration as TOML, each key with where it came from, secrets redacted.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value as Json;

use crate::de::is_bare;
use crate::{Error, Layers};

/// Writes out sections one after the other; the result of `--dump-config`.
#[derive(Debug)]
pub struct Dump<'a> {
    layers: &'a Layers,
    text: String,
    shown: BTreeSet<String>,
}

// === impl Dump ===

impl<'a> Dump<'a> {
    /// A dump with the origins of these layers.
    pub fn new(layers: &'a Layers) -> Self {
        let mut text = String::from("# effective configuration: defaults < file < environment < flags\n");
        if let Some(file) = layers.file() {
            let _infallible = writeln!(text, "# file: {}", file.display());
        }
        Self {
            layers,
            text,
            shown: BTreeSet::new(),
        }
    }

    /// Adds a section as it is after [`Layers::section`], once: programs of one process share some. Keys are sorted; a
    /// [`Secret`](crate::Secret) is redacted.
    ///
    /// # Errors
    /// [`Error::Unprintable`] if the struct is not a map of plain values.
    pub fn section<T: Serialize>(mut self, name: &str, section: &T) -> Result<Self, Error> {
        let value = serde_json::to_value(section).map_err(|source| Error::Unprintable {
            section: name.to_owned(),
            source,
        })?;
        if self.shown.insert(name.to_owned()) {
            self.table(&mut vec![name.to_owned()], name, &value, false);
        }
        Ok(self)
    }

    /// The text.
    pub fn finish(self) -> String {
        self.text
    }

    /// `path` has the indices of arrays, which `header` has not.
    fn table(&mut self, path: &mut Vec<String>, header: &str, value: &Json, in_array: bool) {
        let Json::Object(map) = value else {
            return;
        };
        let (open, close) = if in_array { ("[[", "]]") } else { ("[", "]") };
        let _infallible = writeln!(self.text, "\n{open}{header}{close}");
        for (key, value) in map.iter().filter(|(_, value)| !is_table(value)) {
            path.push(key.clone());
            let origin = self.layers.origin_of(path.iter().map(String::as_str));
            path.pop();
            let key = quoted(key);
            let _infallible = match to_toml(value) {
                Some(value) => writeln!(self.text, "{key} = {value}  # {origin}"),
                None => writeln!(self.text, "# {key} is not set  # {origin}"),
            };
        }
        for (key, value) in map.iter().filter(|(_, value)| is_table(value)) {
            let header = format!("{header}.{}", quoted(key));
            path.push(key.clone());
            if let Json::Array(items) = value {
                for (at, item) in items.iter().enumerate() {
                    path.push(at.to_string());
                    self.table(path, &header, item, true);
                    path.pop();
                }
            } else {
                self.table(path, &header, value, false);
            }
            path.pop();
        }
    }
}

/// Whether the value is written under a header of its own.
fn is_table(value: &Json) -> bool {
    match value {
        Json::Object(map) => !map.is_empty(),
        Json::Array(items) => !items.is_empty() && items.iter().all(Json::is_object),
        _ => false,
    }
}

fn quoted(key: &str) -> String {
    match is_bare(key) {
        true => key.to_owned(),
        false => toml::Value::from(key).to_string(),
    }
}

/// A value in one line of TOML; TOML has no null.
fn to_toml(value: &Json) -> Option<toml::Value> {
    Some(match value {
        Json::Null => return None,
        Json::Bool(yes) => (*yes).into(),
        Json::String(text) => text.as_str().into(),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => integer.into(),
            (None, Some(float)) if number.is_f64() => shortest(float).into(),
            _ => number.to_string().into(),
        },
        Json::Array(items) => toml::Value::Array(items.iter().filter_map(to_toml).collect()),
        Json::Object(map) => toml::Value::Table(
            map.iter()
                .filter_map(|(key, value)| Some((key.clone(), to_toml(value)?)))
                .collect(),
        ),
    })
}

/// An `f32` that went through serde is a long `f64`; prints it as it was written.
fn shortest(float: f64) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the comparison says whether anything was lost"
    )]
    let single = float as f32;
    if f64::from(single) == float {
        single.to_string().parse().unwrap_or(float)
    } else {
        float
    }
}
