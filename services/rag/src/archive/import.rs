//! A space made from an archive: all of it, or nothing.
//!
//! The rows are written under a space that nobody sees; when both indexes have them it is shown, in one step. What a crash
//! leaves of it is a hidden space, which the next start forgets.

use std::fs::File;
use std::io::{BufReader, Read};
use std::sync::Arc;

use polyphony_chassis::Caller;
use polyphony_error::{Fault, Kind};
use polyphony_wire::Refusals;

use super::format::{self, End, Frame, MAGIC, Manifest, broken};
use crate::domain::{Chunking, NewSpace, Passage, PassageId, Space, rules};
use crate::engine::{Embed, Side};
use crate::ledger::{NewPassage, Request, Shown};
use crate::staging::{Kept, Upload};
use crate::store::{blocking, owner};
use crate::{Error, Scope, Store};

/// What is known of all the bytes of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveEnd {
    /// How many they are.
    pub size_bytes: u64,
    /// `sha256:` over them, in hexadecimal.
    pub digest: String,
}

/// An archive that is being read.
#[derive(Debug)]
struct Reading {
    source: BufReader<File>,
    /// The frame after those that were given out.
    ahead: Option<Frame>,
    counted: End,
}

/// A space that is being imported. It is forgotten unless it was shown: also where its caller went away.
struct Hidden<'a> {
    store: &'a Store,
    scope: Option<Scope>,
}

/// A document with its passages.
type Whole = (format::Document, Vec<(format::Passage, Option<Vec<f32>>)>);

// === impl Store ===

impl Store {
    /// Begins to receive the bytes of an archive.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED when there is no room.
    pub fn upload_archive(&self) -> Result<Upload, Error> {
        self.staging().without_limit().begin()
    }

    /// Makes a space of the caller's from an archive. `id` is the last part of its name; none: as in the archive.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for bytes that are no whole archive, ALREADY_EXISTS when the caller has a space of that name,
    /// NOT_FOUND when its embedding model is not here, RESOURCE_EXHAUSTED when there is no room.
    pub async fn import(
        &self,
        caller: &Caller,
        id: Option<&str>,
        request_id: &str,
        kept: Kept,
        end: &ArchiveEnd,
    ) -> Result<Space, Error> {
        let owner = owner(caller)?;
        if kept.size() != end.size_bytes || kept.digest() != end.digest {
            let text = "the archive is not what was sent: its size or digest differs; send it again";
            return Err(Fault::invalid("end", text).with_reason("ARCHIVE_DIFFERS").into());
        }
        self.check_room()?;
        let path = kept.path();
        let (reading, manifest) = blocking(move || Reading::open(&path)).await?;
        let Manifest {
            space_id,
            display_name,
            embedding_model,
            language,
            target_tokens,
            max_tokens,
            overlap_tokens,
            vectors: _,
        } = manifest;
        let id = id.map_or(space_id, str::to_owned);
        let new = NewSpace {
            id: Some(id.clone()),
            display_name,
            embedding_model,
            language,
            chunking: Chunking {
                target_tokens,
                max_tokens,
                overlap_tokens,
            },
        };
        let new = self.checked(new).await?;
        let request = Request {
            id: request_id.to_owned(),
            kind: "import_space",
            digest: format!("{id} {}", end.digest),
        };
        // In this order: the same request, sent twice, may show its space between the two.
        let is_taken = self.ledger().owned(caller, &id).await.is_ok();
        if let Some(space) = self.ledger().imported(&owner, &request).await? {
            return Ok(space);
        }
        if is_taken {
            let text = format!("spaces/{id} is there already; choose another space_id");
            return Err(Fault::new(Kind::AlreadyExists, "SPACE_EXISTS", text).into());
        }
        let key = self
            .ledger()
            .begin_import(&owner, &id, &new, |key| self.is_mine(key))
            .await?;
        let Some(owned) = self.ledger().at_work(key).await? else {
            return Err(Error::damaged("a space that is being imported is not there"));
        };
        let mut hidden = Hidden {
            store: self,
            scope: Some(Scope::of(owned)),
        };
        if let Some(scope) = &hidden.scope {
            self.import_into(scope, reading).await?;
        }
        match self.ledger().show_imported(key, &owner, &id, &request).await? {
            Shown::Now(space) => {
                hidden.scope = None;
                Ok(space)
            }
            Shown::Before(space) => Ok(space),
        }
    }

    async fn import_into(&self, scope: &Scope, mut reading: Reading) -> Result<(), Error> {
        let model = self.models().embedder(scope.embedding_model()).await?;
        let space = scope.key().number();
        loop {
            self.check_room()?;
            let (model, of) = (Arc::clone(&model), scope.clone());
            let (read, whole) = blocking(move || {
                let whole = reading.next()?;
                let whole = whole.map(|whole| made(&of, &*model, whole)).transpose()?;
                Ok((reading, whole))
            })
            .await?;
            reading = read;
            let Some((document, passages)) = whole else { break };
            self.ledger().import_document(space, &document, &passages).await?;
        }
        self.ensure(scope).await
    }
}

/// A document's passages under the names of their new space, with vectors.
fn made(
    scope: &Scope,
    model: &dyn Embed,
    whole: Whole,
) -> Result<(format::Document, Vec<NewPassage>), Error> {
    let (document, passages) = whole;
    let mut all = Vec::with_capacity(passages.len());
    for (ordinal, (passage, vector)) in (0..).zip(passages) {
        let format::Passage {
            text,
            headings,
            first,
            last,
            place,
            tokens,
        } = passage;
        let passage = Passage {
            ordinal,
            range: first as usize..last as usize,
            text,
            headings: headings.into(),
            place: place.map(Into::into),
            tokens,
        };
        let vector = match vector {
            Some(vector) => vector,
            None => {
                let text = crate::ingest::worker::embedded_text(&document.title, &passage);
                model.embed(&[&text], Side::Passage)?.pop().unwrap_or_default()
            }
        };
        if vector.len() != model.dimensions() {
            let why = format!(
                "its vectors have {} numbers and {}'s have {}",
                vector.len(),
                model.model(),
                model.dimensions()
            );
            return Err(broken(why));
        }
        let id = PassageId::of(scope.space(), &document.id, ordinal, &passage.text);
        all.push(NewPassage { id, passage, vector });
    }
    Ok((document, all))
}

// === impl Hidden ===

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        if let Some(scope) = self.scope.take() {
            self.store.tidy_later(scope);
        }
    }
}

// === impl Reading ===

impl Reading {
    fn open(path: &std::path::Path) -> Result<(Self, Manifest), Error> {
        let file = File::open(path).map_err(|error| Error::file(path, "read", error))?;
        let mut source = BufReader::new(file);
        let mut magic = [0; MAGIC.len()];
        if source.read_exact(&mut magic).is_err() || magic != *MAGIC {
            return Err(broken("it does not begin like one of this version"));
        }
        let Some(Frame::Manifest(manifest)) = Frame::read(&mut source)? else {
            return Err(broken("it does not say what the space is"));
        };
        let mut reading = Self {
            source,
            ahead: None,
            counted: End::default(),
        };
        reading.ahead = Frame::read(&mut reading.source)?;
        Ok((reading, manifest))
    }

    /// The next document and its passages; none at the end.
    fn next(&mut self) -> Result<Option<Whole>, Error> {
        let document = match self.ahead.take() {
            Some(Frame::Document(document)) => *document,
            Some(Frame::End(end)) if end == self.counted => {
                let after = Frame::read(&mut self.source)?;
                return if after.is_none() {
                    Ok(None)
                } else {
                    Err(broken("it goes on after its end"))
                };
            }
            Some(Frame::End(_)) => return Err(broken("it says of itself that something is missing")),
            Some(Frame::Manifest(_) | Frame::Passage(..)) => {
                return Err(broken("its frames are out of order"));
            }
            None => return Err(broken("it has no end")),
        };
        if !crate::ingest::is_id(&document.id) {
            return Err(broken("a document has no name that could be used"));
        }
        let mut refusals = Refusals::at("content.");
        rules::head(&document.head, &mut refusals);
        refusals.finish()?;
        let mut passages = Vec::new();
        loop {
            self.ahead = Frame::read(&mut self.source)?;
            match self.ahead.take() {
                Some(Frame::Passage(passage, vector)) => {
                    if passage.first > passage.last {
                        return Err(broken("a passage ends before it begins"));
                    }
                    passages.push((passage, vector));
                }
                other => {
                    self.ahead = other;
                    break;
                }
            }
        }
        self.counted.documents += 1;
        self.counted.passages += passages.len() as u64;
        Ok(Some((document, passages)))
    }
}
