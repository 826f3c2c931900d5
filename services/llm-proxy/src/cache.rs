//! Answers that are given again: bounded in size and age, and never another caller's.
//!
//! Only answers that are complete are put in. The key covers the caller, the model after aliases and the whole request.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::chat::Completed;
use crate::config::CacheConfig;
use crate::domain::Ask;
use crate::keys::Who;
use crate::metrics;

/// The cache of the process.
#[derive(Debug)]
pub(crate) struct Cache {
    ttl: Duration,
    most: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    entries: HashMap<Key, Entry>,
    /// In order of arrival, which is the order of age too.
    order: VecDeque<(Instant, Key)>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    value: Cached,
    bytes: usize,
    since: Instant,
}

/// A request, by the hash of all that decides its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key([u8; 32]);

/// An answer that is kept.
#[derive(Debug, Clone)]
pub(crate) enum Cached {
    /// As events tell it.
    Answer(Arc<Completed>),
    /// The body of a reply in JSON.
    Body(Bytes),
}

// === impl Key ===

impl Key {
    /// Of a conversation.
    pub(crate) fn of_ask(who: &Who, model: &str, ask: &Ask) -> Self {
        // The debug text names every field, so a new one is part of the key by itself; the model is the one that is meant.
        let ask = Ask {
            model: model.to_owned(),
            ..ask.clone()
        };
        Self::of(&[b"ask", who.name().as_bytes(), format!("{ask:?}").as_bytes()])
    }

    /// Of a request as it came.
    pub(crate) fn of_body(who: &Who, path: &str, model: &str, body: &[u8]) -> Self {
        let parts = [
            b"body",
            who.name().as_bytes(),
            path.as_bytes(),
            model.as_bytes(),
            body,
        ];
        Self::of(&parts)
    }

    fn of(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            // With lengths, so that no two lists of parts look alike.
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

// === impl Cache ===

impl Cache {
    pub(crate) fn new(config: &CacheConfig) -> Self {
        Self {
            ttl: config.ttl.get(),
            most: config.max_size.as_usize(),
            kept: Mutex::default(),
        }
    }

    /// The answer that is kept for this.
    pub(crate) fn get(&self, key: &Key) -> Option<Cached> {
        let mut kept = self.lock();
        kept.forget(self.ttl, usize::MAX);
        let found = kept.entries.get(key).map(|entry| entry.value.clone());
        metrics::looked_up(found.is_some());
        found
    }

    /// Keeps an answer.
    pub(crate) fn put(&self, key: Key, value: Cached) {
        let bytes = value.size();
        if bytes > self.most {
            return;
        }
        let mut kept = self.lock();
        kept.forget(self.ttl, self.most - bytes);
        let since = Instant::now();
        if let Some(before) = kept.entries.insert(key, Entry { value, bytes, since }) {
            kept.bytes -= before.bytes;
        }
        kept.bytes += bytes;
        kept.order.push_back((since, key));
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Kept ===

impl Kept {
    /// Forgets what is too old, and the oldest until no more than `most` bytes are left.
    fn forget(&mut self, ttl: Duration, most: usize) {
        while let Some((since, key)) = self.order.front().copied() {
            if since.elapsed() < ttl && self.bytes <= most {
                break;
            }
            self.order.pop_front();
            // It may have been put in anew since.
            if self.entries.get(&key).is_some_and(|entry| entry.since == since)
                && let Some(entry) = self.entries.remove(&key)
            {
                self.bytes -= entry.bytes;
            }
        }
    }
}

// === impl Cached ===

impl Cached {
    /// About what it takes in memory.
    fn size(&self) -> usize {
        const AROUND: usize = 512;
        AROUND
            + match self {
                Self::Body(body) => body.len(),
                Self::Answer(completed) => {
                    let choices = completed.choices.iter();
                    choices
                        .map(|choice| choice.message.bytes() + AROUND * choice.message.tool_calls.len())
                        .sum()
                }
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(ttl: Duration, most: u64) -> Cache {
        Cache::new(&CacheConfig {
            enabled: true,
            ttl: ttl.into(),
            max_size: polyphony_config::ByteSize::kib(most),
        })
    }

    fn body(size: usize) -> Cached {
        Cached::Body(vec![0; size].into())
    }

    #[test]
    fn the_oldest_go_when_it_is_full_and_all_go_in_time() {
        let cache = cache(Duration::from_secs(60), 4);
        let key = |name: &str| Key::of_body(&Who::anonymous(), "/", "m", name.as_bytes());
        for name in ["a", "b", "c"] {
            cache.put(key(name), body(1_000));
        }
        assert!(
            cache.get(&key("a")).is_none()
                && cache.get(&key("b")).is_some()
                && cache.get(&key("c")).is_some()
        );
        cache.put(key("d"), body(10_000));
        assert!(cache.get(&key("d")).is_none() && cache.get(&key("c")).is_some());
        let brief = self::cache(Duration::ZERO, 4);
        brief.put(key("a"), body(1));
        assert!(brief.get(&key("a")).is_none());
    }

    #[test]
    fn a_key_covers_who_asks_and_what() {
        let key =
            |who: &str, model: &str, body: &str| Key::of_body(&Who::named(who), "/p", model, body.as_bytes());
        let one = key("a", "m", "x");
        assert_eq!(one, key("a", "m", "x"));
        for other in [
            key("b", "m", "x"),
            key("a", "n", "x"),
            key("a", "m", "y"),
            key("am", "", "x"),
        ] {
            assert_ne!(one, other);
        }
    }
}
