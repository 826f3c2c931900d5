//! Answers that were given before, kept for a while and within bounds.
//!
//! A key is all that an answer depends on: whose space, which question, filters and settings, model, prompt and the
//! space's epoch. So an answer is never given to another owner, and never after the space has changed. Only what was put
//! in is kept; that it was good is for the caller to see to.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

/// Answers by key; those that were not asked for longest make room. Clones share them.
pub struct Cache<V> {
    inside: Arc<Mutex<Inside<V>>>,
    /// How long an answer is good.
    life: Duration,
    /// The most bytes of all answers, as their givers count them.
    most_bytes: usize,
}

/// All that an answer depends on.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u8; 32]);

/// Makes a [`Key`] of parts, each with a name.
#[derive(Debug, Default)]
pub struct KeyMaker(Sha256);

struct Inside<V> {
    entries: HashMap<Key, Entry<V>>,
    /// The keys by when they were last asked for.
    order: BTreeMap<u64, Key>,
    asked: u64,
    bytes: usize,
}

struct Entry<V> {
    value: Arc<V>,
    bytes: usize,
    put: Instant,
    asked: u64,
}

// === impl Cache ===

impl<V> Cache<V> {
    /// At most `most_bytes` of answers, each kept for `life`. With 0 bytes or no life nothing is kept.
    pub fn new(most_bytes: usize, life: Duration) -> Self {
        Self {
            inside: Arc::new(Mutex::new(Inside {
                entries: HashMap::new(),
                order: BTreeMap::new(),
                asked: 0,
                bytes: 0,
            })),
            life,
            most_bytes,
        }
    }

    /// An answer and how old it is.
    pub fn get(&self, key: &Key, now: Instant) -> Option<(Arc<V>, Duration)> {
        let mut inside = self.lock();
        let age = now.saturating_duration_since(inside.entries.get(key)?.put);
        if age >= self.life {
            inside.remove(key);
            return None;
        }
        inside.asked += 1;
        let asked = inside.asked;
        let entry = inside.entries.get_mut(key)?;
        let before = std::mem::replace(&mut entry.asked, asked);
        let value = Arc::clone(&entry.value);
        inside.order.remove(&before);
        inside.order.insert(asked, *key);
        Some((value, age))
    }

    /// Keeps an answer of so many bytes; one that is larger than all may be is not kept.
    pub fn put(&self, key: Key, value: V, bytes: usize, now: Instant) {
        if bytes > self.most_bytes || self.life.is_zero() {
            return;
        }
        let mut inside = self.lock();
        inside.remove(&key);
        while inside.bytes + bytes > self.most_bytes {
            let Some(oldest) = inside.order.first_key_value().map(|(_, key)| *key) else {
                break;
            };
            inside.remove(&oldest);
        }
        inside.asked += 1;
        let asked = inside.asked;
        inside.bytes += bytes;
        inside.order.insert(asked, key);
        let entry = Entry {
            value: Arc::new(value),
            bytes,
            put: now,
            asked,
        };
        inside.entries.insert(key, entry);
    }

    /// How many answers there are, and of how many bytes.
    pub fn size(&self) -> (usize, usize) {
        let inside = self.lock();
        (inside.entries.len(), inside.bytes)
    }

    fn lock(&self) -> MutexGuard<'_, Inside<V>> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> Inside<V> {
    fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.entries.remove(key) {
            self.order.remove(&entry.asked);
            self.bytes -= entry.bytes;
        }
    }
}

impl<V> Clone for Cache<V> {
    fn clone(&self) -> Self {
        Self {
            inside: Arc::clone(&self.inside),
            life: self.life,
            most_bytes: self.most_bytes,
        }
    }
}

impl<V> fmt::Debug for Cache<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (entries, bytes) = self.size();
        f.debug_struct("Cache")
            .field("entries", &entries)
            .field("bytes", &bytes)
            .finish_non_exhaustive()
    }
}

// === impl Key ===

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

// === impl KeyMaker ===

impl KeyMaker {
    /// Takes a part in. Names and lengths go in too, so that no two different lists of parts give the same bytes.
    #[must_use]
    pub fn part(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        for bytes in [name.as_bytes(), value.as_ref()] {
            self.0.update((bytes.len() as u64).to_le_bytes());
            self.0.update(bytes);
        }
        self
    }

    /// The key.
    pub fn finish(self) -> Key {
        Key(self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        KeyMaker::default().part("query", name).finish()
    }

    #[test]
    fn an_answer_is_found_until_it_is_old() {
        let cache = Cache::new(100, Duration::from_secs(10));
        let start = Instant::now();
        cache.put(key("a"), "answer", 10, start);
        let later = start + Duration::from_secs(9);
        let (found, age) = cache.get(&key("a"), later).expect("a hit");
        assert_eq!((*found, age), ("answer", Duration::from_secs(9)));
        assert!(cache.get(&key("b"), later).is_none());
        assert!(cache.get(&key("a"), start + Duration::from_secs(10)).is_none());
        assert_eq!(cache.size(), (0, 0));
    }

    #[test]
    fn what_was_not_asked_for_longest_makes_room() {
        let cache = Cache::new(30, Duration::from_secs(10));
        let now = Instant::now();
        for name in ["a", "b", "c"] {
            cache.put(key(name), name, 10, now);
        }
        cache.get(&key("a"), now).expect("a hit");
        cache.put(key("d"), "d", 15, now);
        assert!(cache.get(&key("b"), now).is_none() && cache.get(&key("c"), now).is_none());
        assert!(cache.get(&key("a"), now).is_some() && cache.get(&key("d"), now).is_some());
        assert_eq!(cache.size(), (2, 25));
        cache.put(key("e"), "e", 31, now);
        assert!(cache.get(&key("e"), now).is_none());
        cache.put(key("a"), "again", 20, now);
        assert_eq!(cache.size(), (1, 20));
    }

    #[test]
    fn no_two_lists_of_parts_are_one() {
        let of = |parts: &[(&str, &str)]| {
            let parts = parts.iter();
            parts
                .fold(KeyMaker::default(), |maker, (name, value)| {
                    maker.part(name, value)
                })
                .finish()
        };
        let keys = [
            of(&[("a", "bc")]),
            of(&[("ab", "c")]),
            of(&[("a", "b"), ("c", "")]),
            of(&[("a", "b"), ("", "c")]),
            of(&[("a", ""), ("b", "c")]),
        ];
        for (at, one) in keys.iter().enumerate() {
            assert!(keys[at + 1..].iter().all(|other| other != one));
        }
    }
}
