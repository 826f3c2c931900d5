//! A space made into an archive, piece by piece.

use sha2::{Digest, Sha256};

use super::format::{self, End, Frame, MAGIC, Manifest};
use super::import::ArchiveEnd;
use crate::ledger::{Snapshot, Stored, WrittenPlace};
use crate::staging::spelled;
use crate::{Error, Scope, Store};

/// An archive as it is made. It shows the space at one moment, however long the reading takes.
#[derive(Debug)]
pub struct Export {
    snapshot: Snapshot,
    vectors: bool,
    /// Made and not yet handed out.
    made: Vec<u8>,
    /// The last version that was written.
    after: i64,
    end: End,
    state: State,
    digest: Sha256,
    size: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Documents,
    Made,
    Ended,
}

/// A piece of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// The next bytes, at most 32 KiB.
    Bytes(Vec<u8>),
    /// There are no more.
    End(ArchiveEnd),
}

/// Bytes of a piece.
const PIECE: usize = 32 << 10;

// === impl Store ===

impl Store {
    /// Begins to make an archive of the space, as it is now.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn export(&self, scope: &Scope, omit_vectors: bool) -> Result<Export, Error> {
        let space = self.space(scope).await?;
        let snapshot = self.ledger().snapshot(scope.key().number()).await?;
        let manifest = Manifest {
            space_id: space.id,
            display_name: space.display_name,
            embedding_model: space.embedding_model,
            language: space.language,
            target_tokens: space.chunking.target_tokens,
            max_tokens: space.chunking.max_tokens,
            overlap_tokens: space.chunking.overlap_tokens,
            vectors: !omit_vectors,
        };
        let mut made = MAGIC.to_vec();
        made.extend(Frame::Manifest(manifest).to_bytes()?);
        Ok(Export {
            snapshot,
            vectors: !omit_vectors,
            made,
            after: 0,
            end: End::default(),
            state: State::Documents,
            digest: Sha256::new(),
            size: 0,
        })
    }
}

// === impl Export ===

impl Export {
    /// The next piece; none after the end.
    ///
    /// # Errors
    /// When the ledger fails; then the archive is not whole, and never ends.
    pub async fn next(&mut self) -> Result<Option<Piece>, Error> {
        while self.made.len() < PIECE && self.state == State::Documents {
            self.make().await?;
        }
        if !self.made.is_empty() {
            let rest = self.made.split_off(self.made.len().min(PIECE));
            let piece = std::mem::replace(&mut self.made, rest);
            self.digest.update(&piece);
            self.size += piece.len() as u64;
            return Ok(Some(Piece::Bytes(piece)));
        }
        if self.state == State::Ended {
            return Ok(None);
        }
        self.state = State::Ended;
        Ok(Some(Piece::End(ArchiveEnd {
            size_bytes: self.size,
            digest: spelled(&self.digest.finalize_reset()),
        })))
    }

    /// Makes the frames of the next document, or the last frame.
    async fn make(&mut self) -> Result<(), Error> {
        let Some((version, document)) = self.snapshot.next_document(self.after).await? else {
            self.made.extend(Frame::End(self.end).to_bytes()?);
            self.state = State::Made;
            return Ok(());
        };
        self.after = version;
        self.end.documents += 1;
        self.made.extend(Frame::Document(Box::new(document)).to_bytes()?);
        for Stored { passage, vector, .. } in self.snapshot.passages(version).await? {
            self.end.passages += 1;
            let written = format::Passage {
                text: passage.text,
                headings: passage.headings.to_vec(),
                first: passage.range.start as u64,
                last: passage.range.end as u64,
                place: passage.place.as_ref().map(WrittenPlace::from),
                tokens: passage.tokens,
            };
            let vector = self.vectors.then_some(vector);
            self.made.extend(Frame::Passage(written, vector).to_bytes()?);
        }
        Ok(())
    }
}
