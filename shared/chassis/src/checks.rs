//! Rules for the keys that services have in common, which their types cannot express. Which keys a service has is its own
//! affair.

use std::time::Duration;

use polyphony_config::{Error, HumanDuration, Layers};
use polyphony_models::ModelRef;

/// The runtime has 512 threads for work that blocks; some are left for models and files.
pub const MOST_THREADS: usize = 448;

/// Checks the keys of a section, which are named without it.
#[derive(Debug, Clone, Copy)]
pub struct Checks<'a> {
    layers: &'a Layers,
    section: &'static str,
}

// === impl Checks ===

impl<'a> Checks<'a> {
    /// Of this section.
    pub fn of(layers: &'a Layers, section: &'static str) -> Self {
        Self { layers, section }
    }

    /// A value is refused: `message` says what is wrong and what is accepted.
    pub fn invalid(&self, key: &str, message: impl Into<String>) -> Error {
        self.layers.invalid(&format!("{}.{key}", self.section), message)
    }

    /// The name of a model, as `example`, or empty.
    ///
    /// # Errors
    /// A name that is none.
    pub fn model(&self, key: &str, name: &str, example: &str) -> Result<(), Error> {
        if name.is_empty() || name.parse::<ModelRef>().is_ok() {
            return Ok(());
        }
        Err(self.invalid(key, format!("must be the name of a model, as \"{example}\"")))
    }

    /// Durations of a second or more.
    ///
    /// # Errors
    /// The first that is shorter.
    pub fn seconds<const N: usize>(&self, keys: [(&str, HumanDuration); N]) -> Result<(), Error> {
        let short = keys
            .into_iter()
            .find(|(_, value)| value.get() < Duration::from_secs(1));
        short.map_or(Ok(()), |(key, _)| Err(self.invalid(key, "must be at least 1s")))
    }

    /// A number that is not zero.
    ///
    /// # Errors
    /// When it is.
    pub fn positive(&self, key: &str, number: usize) -> Result<(), Error> {
        if number == 0 {
            return Err(self.invalid(key, "must be at least 1"));
        }
        Ok(())
    }

    /// What `max_streams` and `workers` come to.
    ///
    /// # Errors
    /// More threads than there are.
    pub fn threads(&self, streams: usize, workers: usize) -> Result<(), Error> {
        if streams.saturating_add(workers) <= MOST_THREADS {
            return Ok(());
        }
        let Self { section, .. } = self;
        let message =
            format!("must be at most {MOST_THREADS} together with {section}.workers: each holds a thread");
        Err(self.invalid("max_streams", message))
    }
}
