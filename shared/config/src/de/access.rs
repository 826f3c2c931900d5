//! The elements of a list and the entries of a table, and the rule that `key_file` stands for a secret `key`.

use std::path::PathBuf;

use serde::de::{DeserializeSeed, Error as _, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserializer, forward_to_deserialize_any};

use super::error::Unplaced;
use super::{Cursor, Path};
use crate::file::read_limited;
use crate::tree::{Node, Table, Value};
use crate::{Error, secret};

/// No key or token is longer.
const SECRET_LIMIT: u64 = 64 << 10;

/// The suffix by which a secret is given as a file.
const FILE: &str = "_file";

/// The elements of a list.
pub(super) struct Items<'a> {
    items: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
    path: &'a Path<'a>,
}

/// The entries of a table.
pub(super) struct Entries<'a> {
    entries: std::vec::IntoIter<Entry<'a>>,
    next: Option<Entry<'a>>,
    fields: &'static [&'static str],
    path: &'a Path<'a>,
}

struct Entry<'a> {
    /// The key as it was written.
    written: &'a str,
    /// The field it is for.
    field: &'a str,
    node: &'a Node,
}

/// The path of a file that holds a secret; no other type can be read from it.
struct SecretFile<'a> {
    cursor: Cursor<'a>,
    fields: &'static [&'static str],
}

// === impl Items ===

impl<'a> Items<'a> {
    pub(super) fn new(items: &'a [Node], path: &'a Path<'a>) -> Self {
        Self {
            items: items.iter().enumerate(),
            path,
        }
    }
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Unplaced;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Unplaced> {
        let Some((at, node)) = self.items.next() else {
            return Ok(None);
        };
        let path = Path::Index(self.path, at);
        let cursor = Cursor { node, path: &path };
        cursor.placed(seed.deserialize(cursor)).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

// === impl Entries ===

impl<'a> Entries<'a> {
    pub(super) fn of_map(table: &'a Table, path: &'a Path<'a>) -> Self {
        let entries = table.iter().map(|(key, node)| Entry {
            written: key,
            field: key,
            node,
        });
        Self::new(entries.collect(), &[], path)
    }

    /// As [`Self::of_map`], but `x_file` stands for the field `x` unless `x_file` is a field of its own. Of the two
    /// the higher layer wins.
    pub(super) fn of_struct(
        table: &'a Table,
        fields: &'static [&'static str],
        path: &'a Path<'a>,
    ) -> Result<Self, Unplaced> {
        let mut entries: Vec<Entry<'a>> = Vec::with_capacity(table.len());
        let stands_for = |key: &'a str| {
            let base = key.strip_suffix(FILE)?;
            (!fields.contains(&key) && fields.contains(&base)).then_some(base)
        };
        for (key, node) in table {
            let entry = match stands_for(key) {
                Some(base) => {
                    if let Some(plain) = table.get(base) {
                        match plain.origin.layer().cmp(&node.origin.layer()) {
                            std::cmp::Ordering::Greater => continue,
                            std::cmp::Ordering::Less => entries.retain(|entry| entry.written != base),
                            std::cmp::Ordering::Equal => {
                                return Err(Unplaced::whole(Error::Conflict {
                                    key: Path::Key(path, base).to_string(),
                                    origin: plain.origin.clone(),
                                    other: Path::Key(path, key).to_string(),
                                    other_origin: node.origin.clone(),
                                }));
                            }
                        }
                    }
                    Entry {
                        written: key,
                        field: base,
                        node,
                    }
                }
                None => Entry {
                    written: key,
                    field: key,
                    node,
                },
            };
            entries.push(entry);
        }
        Ok(Self::new(entries, fields, path))
    }

    fn new(entries: Vec<Entry<'a>>, fields: &'static [&'static str], path: &'a Path<'a>) -> Self {
        Self {
            entries: entries.into_iter(),
            next: None,
            fields,
            path,
        }
    }
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Unplaced;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Unplaced> {
        let Some(entry) = self.entries.next() else {
            return Ok(None);
        };
        let path = Path::Key(self.path, entry.written);
        let key = seed
            .deserialize(IntoDeserializer::<Unplaced>::into_deserializer(entry.field))
            .map_err(|error| error.at(&path, &entry.node.origin))?;
        self.next = Some(entry);
        Ok(Some(key))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Unplaced> {
        let Some(entry) = self.next.take() else {
            return Err(Unplaced::custom("a value was asked for before its key"));
        };
        let path = Path::Key(self.path, entry.written);
        let cursor = Cursor {
            node: entry.node,
            path: &path,
        };
        let result = if entry.written == entry.field {
            seed.deserialize(cursor)
        } else {
            seed.deserialize(SecretFile {
                cursor,
                fields: self.fields,
            })
        };
        cursor.placed(result)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

// === impl SecretFile ===

impl SecretFile<'_> {
    fn read(&self) -> Result<Node, Unplaced> {
        let Cursor { node, path } = self.cursor;
        let (Value::Text(name) | Value::String(name)) = &node.value else {
            return Err(Unplaced::custom(
                "expected the path of a file that holds the secret",
            ));
        };
        let file = PathBuf::from(name);
        match read_limited(&file, SECRET_LIMIT) {
            Ok(Some(text)) => {
                let text = text.strip_suffix('\n').unwrap_or(&text);
                let text = text.strip_suffix('\r').unwrap_or(text);
                Ok(Node {
                    origin: node.origin.clone(),
                    value: Value::String(text.to_owned()),
                })
            }
            Ok(None) => Err(Unplaced::whole(Error::TooLarge {
                path: file,
                limit: SECRET_LIMIT,
            })),
            Err(source) => Err(Unplaced::whole(Error::SecretFile {
                key: path.to_string(),
                origin: node.origin.clone(),
                path: file,
                source,
            })),
        }
    }
}

impl<'de> Deserializer<'de> for SecretFile<'_> {
    type Error = Unplaced;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Unplaced> {
        // The field is no secret, so its `_file` is a key like any other that does not exist.
        Err(Unplaced::unknown(self.fields))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unplaced> {
        match &self.cursor.node.value {
            Value::Text(path) if path.is_empty() => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unplaced> {
        if name != secret::MARKER {
            return self.deserialize_any(visitor);
        }
        let node = self.read()?;
        let path = self.cursor.path;
        Cursor { node: &node, path }.deserialize_newtype_struct(name, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}
