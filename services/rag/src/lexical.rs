//! The index of words: BM25 by tantivy, an index for each space.
//!
//! How rare a word is decides what it counts, and that must come from the documents of the space alone: in an index that
//! spaces share, the scores of one would tell what is in another. An index is a few files; those that were used last are
//! open, up to a limit, and a writer lives for one commit only. Indexes follow the ledger: one that is missing or broken is made
//! anew from it (`Lexical::make`), and a number that the ledger does not know is never shown.

mod config;
mod english;
mod fields;
mod merging;
mod opened;
mod query;
pub(crate) mod words;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tantivy::Index;
use tantivy::collector::TopDocs;
use tantivy::directory::MmapDirectory;

pub use config::{LexicalConfig, LexicalEngine};
pub(crate) use query::{Wanted, pair, pairs};

use crate::Error;
use crate::domain::Filter;
use crate::fuse::Scored;
use crate::ledger::Stored;
use crate::scope::{Scope, SpaceKey};
use fields::{Fields, VERSION};
use opened::Opened;
use query::Rarity;

/// The indexes of words. Cheap to clone. Its functions block.
#[derive(Debug, Clone)]
pub(crate) struct Lexical {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    config: LexicalConfig,
    most_open: usize,
    open: Mutex<Open>,
}

/// Indexes that are open, and when each was last asked for.
#[derive(Debug, Default)]
struct Open {
    indexes: HashMap<SpaceKey, (Arc<Opened>, u64)>,
    clock: u64,
}

/// What an index was made with: with anything else it would say something else.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Made {
    version: u32,
    title_boost: u32,
    heading_boost: u32,
}

/// What was found, and what was looked for.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The passages that fit best, the best first.
    pub(crate) scored: Vec<Scored>,
    /// The stems of the query.
    pub(crate) wanted: Wanted,
    /// Of the query's words, weighed by how rare they are, the share that the space has: 0 to 1.
    pub(crate) read: f32,
}

/// The file that says what an index was made with.
const MADE: &str = "made.json";
const INDEX: &str = "lexical";

// === impl Lexical ===

impl Lexical {
    /// The indexes in this folder.
    pub(crate) fn new(folder: PathBuf, config: LexicalConfig, most_open: usize) -> Self {
        Self {
            inner: Arc::new(Inner {
                folder,
                config,
                most_open,
                open: Mutex::default(),
            }),
        }
    }

    /// At most `limit` passages of the space that fit the words of the query, the best first. 0 tells only its words.
    ///
    /// # Errors
    /// When the index is missing or broken.
    pub(crate) fn search(
        &self,
        scope: &Scope,
        text: &str,
        filter: &Filter,
        limit: usize,
    ) -> Result<Found, Error> {
        let opened = self.opened(scope)?;
        let view = opened.view();
        let wanted = Wanted::of(text, &view.languages, self.inner.config.stop_words);
        if limit == 0 {
            return Ok(Found {
                wanted,
                ..Found::default()
            });
        }
        let rarity = Rarity::of(&wanted, &opened.fields, &view.searcher).map_err(failed("searching"))?;
        let Some(query) = wanted.query(&opened.fields, filter, &rarity) else {
            return Ok(Found {
                wanted,
                ..Found::default()
            });
        };
        let read = wanted.read(&opened.fields, &rarity);
        let collector = TopDocs::with_limit(limit).order_by_score();
        let best = view
            .searcher
            .search_with_statistics_provider(&*query, &collector, &rarity)
            .map_err(failed("searching"))?;
        let mut scored = Vec::with_capacity(best.len());
        for (score, address) in best {
            let key = view.keys[address.segment_ord as usize]
                .first(address.doc_id)
                .and_then(|key| i64::try_from(key).ok());
            let key =
                key.ok_or_else(|| Error::damaged("the index of words has a passage without a number"))?;
            scored.push(Scored { key, score });
        }
        Scored::sort(&mut scored);
        Ok(Found { scored, wanted, read })
    }

    /// Adds passages, each in the place of one with its number, takes others away, and returns when the disk has it all.
    ///
    /// # Errors
    /// When nothing of it was done.
    pub(crate) fn write(&self, scope: &Scope, add: &[Stored], remove: &[i64]) -> Result<(), Error> {
        let opened = self.opened(scope)?;
        let written = opened.write(add, remove, &self.inner.config);
        if written.is_err() {
            // After an error a writer is dead, and so may be what it shares with the index.
            self.close(scope);
        }
        written
    }

    /// The numbers of the passages that the index of the space knows, in order.
    ///
    /// # Errors
    /// When the index is missing or broken.
    pub(crate) fn keys(&self, scope: &Scope) -> Result<Vec<i64>, Error> {
        let opened = self.opened(scope)?;
        let view = opened.view();
        let mut keys = Vec::new();
        for (segment, column) in view.searcher.segment_readers().iter().zip(&view.keys) {
            let found = segment
                .doc_ids_alive()
                .filter_map(|document| column.first(document));
            keys.extend(found.filter_map(|key| i64::try_from(key).ok()));
        }
        keys.sort_unstable();
        Ok(keys)
    }

    /// Opens the index of the space, checks its files, and makes an empty one where it is missing, broken or of other
    /// making. The caller fills it.
    ///
    /// # Errors
    /// When no index can be made there.
    pub(crate) fn make(&self, scope: &Scope) -> Result<(), Error> {
        self.close(scope);
        let folder = self.folder(scope);
        match self.open_at(&folder) {
            Ok(opened) => match opened.index.validate_checksum() {
                Ok(broken) if broken.is_empty() => {
                    self.keep(scope, Arc::new(opened));
                    return Ok(());
                }
                _ => {
                    tracing::warn!(folder = %folder.display(), "an index of words is broken and is made anew")
                }
            },
            Err(_) if !folder.exists() => {}
            Err(error) => {
                let error = polyphony_error::chain(&error).to_string();
                tracing::warn!(folder = %folder.display(), error, "an index of words is made anew");
            }
        }
        let opened = self.create(&folder)?;
        self.keep(scope, Arc::new(opened));
        Ok(())
    }

    /// Deletes the index of the space.
    ///
    /// # Errors
    /// When files cannot be deleted.
    pub(crate) fn delete(&self, scope: &Scope) -> Result<(), Error> {
        self.close(scope);
        remove_folder(&self.folder(scope))
    }

    /// Deletes the indexes of spaces that are not among these.
    ///
    /// # Errors
    /// When files cannot be read or deleted.
    pub(crate) fn retain(&self, spaces: &[i64]) -> Result<(), Error> {
        let folder = &self.inner.folder;
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::file(folder, "read", error)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| Error::file(folder, "read", error))?;
            let name = entry.file_name();
            let space = name.to_str().and_then(|name| name.parse::<i64>().ok());
            if space.is_none_or(|space| spaces.binary_search(&space).is_err()) {
                remove_folder(&entry.path())?;
            }
        }
        Ok(())
    }

    fn opened(&self, scope: &Scope) -> Result<Arc<Opened>, Error> {
        {
            let mut open = self.open();
            open.clock += 1;
            let now = open.clock;
            if let Some((opened, used)) = open.indexes.get_mut(&scope.key()) {
                *used = now;
                return Ok(Arc::clone(opened));
            }
        }
        let opened = Arc::new(self.open_at(&self.folder(scope))?);
        Ok(self.keep(scope, opened))
    }

    /// Keeps an index open; if there is one by now, that one stays.
    fn keep(&self, scope: &Scope, opened: Arc<Opened>) -> Arc<Opened> {
        let mut open = self.open();
        open.clock += 1;
        let now = open.clock;
        let entry = open.indexes.entry(scope.key()).or_insert((opened, now));
        entry.1 = now;
        let kept = Arc::clone(&entry.0);
        while open.indexes.len() > self.inner.most_open {
            let oldest = open
                .indexes
                .iter()
                .min_by_key(|(_, (_, used))| *used)
                .map(|(key, _)| *key);
            // Whoever searches it now holds it until then.
            oldest.and_then(|oldest| open.indexes.remove(&oldest));
        }
        kept
    }

    fn close(&self, scope: &Scope) {
        self.open().indexes.remove(&scope.key());
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.inner.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn folder(&self, scope: &Scope) -> PathBuf {
        self.inner.folder.join(scope.key().number().to_string())
    }

    fn open_at(&self, folder: &Path) -> Result<Opened, Error> {
        let made = folder.join(MADE);
        let text = fs::read_to_string(&made).map_err(|error| Error::file(&made, "read", error))?;
        if serde_json::from_str::<Made>(&text).ok() != Some(self.made()) {
            return Err(Error::damaged("an index of words was made in another way"));
        }
        let directory = MmapDirectory::open(folder).map_err(|error| Error::index(INDEX, "opening", error))?;
        let index = Index::open(directory).map_err(failed("opening"))?;
        Opened::of(index)
    }

    fn create(&self, folder: &Path) -> Result<Opened, Error> {
        remove_folder(folder)?;
        fs::create_dir_all(folder).map_err(|error| Error::file(folder, "made", error))?;
        let (schema, _) = Fields::schema();
        let index = Index::create_in_dir(folder, schema).map_err(failed("making"))?;
        // Last: an index without it was not made to the end.
        let made =
            serde_json::to_string(&self.made()).map_err(|error| Error::index(INDEX, "making", error))?;
        crate::staging::write_whole(&folder.join(MADE), made.as_bytes())?;
        Opened::of(index)
    }

    fn made(&self) -> Made {
        Made {
            version: VERSION,
            title_boost: self.inner.config.title_boost,
            heading_boost: self.inner.config.heading_boost,
        }
    }
}

fn failed(doing: &'static str) -> impl Fn(tantivy::TantivyError) -> Error {
    move |error| Error::index(INDEX, doing, error)
}

fn remove_folder(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::file(folder, "deleted", error))
        }
        _ => Ok(()),
    }
}
