//! Decoders that are made when they are first needed and used by one utterance at a time.
//!
//! A decoder takes a quarter of a second to make and 94 MB to keep, so a few idle ones are kept and the rest let go.
//! Nobody waits as long as the number is that of the callers let in; if it is lower, callers wait their turn.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::ffi::{self, Decoder, Sphinx};
use crate::domain::Cancel;

/// How often a waiting caller looks whether it was cancelled.
const LOOK: Duration = Duration::from_millis(20);

/// Decoders of one model.
pub(super) struct Pool {
    library: Arc<Sphinx>,
    options: Vec<String>,
    most: usize,
    kept: usize,
    state: Mutex<State>,
    freed: Condvar,
}

/// A decoder in use; comes back to the pool when dropped.
pub(super) struct Checkout {
    pool: Arc<Pool>,
    decoder: Option<Decoder>,
}

struct State {
    idle: Vec<Decoder>,
    made: usize,
}

// === impl Pool ===

impl Pool {
    /// A pool of at most `most` decoders that keeps `kept` of them when idle. The first is made now, to find out whether
    /// it works.
    pub(super) fn new(
        library: Arc<Sphinx>,
        options: Vec<String>,
        most: usize,
        kept: usize,
    ) -> Result<Self, ffi::Error> {
        let first = Decoder::new(&library, &options)?;
        Ok(Self {
            library,
            options,
            most: most.max(1),
            kept: kept.max(1),
            state: Mutex::new(State {
                idle: vec![first],
                made: 1,
            }),
            freed: Condvar::new(),
        })
    }

    /// A decoder; `None` when `cancel` was set while waiting for one.
    pub(super) fn check_out(self: &Arc<Self>, cancel: &Cancel) -> Result<Option<Checkout>, ffi::Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let found = loop {
            if cancel.is_cancelled() {
                return Ok(None);
            }
            if let Some(decoder) = state.idle.pop() {
                break Some(decoder);
            }
            if state.made < self.most {
                state.made += 1;
                break None;
            }
            (state, _) = self
                .freed
                .wait_timeout(state, LOOK)
                .unwrap_or_else(PoisonError::into_inner);
        };
        drop(state);
        let decoder = match found {
            Some(decoder) => decoder,
            None => Decoder::new(&self.library, &self.options).inspect_err(|_| self.lost())?,
        };
        Ok(Some(Checkout {
            pool: Arc::clone(self),
            decoder: Some(decoder),
        }))
    }

    fn lost(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).made -= 1;
        self.freed.notify_one();
    }
}

// === impl Checkout ===

impl Checkout {
    /// The decoder; an error after it was discarded.
    pub(super) fn decoder(&mut self) -> Result<&mut Decoder, ffi::Error> {
        self.decoder
            .as_mut()
            .ok_or(ffi::Error::Call("a discarded decoder"))
    }

    /// Lets the decoder go instead of giving it back: it failed, or to end its utterance would cost more.
    pub(super) fn discard(&mut self) {
        if self.decoder.take().is_some() {
            self.pool.lost();
        }
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        let Some(decoder) = self.decoder.take() else {
            return;
        };
        let mut state = self.pool.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.idle.len() < self.pool.kept {
            state.idle.push(decoder);
        } else {
            state.made -= 1;
        }
        drop(state);
        self.pool.freed.notify_one();
    }
}
