//! A serde deserializer over the merged tree: text is typed by the field, and an error knows its key and origin.

mod access;
mod error;

use serde::Deserializer;
use serde::de::{DeserializeOwned, Error as _, IntoDeserializer, Unexpected, Visitor, value};

use self::access::{Entries, Items};
use self::error::Unplaced;
use crate::tree::{Node, Value};
use crate::{Error, secret, text};

/// Reads one section.
pub(crate) fn section<T: DeserializeOwned>(name: &str, node: &Node) -> Result<T, Error> {
    let path = Path::Top(name);
    T::deserialize(Cursor { node, path: &path }).map_err(Unplaced::into_error)
}

/// The way to a value, innermost last.
enum Path<'a> {
    Top(&'a str),
    Key(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

/// One value, ready to be read as whatever its field wants.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    node: &'a Node,
    path: &'a Path<'a>,
}

// === impl Path ===

impl std::fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = |f: &mut std::fmt::Formatter<'_>, key: &str| match is_bare(key) {
            true => f.write_str(key),
            false => write!(f, "{key:?}"),
        };
        match self {
            Self::Top(name) => key(f, name),
            Self::Key(above, name) => {
                write!(f, "{above}.")?;
                key(f, name)
            }
            Self::Index(above, at) => write!(f, "{above}[{at}]"),
        }
    }
}

/// Whether TOML takes the key without quotes.
pub(crate) fn is_bare(key: &str) -> bool {
    !key.is_empty()
        && key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

// === impl Cursor ===

impl Cursor<'_> {
    /// Puts the key and origin on an error that has none yet.
    fn placed<T>(self, result: Result<T, Unplaced>) -> Result<T, Unplaced> {
        result.map_err(|error| error.at(self.path, &self.node.origin))
    }

    /// A value as what it is; text as TOML if it is that, else as a string.
    fn visit<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unplaced> {
        match &self.node.value {
            Value::Text(text) => {
                let node = text::any(text, &self.node.origin);
                Cursor {
                    node: &node,
                    path: self.path,
                }
                .visit(visitor)
            }
            Value::String(text) => visitor.visit_str(text),
            Value::Integer(number) => visitor.visit_i64(*number),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Bool(yes) => visitor.visit_bool(*yes),
            Value::Array(items) => visitor.visit_seq(Items::new(items, self.path)),
            Value::Table(table) => visitor.visit_map(Entries::of_map(table, self.path)),
        }
    }

    /// Text parsed by `parse`, anything else as what it is.
    fn typed<'de, V: Visitor<'de>, T>(
        self,
        visitor: V,
        parse: impl FnOnce(&str) -> Option<T>,
        visit: impl FnOnce(V, T) -> Result<V::Value, Unplaced>,
    ) -> Result<V::Value, Unplaced> {
        let result = match &self.node.value {
            Value::Text(text) => match parse(text.trim()) {
                Some(value) => visit(visitor, value),
                None => Err(Unplaced::invalid_value(Unexpected::Str(text), &visitor)),
            },
            _ => self.visit(visitor),
        };
        self.placed(result)
    }

    /// Text as an inline table, else the table that is there; `fields` are the names that a struct knows.
    fn map<'de, V: Visitor<'de>>(
        self,
        fields: Option<&'static [&'static str]>,
        visitor: V,
    ) -> Result<V::Value, Unplaced> {
        let parsed;
        let node = match &self.node.value {
            Value::Text(given) => match text::table(given, &self.node.origin) {
                Some(table) => {
                    parsed = table;
                    &parsed
                }
                None => {
                    return self.placed(Err(Unplaced::invalid_type(
                        Unexpected::Other("text that is not a TOML inline table"),
                        &visitor,
                    )));
                }
            },
            _ => self.node,
        };
        let result = match &node.value {
            Value::Table(table) => match fields {
                Some(fields) => Entries::of_struct(table, fields, self.path)
                    .and_then(|entries| visitor.visit_map(entries)),
                None => visitor.visit_map(Entries::of_map(table, self.path)),
            },
            _ => self.visit(visitor),
        };
        self.placed(result)
    }
}

macro_rules! text_is_parsed {
    ($($method:ident: $type:ty => $visit:ident;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unplaced> {
            self.typed(visitor, |text| text.parse::<$type>().ok(), V::$visit)
        }
    )*};
}

impl<'de> Deserializer<'de> for Cursor<'_> {
    type Error = Unplaced;

    text_is_parsed! {
        deserialize_i8: i8 => visit_i8;
        deserialize_i16: i16 => visit_i16;
        deserialize_i32: i32 => visit_i32;
        deserialize_i64: i64 => visit_i64;
        deserialize_u8: u8 => visit_u8;
        deserialize_u16: u16 => visit_u16;
        deserialize_u32: u32 => visit_u32;
        deserialize_u64: u64 => visit_u64;
        deserialize_f32: f32 => visit_f32;
        deserialize_f64: f64 => visit_f64;
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unplaced> {
        self.placed(self.visit(visitor))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unplaced> {
        self.typed(visitor, text::boolean, V::visit_bool)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unplaced> {
        let result = match &self.node.value {
            Value::Text(text) => visitor.visit_str(text),
            _ => self.visit(visitor),
        };
        self.placed(result)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unplaced> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unplaced> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unplaced> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unplaced> {
        match &self.node.value {
            Value::Text(text) if text.is_empty() => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unplaced> {
        let result = visitor.visit_newtype_struct(self);
        if name == secret::MARKER {
            // What serde would say quotes the value.
            return self.placed(result.map_err(|_| Unplaced::custom("this is a secret, expected a text")));
        }
        result
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unplaced> {
        let result = match &self.node.value {
            Value::Text(given) => {
                let items = text::list(given, &self.node.origin);
                visitor.visit_seq(Items::new(&items, self.path))
            }
            _ => self.visit(visitor),
        };
        self.placed(result)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Unplaced> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, Unplaced> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unplaced> {
        self.map(None, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unplaced> {
        self.map(Some(fields), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unplaced> {
        let parsed;
        let node = match &self.node.value {
            Value::Text(given) => match text::table(given, &self.node.origin) {
                Some(table) => {
                    parsed = table;
                    &parsed
                }
                None => self.node,
            },
            _ => self.node,
        };
        let result = match &node.value {
            Value::Text(name) | Value::String(name) => {
                visitor.visit_enum(IntoDeserializer::<Unplaced>::into_deserializer(name.as_str()))
            }
            Value::Table(table) => visitor.visit_enum(value::MapAccessDeserializer::new(Entries::of_map(
                table, self.path,
            ))),
            _ => self.visit(visitor),
        };
        self.placed(result)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unplaced> {
        self.deserialize_any(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unplaced> {
        self.deserialize_any(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unplaced> {
        self.deserialize_str(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unplaced> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unplaced> {
        visitor.visit_unit()
    }
}
