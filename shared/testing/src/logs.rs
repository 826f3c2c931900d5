//! Captures what is logged, so that the log is part of what a test asserts.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing::{Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

/// More events than any test should make; what comes after is dropped, and said so when the test looks.
const LIMIT: usize = 100_000;

/// The events so far. Clones share them. As a [`Layer`] it can be put on any subscriber; [`capture_logs`] does so for
/// the current thread.
#[derive(Debug, Clone, Default)]
pub struct Logs(Arc<Mutex<Vec<Event>>>);

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its level.
    pub level: Level,
    /// Its target, by default the path of the module.
    pub target: String,
    /// The message.
    pub message: String,
    /// The other fields, as text.
    pub fields: BTreeMap<String, String>,
    /// The names of the spans it happened in, outermost first.
    pub spans: Vec<&'static str>,
}

/// Captures all events of the current thread until the guard is dropped.
///
/// A `#[tokio::test]` runs all of its tasks on one thread unless told otherwise, and so they are seen. What other
/// threads log is not.
pub fn capture_logs() -> (Logs, DefaultGuard) {
    let logs = Logs::default();
    let subscriber = tracing_subscriber::registry().with(logs.clone());
    (logs, tracing::subscriber::set_default(subscriber))
}

// === impl Logs ===

impl Logs {
    /// All events so far.
    ///
    /// # Panics
    /// If there were too many to keep.
    pub fn events(&self) -> Vec<Event> {
        let events = self.lock();
        assert!(events.len() < LIMIT, "more than {LIMIT} events were logged");
        events.clone()
    }

    /// The events of at least this level (ERROR is the highest) whose text contains `needle`.
    pub fn matching(&self, level: Level, needle: &str) -> Vec<Event> {
        let mut events = self.events();
        events.retain(|event| event.level <= level && event.to_string().contains(needle));
        events
    }

    /// Whether an event of at least this level contains `needle`.
    pub fn contains(&self, level: Level, needle: &str) -> bool {
        !self.matching(level, needle).is_empty()
    }

    /// Asserts that every WARN and ERROR contains one of `expected`, and that each of `expected` was seen.
    ///
    /// # Panics
    /// If not, with the events at fault.
    #[track_caller]
    pub fn assert_quiet_but(&self, expected: &[&str]) {
        let loud = self.matching(Level::WARN, "");
        let is_expected = |event: &&Event| expected.iter().any(|needle| event.to_string().contains(needle));
        let surprises: Vec<_> = loud
            .iter()
            .filter(|event| !is_expected(event))
            .map(Event::to_string)
            .collect();
        assert!(
            surprises.is_empty(),
            "unexpected in the log:\n{}",
            surprises.join("\n")
        );
        for needle in expected {
            let seen = loud.iter().any(|event| event.to_string().contains(needle));
            assert!(seen, "not in the log as WARN or ERROR: {needle}");
        }
    }

    /// Asserts that a text, such as a secret, is in no event of any level.
    ///
    /// # Panics
    /// If it is, without printing it.
    #[track_caller]
    pub fn assert_never(&self, needle: &str) {
        let leaks = self.matching(Level::TRACE, needle);
        let targets: Vec<_> = leaks.iter().map(|event| &event.target).collect();
        assert!(leaks.is_empty(), "the text was logged by {targets:?}");
    }

    /// Forgets what was logged so far.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Event>> {
        // A test that panicked while logging has left whole events behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Logs {
    fn on_event(&self, event: &tracing::Event<'_>, context: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let spans = context.event_scope(event).map_or_else(Vec::new, |scope| {
            scope.from_root().map(|span| span.metadata().name()).collect()
        });
        let event = Event {
            level: *event.metadata().level(),
            target: event.metadata().target().to_owned(),
            message: text.message,
            fields: text.fields,
            spans,
        };
        let mut events = self.lock();
        if events.len() < LIMIT {
            events.push(event);
        }
    }
}

// === impl Event ===

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.level, self.target, self.message)?;
        for (name, value) in &self.fields {
            write!(f, " {name}={value}")?;
        }
        Ok(())
    }
}

/// The fields of an event as text.
#[derive(Default)]
struct Text {
    message: String,
    fields: BTreeMap<String, String>,
}

// === impl Text ===

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}

impl Text {
    fn put(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = value,
            name => drop(self.fields.insert(name.to_owned(), value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_kept_with_fields_and_spans() {
        let (logs, _guard) = capture_logs();
        let _span = tracing::info_span!("outer").entered();
        tracing::info!(port = 7001, name = "asr", "listening");
        let events = logs.matching(Level::INFO, "listening");
        assert_eq!(events[0].fields["port"], "7001");
        assert_eq!(events[0].fields["name"], "asr");
        assert_eq!(events[0].spans, ["outer"]);
        assert!(!logs.contains(Level::WARN, "listening"));
        logs.assert_quiet_but(&[]);
    }

    #[test]
    fn an_expected_warning_is_let_pass_and_must_come() {
        let (logs, _guard) = capture_logs();
        tracing::warn!(peer = "10.0.0.1", "handshake failed");
        logs.assert_quiet_but(&["handshake failed"]);
        for expected in [&[][..], &["handshake failed", "something else"]] {
            let refused =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| logs.assert_quiet_but(expected)));
            assert!(refused.is_err(), "{expected:?}");
        }
        let leak = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| logs.assert_never("10.0.0.1")));
        assert!(leak.is_err());
    }
}
