//! A TOML file as a tree in which every value knows its line.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::tree::{Node, Table, Value};
use crate::{Error, Origin};

/// More than a hundred times the largest file that a person would write.
const FILE_LIMIT: u64 = 1 << 20;

/// Gives spans of one text their line, and the file's name.
struct Place<'a> {
    path: &'a Arc<PathBuf>,
    /// The byte offset at which each line begins.
    lines: Vec<usize>,
}

/// Reads a file, or `None` if there is none.
pub(crate) fn read(path: &Path) -> Result<Option<Table>, Error> {
    match read_limited(path, FILE_LIMIT) {
        Ok(Some(text)) => parse(&text, &Arc::new(path.to_owned())).map(Some),
        Ok(None) => Err(Error::TooLarge {
            path: path.to_owned(),
            limit: FILE_LIMIT,
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

/// The text of a file, or `None` if it is longer than `limit` bytes. Never reads more than that.
pub(crate) fn read_limited(path: &Path, limit: u64) -> io::Result<Option<String>> {
    let mut text = String::new();
    File::open(path)?.take(limit + 1).read_to_string(&mut text)?;
    Ok((text.len() as u64 <= limit).then_some(text))
}

/// Parses the text of a file of this name.
pub(crate) fn parse(text: &str, path: &Arc<PathBuf>) -> Result<Table, Error> {
    let place = Place::new(path, text);
    let table = DeTable::parse(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        Error::Syntax {
            origin: place.origin(start),
            message: error.message().to_owned(),
        }
    })?;
    place.table(table.into_inner())
}

/// Parses one TOML value, all of it from one origin, or `None` if it is not TOML.
pub(crate) fn parse_value(text: &str, origin: &Origin) -> Option<Node> {
    let value = DeValue::parse(text).ok()?.into_inner();
    convert(value, origin.clone(), &|_| origin.clone()).ok()
}

// === impl Place ===

impl<'a> Place<'a> {
    fn new(path: &'a Arc<PathBuf>, text: &str) -> Self {
        let lines = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Self { path, lines }
    }

    fn origin(&self, offset: usize) -> Origin {
        Origin::File {
            path: Arc::clone(self.path),
            line: self.lines.partition_point(|&start| start <= offset),
        }
    }

    fn table(&self, table: DeTable<'_>) -> Result<Table, Error> {
        convert_table(table, &|offset| self.origin(offset))
    }
}

fn convert_table(table: DeTable<'_>, at: &dyn Fn(usize) -> Origin) -> Result<Table, Error> {
    let mut nodes = Table::new();
    for (key, value) in table {
        let origin = at(key.span().start);
        nodes.insert(
            key.into_inner().into_owned(),
            convert(value.into_inner(), origin, at)?,
        );
    }
    Ok(nodes)
}

fn convert(value: DeValue<'_>, origin: Origin, at: &dyn Fn(usize) -> Origin) -> Result<Node, Error> {
    let out_of_range = |message: &str| Error::Syntax {
        origin: origin.clone(),
        message: message.to_owned(),
    };
    let value = match value {
        DeValue::String(text) => Value::String(text.into_owned()),
        DeValue::Integer(number) => Value::Integer(
            i64::from_str_radix(number.as_str(), number.radix())
                .map_err(|_| out_of_range("the integer does not fit into 64 bits"))?,
        ),
        DeValue::Float(number) => Value::Float(
            number
                .as_str()
                .parse()
                .map_err(|_| out_of_range("the number is not a float"))?,
        ),
        DeValue::Boolean(yes) => Value::Bool(yes),
        // No key of ours is a date; whoever wants one parses the text.
        DeValue::Datetime(date) => Value::String(date.to_string()),
        DeValue::Array(items) => Value::Array(
            items
                .into_iter()
                .map(|item: Spanned<DeValue<'_>>| {
                    let origin = at(item.span().start);
                    convert(item.into_inner(), origin, at)
                })
                .collect::<Result<_, _>>()?,
        ),
        DeValue::Table(table) => Value::Table(convert_table(table, at)?),
    };
    Ok(Node { origin, value })
}
