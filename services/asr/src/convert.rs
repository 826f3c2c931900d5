//! Wire to domain, once, at receipt; domain to wire, without failing. Nothing else.
//!
//! Every message is destructured, so that a new field does not compile until somebody has decided whether it is
//! honoured or refused.

pub(crate) mod decoding;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod streaming;
pub(crate) mod time;

use std::borrow::Cow;

use polyphony_audio::Class;
use polyphony_error::{Fault, Kind, Violation};

/// Collects what is wrong with a message, so that a caller hears of everything at once.
#[derive(Debug)]
pub(crate) struct Refusals {
    /// The path of the message in the request, with a dot at its end unless it is the request.
    path: Cow<'static, str>,
    found: Vec<Violation>,
}

// === impl Refusals ===

impl Refusals {
    pub(crate) fn at(path: impl Into<Cow<'static, str>>) -> Self {
        Self {
            path: path.into(),
            found: Vec::new(),
        }
    }

    /// The field cannot be accepted.
    pub(crate) fn add(&mut self, field: &str, description: impl Into<Cow<'static, str>>) {
        let field = format!("{}{field}", self.path).into();
        self.found.push(Violation {
            field,
            description: description.into(),
        });
    }

    /// Nothing was found, or a fault that names it all.
    pub(crate) fn finish(self) -> Result<(), Fault> {
        let mut found = self.found.into_iter();
        let Some(first) = found.next() else { return Ok(()) };
        let mut fault = Fault::invalid(first.field, first.description);
        fault.violations.extend(found);
        Err(fault)
    }
}

/// Audio that cannot be used, in the field that brought it.
pub(crate) fn audio_fault(error: polyphony_audio::Error, field: &str) -> Fault {
    let (reason, class) = (error.reason(), error.class());
    match class {
        Class::Invalid => Fault::invalid(field.to_owned(), error.to_string()).with_reason(reason),
        Class::Limit => {
            let text = format!("{field}: {error}");
            Fault::exhausted(reason, field.to_owned(), text, None)
                .and_invalid(field.to_owned(), error.to_string())
        }
        Class::Cancelled => Fault::new(Kind::Cancelled, "CANCELLED", "the caller went away"),
        Class::Internal => Fault::internal(error),
    }
}
