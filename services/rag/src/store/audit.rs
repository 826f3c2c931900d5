//! Whether both indexes say what the ledger says.

use crate::store::blocking;
use crate::{Error, Scope, Store};

/// What was found when a space was looked over. It is sound when all but the first are 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Audit {
    /// Passages of ready documents in the ledger.
    pub passages: usize,
    /// Passages that the index of vectors lacks.
    pub missing_vectors: usize,
    /// Passages that the index of words lacks.
    pub missing_words: usize,
    /// Entries of the index of vectors that are no such passage.
    pub stray_vectors: usize,
    /// Entries of the index of words that are no such passage.
    pub stray_words: usize,
    /// Documents that wait or are on their way.
    pub waiting: usize,
}

// === impl Store ===

impl Store {
    /// Compares both indexes of a space with the ledger. Indexes that were not used since the start are mended first, as
    /// before any use.
    ///
    /// # Errors
    /// When the ledger or an index cannot be read.
    pub async fn audit(&self, scope: &Scope) -> Result<Audit, Error> {
        let room = self.room(scope);
        // While nobody writes, both indexes are at rest.
        let _writing = room.write().await;
        self.ensure_locked(scope).await?;
        let space = scope.key().number();
        let ready = self.ledger().ready_keys(space).await?;
        let vectors = self.dense().keys(scope).await?;
        let (lexical, of) = (self.lexical().clone(), scope.clone());
        let words = blocking(move || lexical.keys(&of)).await?;
        let waiting = self.ledger().waiting().await?.into_iter();
        let indexing = self.ledger().half_indexed().await?.into_iter();
        let gone = self.ledger().gone().await?.into_iter();
        Ok(Audit {
            passages: ready.len(),
            missing_vectors: lacking(&ready, &vectors),
            missing_words: lacking(&ready, &words),
            stray_vectors: vectors.len() - (ready.len() - lacking(&ready, &vectors)),
            stray_words: words.len() - (ready.len() - lacking(&ready, &words)),
            waiting: waiting
                .chain(indexing)
                .chain(gone)
                .filter(|(_, of)| *of == space)
                .count(),
        })
    }
}

impl Audit {
    /// Whether both indexes say exactly what the ledger says, and nothing is on its way.
    pub fn is_sound(&self) -> bool {
        let Self { passages, .. } = *self;
        *self
            == Self {
                passages,
                ..Self::default()
            }
    }
}

/// How many of these are not among those, which are in order.
fn lacking(these: &[i64], those: &[i64]) -> usize {
    these
        .iter()
        .filter(|key| those.binary_search(key).is_err())
        .count()
}
