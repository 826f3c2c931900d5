//! How much audio one request may bring, and the flag that stops the work when nobody waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Upper bounds on one recording or stream. Declared sizes are checked before decoding, real ones during it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Encoded bytes. Default: 256 MiB.
    pub max_bytes: u64,
    /// Encoded bytes before the first sound: tags, pictures, tables. Parsers build objects of them that are several
    /// times as large, so this bounds the memory of an index or tag bomb. Default: 16 MiB.
    pub max_header_bytes: u64,
    /// Length of the audio. Default: 4 hours.
    pub max_duration: Duration,
    /// Channels, at most 64. Default: 8.
    pub max_channels: u32,
    /// Bytes of `f32` samples that [`decode`](crate::decode::decode) and
    /// [`decode_speech`](crate::decode::decode_speech) may collect. The block-wise forms hold one block at a time
    /// and do not need it. Default: 1 GiB, which is 4 hours and a half of 16 kHz mono.
    pub max_decoded_bytes: u64,
    /// Time that decoding a whole file may take beyond half of the audio's own length. Honest files need a
    /// hundredth of their length. Default: 4 s.
    pub patience: Duration,
}

/// A flag shared by who waits and who works. Cheap to clone; once set it stays set.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bytes: 256 << 20,
            max_header_bytes: 16 << 20,
            max_duration: Duration::from_secs(4 * 3600),
            max_channels: 8,
            max_decoded_bytes: 1 << 30,
            patience: Duration::from_secs(4),
        }
    }
}

// === impl Cancel ===

impl Cancel {
    /// A flag that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops the work at its next read or packet; it then answers [`Error::Cancelled`](crate::Error::Cancelled).
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the work should stop.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// How many hold the flag.
    #[cfg(test)]
    pub(crate) fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }
}
