//! The merged tree of values, each with its origin, and the rule by which a later layer wins.

use std::collections::BTreeMap;

use crate::{Error, Origin};

/// The keys of one table.
pub(crate) type Table = BTreeMap<String, Node>;

/// A value and where it came from.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) origin: Origin,
    pub(crate) value: Value,
}

/// What a layer said. There is deliberately no `Debug`: a value may be a secret.
#[derive(Clone)]
pub(crate) enum Value {
    /// From the environment or a flag: typed only when the field that wants it is known.
    Text(String),
    String(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    Array(Vec<Node>),
    Table(Table),
}

// === impl Node ===

impl Node {
    pub(crate) fn table(origin: Origin) -> Self {
        Self {
            origin,
            value: Value::Table(Table::new()),
        }
    }

    /// The node at a path, with array indices as decimal segments.
    pub(crate) fn get<'a>(&self, mut path: impl Iterator<Item = &'a str>) -> Option<&Self> {
        let Some(segment) = path.next() else {
            return Some(self);
        };
        match &self.value {
            Value::Table(table) => table.get(segment)?.get(path),
            Value::Array(items) => items.get(segment.parse::<usize>().ok()?)?.get(path),
            Value::Text(_) | Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Bool(_) => None,
        }
    }
}

/// Sets the value at `path`. It replaces what lower layers said there; two values of one layer that cannot both hold
/// are a conflict.
///
/// `path` is not empty.
pub(crate) fn set(table: &mut Table, path: &[String], leaf: Node) -> Result<(), Error> {
    set_below(table, path, 0, leaf)
}

fn set_below(table: &mut Table, path: &[String], depth: usize, leaf: Node) -> Result<(), Error> {
    let here = &path[depth];
    let conflict = |old: &Node, new: &Node| Error::Conflict {
        key: path.join("."),
        origin: new.origin.clone(),
        other: path[..=depth].join("."),
        other_origin: old.origin.clone(),
    };
    if depth + 1 == path.len() {
        if let Some(old) = table.get(here)
            && matches!(old.value, Value::Table(_))
            && old.origin.layer() == leaf.origin.layer()
        {
            return Err(conflict(old, &leaf));
        }
        table.insert(here.clone(), leaf);
        return Ok(());
    }
    let next = table
        .entry(here.clone())
        .or_insert_with(|| Node::table(leaf.origin.clone()));
    if !matches!(next.value, Value::Table(_)) {
        if next.origin.layer() == leaf.origin.layer() {
            return Err(conflict(next, &leaf));
        }
        *next = Node::table(leaf.origin.clone());
    }
    let Value::Table(inner) = &mut next.value else {
        unreachable!("made a table above");
    };
    set_below(inner, path, depth + 1, leaf)
}
