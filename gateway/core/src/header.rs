//! Routes that only some calls take: by a header, where the path says too little.
//!
//! `google.longrunning.Operations` is answered by several services under one name, and which of them has an operation stands in
//! the message, which is not decoded. Generated clients of Google's say it in a header as well (`x-goog-request-params`,
//! AIP-4222); so can any other.

use serde::{Deserialize, Serialize};

use crate::{Error, Rule};

/// A text within a header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderMatch {
    /// Its name.
    pub name: String,
    /// What its value has somewhere.
    pub contains: String,
}

/// Where generated clients say what a call is about, as `name=operations/video-gen-0123`.
const REQUEST_PARAMS: &str = "x-goog-request-params";

// === impl HeaderMatch ===

impl HeaderMatch {
    /// Calls about the operations of a service.
    pub fn operations_of(service: &str) -> Self {
        Self {
            name: REQUEST_PARAMS.to_owned(),
            // What stands before it may be written as `/` or `%2F`.
            contains: format!("{service}-"),
        }
    }

    /// Whether a call is one of these. `header` tells the value of a header.
    pub fn is_met<'a>(&self, header: &impl Fn(&str) -> Option<&'a str>) -> bool {
        header(&self.name).is_some_and(|value| value.contains(&self.contains))
    }

    /// As it is looked up, for the route of this rule.
    ///
    /// # Errors
    /// A name that no header has, or a text that every value holds.
    pub(crate) fn checked(&self, rule: &Rule) -> Result<Self, Error> {
        if !is_header_name(&self.name) || self.contains.is_empty() {
            return Err(Error::InvalidHeader {
                rule: rule.to_string(),
                header: self.name.clone(),
            });
        }
        Ok(Self {
            name: self.name.to_ascii_lowercase(),
            contains: self.contains.clone(),
        })
    }
}

/// Whether this can be the name of a header.
pub(crate) fn is_header_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !name.is_empty() && name.bytes().all(legal)
}
