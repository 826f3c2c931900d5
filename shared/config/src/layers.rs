//! Reads the layers once and hands out typed sections.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::tree::{Node, Table, Value, set};
use crate::{Error, Origin, de, file, suggest, text};

/// What the names of our environment variables begin with.
const PREFIX: &str = "POLYPHONY_";

/// Everything that a configuration is made from, as data. `Default` is no source at all.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file that was asked for (`--config`); it must exist.
    pub file: Option<PathBuf>,
    /// Where a file may be if none was asked for; the first that exists is read.
    pub search: Vec<PathBuf>,
    /// The environment. What does not begin with `POLYPHONY_` or has no `__` in its name is not ours.
    pub env: Vec<(OsString, OsString)>,
    /// The `--set section.key=value` flags, in order; a later one wins.
    pub sets: Vec<String>,
}

/// All layers, merged, each value with its origin.
pub struct Layers {
    root: Node,
    file: Option<PathBuf>,
}

// === impl Sources ===

impl Sources {
    /// The sources of a running process: its environment, and `./polyphony.toml`, then `/etc/polyphony/polyphony.toml`,
    /// unless a file is named.
    pub fn of_process(file: Option<PathBuf>, sets: Vec<String>) -> Self {
        Self {
            file,
            search: vec!["polyphony.toml".into(), "/etc/polyphony/polyphony.toml".into()],
            env: std::env::vars_os().collect(),
            sets,
        }
    }
}

// === impl Layers ===

impl Layers {
    /// Reads and merges all sources.
    ///
    /// # Errors
    /// A named file that is absent; a file that is not TOML; a variable or flag that is not a key; two settings of one
    /// layer that contradict each other. Types are checked by [`Layers::section`], names by
    /// [`Layers::check_sections`] and [`Layers::section`].
    pub fn load(sources: Sources) -> Result<Self, Error> {
        let (mut table, file) = read_file(sources.file, sources.search)?;
        add_environment(&mut table, sources.env)?;
        for flag in &sources.sets {
            add_flag(&mut table, flag)?;
        }
        Ok(Self::of_table(table, file))
    }

    pub(crate) fn of_table(table: Table, file: Option<PathBuf>) -> Self {
        let root = Node {
            origin: Origin::Default,
            value: Value::Table(table),
        };
        Self { root, file }
    }

    /// The file that was read, if any.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Refuses any top-level name that is not one of `known`.
    ///
    /// A process passes the sections of the whole mesh, not only its own, since one file serves all.
    ///
    /// # Errors
    /// [`Error::Unknown`] for the first unknown name.
    pub fn check_sections(&self, known: &[&str]) -> Result<(), Error> {
        for name in self.sections() {
            if !known.contains(&name) {
                return Err(Error::Unknown {
                    key: name.to_owned(),
                    origin: self.origin_of(std::iter::once(name)),
                    nearest: suggest::nearest(name, known.iter().copied()),
                    known: known.iter().map(|&name| name.to_owned()).collect(),
                });
            }
        }
        Ok(())
    }

    /// The section `[name]` as its type, where nothing is set with what its `serde(default)` says.
    ///
    /// # Errors
    /// An unknown key (if the type has `deny_unknown_fields`), a value of the wrong type or range, a required key that
    /// is absent, a secret's file that cannot be read.
    pub fn section<T: DeserializeOwned>(&self, name: &str) -> Result<T, Error> {
        let absent = Node::table(Origin::Default);
        let node = self.root.get(std::iter::once(name)).unwrap_or(&absent);
        de::section(name, node)
    }

    /// Where the value of `section.key` came from.
    pub fn origin(&self, key: &str) -> Origin {
        let path = text::dotted(key).unwrap_or_default();
        self.origin_of(path.iter().map(String::as_str))
    }

    /// An error about the value of `section.key`, for rules that its type cannot express.
    ///
    /// `message` says what is wrong and what is accepted, as in `must be at least 1`.
    pub fn invalid(&self, key: &str, message: impl Into<String>) -> Error {
        Error::Invalid {
            key: key.to_owned(),
            origin: self.origin(key),
            message: message.into(),
        }
    }

    /// The top-level names that any layer sets.
    pub(crate) fn sections(&self) -> impl Iterator<Item = &str> {
        let table = match &self.root.value {
            Value::Table(table) => Some(table),
            _ => None,
        };
        table.into_iter().flat_map(Table::keys).map(String::as_str)
    }

    /// The node at a path of plain segments, array indices in decimal.
    pub(crate) fn node<'a>(&self, path: impl Iterator<Item = &'a str>) -> Option<&Node> {
        self.root.get(path)
    }

    /// The origin of the node at a path, or of the text or file that stands for it.
    pub(crate) fn origin_of<'a>(&self, path: impl Iterator<Item = &'a str>) -> Origin {
        let mut node = &self.root;
        for segment in path {
            let next = match &node.value {
                Value::Table(table) => match (table.get(segment), table.get(&format!("{segment}_file"))) {
                    (Some(plain), Some(file)) if file.origin.layer() > plain.origin.layer() => Some(file),
                    (plain, file) => plain.or(file),
                },
                Value::Array(items) => segment.parse::<usize>().ok().and_then(|at| items.get(at)),
                // A whole list or table given as one text.
                _ => return node.origin.clone(),
            };
            match next {
                Some(next) => node = next,
                None => return Origin::Default,
            }
        }
        node.origin.clone()
    }
}

impl std::fmt::Debug for Layers {
    /// The names of the sections alone: a value may be a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Layers")
            .field("file", &self.file)
            .field("sections", &self.sections().collect::<Vec<_>>())
            .finish()
    }
}

fn read_file(named: Option<PathBuf>, search: Vec<PathBuf>) -> Result<(Table, Option<PathBuf>), Error> {
    if let Some(path) = named {
        return match file::read(&path)? {
            Some(table) => Ok((table, Some(path))),
            None => Err(Error::NotFound { path }),
        };
    }
    for path in search {
        if let Some(table) = file::read(&path)? {
            return Ok((table, Some(path)));
        }
    }
    Ok((Table::new(), None))
}

fn add_environment(table: &mut Table, env: Vec<(OsString, OsString)>) -> Result<(), Error> {
    // Sorted, so that a contradiction is reported the same way each time.
    let mut variables: Vec<_> = env
        .into_iter()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .collect();
    variables.sort_unstable();
    for (variable, value) in variables {
        let Some(key) = variable
            .strip_prefix(PREFIX)
            .filter(|key| key.contains("__") && !key.starts_with('_'))
        else {
            continue;
        };
        let mut path: Vec<String> = key.split("__").map(str::to_ascii_lowercase).collect();
        // Names of sections have dashes, as "llm-proxy", which names of variables cannot have.
        path[0] = path[0].replace('_', "-");
        if path.iter().any(String::is_empty) {
            return Err(Error::Variable {
                variable,
                message: "expected POLYPHONY_SECTION__KEY, with two underscores between the parts and none at the end",
            });
        }
        let Ok(value) = value.into_string() else {
            return Err(Error::Variable {
                variable,
                message: "its value is not UTF-8",
            });
        };
        let origin = Origin::Variable(variable.into());
        set(
            table,
            &path,
            Node {
                origin,
                value: Value::Text(value),
            },
        )?;
    }
    Ok(())
}

fn add_flag(table: &mut Table, flag: &str) -> Result<(), Error> {
    // Only the key may be repeated in a message: the value may be a secret.
    let (key, value) = split_flag(flag);
    let path = text::dotted(key.trim()).filter(|path| path.len() > 1);
    let (Some(path), Some(value)) = (path, value) else {
        return Err(Error::Flag {
            flag: key.trim().to_owned(),
        });
    };
    let origin = Origin::Flag(key.trim().into());
    set(
        table,
        &path,
        Node {
            origin,
            value: Value::Text(value.to_owned()),
        },
    )
}

/// Splits at the first `=` outside of quotes, since a quoted key may hold one.
fn split_flag(flag: &str) -> (&str, Option<&str>) {
    let mut quote = None;
    for (at, c) in flag.char_indices() {
        match (quote, c) {
            (None, '=') => return (&flag[..at], Some(&flag[at + 1..])),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            _ => {}
        }
    }
    (flag, None)
}
