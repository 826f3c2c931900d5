//! What is wrong with a message, all of it.

use std::borrow::Cow;

use polyphony_error::{Fault, Violation};

/// Collects what is wrong with a message, so that a caller hears of everything at once.
#[derive(Debug)]
pub struct Refusals {
    /// The path of the message in the request, with a dot at its end unless it is the request.
    path: Cow<'static, str>,
    found: Vec<Violation>,
}

// === impl Refusals ===

impl Refusals {
    /// Nothing is wrong yet. `path` is that of the message in the request: "" for the request itself, else with a dot
    /// at its end, as "config.".
    pub fn at(path: impl Into<Cow<'static, str>>) -> Self {
        Self {
            path: path.into(),
            found: Vec::new(),
        }
    }

    /// The field cannot be accepted.
    pub fn add(&mut self, field: &str, description: impl Into<Cow<'static, str>>) {
        let field = format!("{}{field}", self.path).into();
        self.found.push(Violation {
            field,
            description: description.into(),
        });
    }

    /// Nothing was found, or a fault that names it all.
    ///
    /// # Errors
    /// INVALID_ARGUMENT with every violation.
    pub fn finish(self) -> Result<(), Fault> {
        let mut found = self.found.into_iter();
        let Some(first) = found.next() else { return Ok(()) };
        let mut fault = Fault::invalid(first.field, first.description);
        fault.violations.extend(found);
        Err(fault)
    }
}
