//! What models said of recordings that were heard before, by the digest of the audio.
//!
//! The same recording often comes again with another number of people or another threshold; then the models need not
//! run. Bounded in bytes: what was not used for longest goes first. In memory only: it holds voices.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

/// Something whose size is known.
pub trait Weigh {
    /// The bytes that it takes.
    fn bytes(&self) -> usize;
}

/// The digest of a recording: SHA-256 over its samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u8; 32]);

/// Things by the digest of the recording that they were made of. Cheap to clone.
#[derive(Debug)]
pub struct Cache<T> {
    inner: Arc<Mutex<Shelf<T>>>,
}

#[derive(Debug)]
struct Shelf<T> {
    entries: HashMap<Key, Entry<T>>,
    most: usize,
    held: usize,
    clock: u64,
}

#[derive(Debug)]
struct Entry<T> {
    value: Arc<T>,
    bytes: usize,
    used: u64,
}

// === impl Key ===

impl Key {
    /// The key of a recording.
    pub fn of(audio: &[f32]) -> Self {
        let mut hash = Sha256::new();
        let mut bytes = [0; 4096];
        for block in audio.chunks(bytes.len() / 4) {
            for (slot, sample) in bytes.chunks_exact_mut(4).zip(block) {
                slot.copy_from_slice(&sample.to_le_bytes());
            }
            hash.update(&bytes[..block.len() * 4]);
        }
        Self(hash.finalize().into())
    }
}

// === impl Cache ===

impl<T> Clone for Cache<T> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<T: Weigh> Cache<T> {
    /// An empty one that holds at most `most` bytes; 0 keeps nothing.
    pub fn new(most: usize) -> Self {
        let shelf = Shelf {
            entries: HashMap::new(),
            most,
            held: 0,
            clock: 0,
        };
        Self {
            inner: Arc::new(Mutex::new(shelf)),
        }
    }

    /// What is held of a recording; else it is made and kept if it fits. Two callers with the same recording at the same
    /// time may both make it.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn get_or<E>(&self, audio: &[f32], make: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        if self.shelf().most == 0 {
            return make().map(Arc::new);
        }
        let key = Key::of(audio);
        if let Some(value) = self.shelf().get(&key) {
            return Ok(value);
        }
        let value = Arc::new(make()?);
        self.shelf().put(key, Arc::clone(&value));
        Ok(value)
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Shelf ===

impl<T: Weigh> Shelf<T> {
    fn get(&mut self, key: &Key) -> Option<Arc<T>> {
        self.clock += 1;
        let entry = self.entries.get_mut(key)?;
        entry.used = self.clock;
        Some(Arc::clone(&entry.value))
    }

    fn put(&mut self, key: Key, value: Arc<T>) {
        let bytes = value.bytes() + size_of::<Entry<T>>() + size_of::<Key>();
        if bytes > self.most {
            return;
        }
        while self.held + bytes > self.most {
            let oldest = self
                .entries
                .iter()
                .min_by_key(|(_, entry)| entry.used)
                .map(|(key, _)| *key);
            let Some(gone) = oldest.and_then(|key| self.entries.remove(&key)) else {
                break;
            };
            self.held -= gone.bytes;
        }
        self.clock += 1;
        let entry = Entry {
            value,
            bytes,
            used: self.clock,
        };
        if let Some(replaced) = self.entries.insert(key, entry) {
            self.held -= replaced.bytes;
        }
        self.held += bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Weigh for Vec<u8> {
        fn bytes(&self) -> usize {
            self.len()
        }
    }

    fn room(entries: usize) -> usize {
        entries * (1000 + size_of::<Entry<Vec<u8>>>() + size_of::<Key>())
    }

    fn made(cache: &Cache<Vec<u8>>, audio: &[f32]) -> bool {
        let mut made = false;
        let value = cache.get_or::<()>(audio, || {
            made = true;
            Ok(vec![0; 1000])
        });
        assert_eq!(value.map(|value| value.len()), Ok(1000));
        made
    }

    #[test]
    fn the_same_audio_is_worked_through_once() {
        let cache = Cache::new(room(2));
        assert!(made(&cache, &[0.5, 0.25]));
        assert!(!made(&cache, &[0.5, 0.25]));
        assert!(
            made(&cache, &[0.5, 0.250_01]),
            "other samples are another recording"
        );
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let cache = Cache::new(room(2));
        for audio in [[1.0], [2.0], [1.0], [3.0]] {
            made(&cache, &audio);
        }
        assert!(!made(&cache, &[1.0]), "it was used after 2.0");
        assert!(made(&cache, &[2.0]));
    }

    #[test]
    fn nothing_is_kept_that_does_not_fit() {
        let cache = Cache::new(500);
        assert!(made(&cache, &[1.0]) && made(&cache, &[1.0]));
        assert!(made(&Cache::new(0), &[1.0]));
    }

    #[test]
    fn a_failure_is_not_kept() {
        let cache: Cache<Vec<u8>> = Cache::new(room(1));
        assert_eq!(cache.get_or(&[1.0], || Err("broken")), Err("broken"));
        assert!(made(&cache, &[1.0]));
    }
}
