//! What goes wrong with one request to a hub, and whether it is worth another.

use std::time::Duration;

use polyphony_error::chain;

use crate::Error;

/// An error, and whether it is worth another try at the same hub.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) error: Error,
    pub(crate) again: Again,
}

/// Whether to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    Never,
    /// After as long as the server says, if it does.
    After(Option<Duration>),
}

// === impl Trouble ===

impl Trouble {
    /// A connection that could not be made, or broke.
    pub(super) fn broken(endpoint: String, error: reqwest::Error) -> Self {
        // The address may be one that a CDN signed; it does not belong in a log.
        let error = error.without_url();
        Self {
            error: Error::Unreachable {
                endpoint,
                problem: chain(&error).to_string(),
            },
            again: Again::After(None),
        }
    }

    pub(super) fn last(error: Error) -> Self {
        Self {
            error,
            again: Again::Never,
        }
    }

    pub(super) fn silence(endpoint: String, patience: Duration) -> Self {
        Self {
            error: Error::Unreachable {
                endpoint,
                problem: format!("no answer within {patience:?}"),
            },
            again: Again::After(None),
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::last(error)
    }
}
