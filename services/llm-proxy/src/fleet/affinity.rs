//! Which upstream has seen which beginnings of conversations, so that a conversation goes on where its KV cache is.
//!
//! A text is cut into blocks; each block's hash covers all before it. Who saw a block is kept in two generations of a fixed
//! size: when the younger is full it becomes the older, and what nobody asked for is forgotten. It is a guess about what an
//! upstream's cache holds, and only ever decides between upstreams that could all answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use twox_hash::XxHash64;

/// The hashes of the beginning of a conversation with one model.
#[derive(Debug, Clone)]
pub(crate) struct Prefix(Vec<u64>);

/// Who has seen what.
#[derive(Debug, Default)]
pub(super) struct Affinity(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<u64, Arc<str>>,
    old: HashMap<u64, Arc<str>>,
}

/// Bytes of a block: some tens of tokens, as the blocks of KV caches have.
const BLOCK: usize = 256;
/// Blocks that are looked at; what comes after 128 KiB does not change the choice.
const MOST_BLOCKS: usize = 512;
/// Blocks of a generation; each takes some 50 bytes.
const GENERATION: usize = 1 << 16;

// === impl Prefix ===

impl Prefix {
    /// Of a conversation as text.
    pub(crate) fn of(model: &str, text: &[u8]) -> Self {
        let mut hash = XxHash64::oneshot(0, model.as_bytes());
        let blocks = text.chunks_exact(BLOCK).take(MOST_BLOCKS);
        let hashes = blocks.map(|block| {
            hash = XxHash64::oneshot(hash, block);
            hash
        });
        Self(hashes.collect())
    }
}

// === impl Affinity ===

impl Affinity {
    /// Who has seen the most of this beginning, and how many bytes.
    pub(super) fn longest(&self, prefix: &Prefix) -> Option<(Arc<str>, usize)> {
        let Generations { young, old } = &*self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let blocks = prefix.0.iter().enumerate().rev();
        let seen = |hash| young.get(hash).or_else(|| old.get(hash));
        blocks
            .filter_map(|(at, hash)| Some((Arc::clone(seen(hash)?), (at + 1) * BLOCK)))
            .next()
    }

    /// The upstream has seen this beginning.
    pub(super) fn note(&self, prefix: &Prefix, upstream: &Arc<str>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for hash in &prefix.0 {
            if all.young.len() >= GENERATION {
                all.old = std::mem::take(&mut all.young);
            }
            all.young.insert(*hash, Arc::clone(upstream));
        }
    }
}
