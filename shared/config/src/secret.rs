//! A value that is never printed: not by `Debug`, not by serde, not in an error.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The name by which the deserializer of this crate knows that a secret is wanted.
pub(crate) const MARKER: &str = "$polyphony_config::Secret";

/// What is printed in place of a secret.
pub(crate) const REDACTED: &str = "[redacted]";

/// A password, token or key.
///
/// In the configuration a field `api_key: Option<Secret<String>>` is given as `api_key = "..."` or, better, as
/// `api_key_file = "/run/secrets/api_key"`: the content of that file, less its last line break. There is no `Display`,
/// and `==` is for noticing a change of configuration, not for checking what a caller presents (it takes variable time).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret<T = String>(T);

// === impl Secret ===

impl<T> Secret<T> {
    /// Hides a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, for the one call that needs it.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl<T> Serialize for Secret<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Secret<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> serde::de::Visitor<'de> for Visitor<T> {
            type Value = Secret<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a secret")
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Self::Value, D::Error> {
                T::deserialize(inner).map(Secret)
            }
        }

        deserializer.deserialize_newtype_struct(MARKER, Visitor(std::marker::PhantomData))
    }
}
