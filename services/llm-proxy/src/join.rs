//! Answers under way by their request id, so that a repetition of a call joins the answer and starts no second one.
//!
//! Each such answer is written down as it comes; every reader reads from its beginning. It runs as long as anyone reads;
//! complete, it is kept for a minute for callers whose connection broke just before the end.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use polyphony_error::Fault;
use polyphony_proto::llm::v1 as pb;
use prost::Message as _;
use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;

use crate::cache::Key;

/// The answers of the process.
#[derive(Debug, Default)]
pub(crate) struct Joins(Mutex<HashMap<(String, String), Entry>>);

#[derive(Debug)]
struct Entry {
    /// What was asked.
    key: Key,
    tape: Weak<Tape>,
    /// Complete, and since when.
    kept: Option<(Instant, Arc<Tape>)>,
}

/// An answer as it comes.
#[derive(Debug)]
pub(crate) struct Tape {
    events: Mutex<Vec<Result<pb::ChatResponse, Status>>>,
    /// How many there are, and whether that is all.
    state: watch::Sender<(usize, bool)>,
    /// Bytes of all events so far.
    bytes: AtomicUsize,
    /// Ends the work when the last reader goes.
    work: Mutex<Option<AbortOnDropHandle<()>>>,
}

/// How long a complete answer is kept.
const KEPT: Duration = Duration::from_secs(60);
/// How many are known at once.
const MOST: usize = 4096;
/// The most bytes of answers that are kept though nobody reads them.
const MOST_KEPT: usize = 64 << 20;
/// Events on their way to a reader.
const OUTBOX: usize = 16;

// === impl Joins ===

impl Joins {
    /// The answer under this id, if there is one; else a new one, and true: whoever gets that does the work.
    ///
    /// # Errors
    /// INVALID_ARGUMENT when the id was used for another request; RESOURCE_EXHAUSTED when too many are known.
    pub(crate) fn join(&self, who: &str, id: &str, key: Key) -> Result<(Arc<Tape>, bool), Fault> {
        let mut all = self.lock();
        all.retain(|_, entry| {
            let is_kept = entry
                .kept
                .as_ref()
                .is_some_and(|(since, _)| since.elapsed() < KEPT);
            if !is_kept {
                entry.kept = None;
            }
            is_kept || entry.tape.strong_count() > 0
        });
        let name = (who.to_owned(), id.to_owned());
        if let Some(entry) = all.get(&name)
            && let Some(tape) = entry.tape.upgrade()
        {
            if entry.key != key {
                let text = "was used for another request; a repetition must be the same";
                return Err(Fault::invalid("request_id", text));
            }
            return Ok((tape, false));
        }
        if all.len() >= MOST {
            let text = format!("{MOST} answers with a request_id are known; try again, or without one");
            return Err(Fault::exhausted(
                "REQUEST_IDS_FULL",
                "request_id",
                text,
                Some(Duration::from_secs(1)),
            ));
        }
        let tape = Arc::new(Tape {
            events: Mutex::default(),
            state: watch::Sender::new((0, false)),
            bytes: AtomicUsize::new(0),
            work: Mutex::default(),
        });
        let entry = Entry {
            key,
            tape: Arc::downgrade(&tape),
            kept: None,
        };
        all.insert(name, entry);
        Ok((tape, true))
    }

    /// The answer is complete, or failed; a failure is not kept.
    pub(crate) fn ended(&self, who: &str, id: &str, tape: &Arc<Tape>, went_well: bool) {
        tape.state.send_modify(|(_, ended)| *ended = true);
        let mut all = self.lock();
        let name = (who.to_owned(), id.to_owned());
        if went_well {
            if let Some(entry) = all.get_mut(&name) {
                entry.kept = Some((Instant::now(), Arc::clone(tape)));
            }
            forget(&mut all, MOST_KEPT);
        } else {
            all.remove(&name);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, String), Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets the oldest go until no more bytes are kept than this.
fn forget(all: &mut HashMap<(String, String), Entry>, most: usize) {
    let mut kept: Vec<_> = all
        .values_mut()
        .filter_map(|entry| {
            entry
                .kept
                .as_ref()
                .map(|(since, _)| *since)
                .map(|since| (since, entry))
        })
        .collect();
    kept.sort_by_key(|(since, _)| std::cmp::Reverse(*since));
    let mut bytes = 0_usize;
    for (_, entry) in kept {
        let own = entry
            .kept
            .as_ref()
            .map_or(0, |(_, tape)| tape.bytes.load(Ordering::Relaxed));
        bytes = bytes.saturating_add(own);
        if bytes > most {
            entry.kept = None;
        }
    }
}

// === impl Tape ===

impl Tape {
    /// Writes an event down.
    pub(crate) fn push(&self, event: Result<pb::ChatResponse, Status>) {
        let bytes = event.as_ref().map_or(0, |event| event.encoded_len());
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.push(event);
        let count = events.len();
        drop(events);
        self.state.send_modify(|(known, _)| *known = count);
    }

    /// Whoever writes it down; it is ended with the last reader.
    pub(crate) fn written_by(&self, work: AbortOnDropHandle<()>) {
        *self.work.lock().unwrap_or_else(PoisonError::into_inner) = Some(work);
    }

    /// Reads it from the beginning to its end.
    pub(crate) fn read(
        self: Arc<Self>,
    ) -> (
        mpsc::Receiver<Result<pb::ChatResponse, Status>>,
        AbortOnDropHandle<()>,
    ) {
        let (outbox, inbox) = mpsc::channel(OUTBOX);
        let reading = tokio::spawn(async move {
            let mut state = self.state.subscribe();
            let mut read = 0;
            loop {
                let (count, ended) = *state.borrow_and_update();
                while read < count {
                    let event = {
                        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
                        events[read].clone()
                    };
                    read += 1;
                    if outbox.send(event).await.is_err() {
                        return;
                    }
                }
                if ended || state.changed().await.is_err() {
                    return;
                }
            }
        });
        (inbox, AbortOnDropHandle::new(reading))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Who;

    #[test]
    fn of_answers_that_nobody_reads_the_oldest_go_first() {
        let joins = Joins::default();
        let key = Key::of_body(&Who::anonymous(), "/", "m", b"x");
        let kept = |id: &str| {
            let (tape, is_new) = joins.join("me", id, key).expect("joined");
            if is_new {
                tape.bytes.store(40, Ordering::Relaxed);
                joins.ended("me", id, &tape, true);
            }
            !is_new
        };
        assert!(!kept("a") && !kept("b") && !kept("c"));
        assert!(kept("a") && kept("b") && kept("c"));
        forget(&mut joins.lock(), 80);
        assert!(kept("b") && kept("c") && !kept("a"));
    }
}
