//! A name for each call, the caller's own if it sent a decent one.

use std::fmt;
use std::hash::{BuildHasher, RandomState};

use http::{HeaderMap, HeaderName, HeaderValue};

/// Where it travels.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Names a call in logs, in spans and to the caller. In the extensions of every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

/// Longer ones are replaced: they end up in every log line.
const MAX: usize = 64;

// === impl RequestId ===

impl RequestId {
    /// The caller's, if it is at most 64 letters, digits, `-`, `_`, `.` or `:`; else a new random one.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let decent = |value: &&HeaderValue| {
            let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
            (1..=MAX).contains(&value.len()) && value.as_bytes().iter().all(plain)
        };
        match headers.get(HEADER).filter(decent) {
            Some(value) => Self(value.clone()),
            None => Self::random(),
        }
    }

    fn random() -> Self {
        // Each RandomState is keyed anew; this is a name, not a secret.
        let (high, low) = (RandomState::new().hash_one(0), RandomState::new().hash_one(1));
        let text = format!("{high:016x}{low:016x}");
        // Hexadecimal digits are a valid header.
        Self(HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("none")))
    }

    /// The name of a call as text; empty outside of the chassis' layers.
    pub fn of_call<T>(request: &tonic::Request<T>) -> String {
        request
            .extensions()
            .get::<Self>()
            .map(ToString::to_string)
            .unwrap_or_default()
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.to_str().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_str(text).expect("a header"));
        RequestId::of(&headers).to_string()
    }

    #[test]
    fn a_decent_id_is_kept_and_any_other_replaced() {
        assert_eq!(of("4bf9-x_1.2:3"), "4bf9-x_1.2:3");
        for bad in ["", "a b", "{\"log\":1}", &"a".repeat(65)] {
            let id = of(bad);
            assert_eq!(id.len(), 32, "{bad:?} became {id:?}");
        }
        assert_ne!(of(""), of(""));
    }
}
