//! One open index of words: a reader that lasts, and a writer for each change.

use std::sync::{Arc, PoisonError, RwLock};

use tantivy::{Index, IndexReader, IndexWriter, ReloadPolicy, TantivyDocument, Term};

use super::fields::Fields;
use super::{INDEX, LexicalConfig, failed};
use crate::Error;
use crate::ledger::Stored;

/// An open index.
pub(super) struct Opened {
    pub(super) index: Index,
    pub(super) reader: IndexReader,
    pub(super) fields: Fields,
    /// The languages of its documents.
    pub(super) languages: RwLock<Arc<[String]>>,
}

/// What a writer may hold in memory, the least that tantivy takes.
const WRITER_BYTES: usize = 15_000_000;

// === impl Opened ===

impl Opened {
    pub(super) fn of(index: Index) -> Result<Self, Error> {
        let fields = Fields::of(&index)?;
        let reader = index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .try_into()
            .map_err(failed("opening"))?;
        let opened = Self {
            index,
            reader,
            fields,
            languages: RwLock::default(),
        };
        opened.read_languages()?;
        Ok(opened)
    }

    pub(super) fn write(&self, add: &[Stored], remove: &[i64], config: &LexicalConfig) -> Result<(), Error> {
        let mut writer: IndexWriter<TantivyDocument> = self
            .index
            .writer_with_num_threads(1, WRITER_BYTES)
            .map_err(failed("writing"))?;
        let of_key = |key: i64| Term::from_field_u64(self.fields.key, key.unsigned_abs());
        for key in remove
            .iter()
            .copied()
            .chain(add.iter().map(|passage| passage.key))
        {
            writer.delete_term(of_key(key));
        }
        for passage in add {
            let document = self.fields.document(passage, config);
            writer.add_document(document).map_err(failed("writing"))?;
        }
        writer.commit().map_err(failed("committing"))?;
        // A writer that is dropped gives up its merges.
        writer.wait_merging_threads().map_err(failed("merging"))?;
        self.reader.reload().map_err(failed("reloading"))?;
        self.read_languages()
    }

    fn read_languages(&self) -> Result<(), Error> {
        let mut all = Vec::new();
        for segment in self.reader.searcher().segment_readers() {
            let index = segment
                .inverted_index(self.fields.language)
                .map_err(failed("reading"))?;
            let mut terms = index
                .terms()
                .stream()
                .map_err(|error| Error::index(INDEX, "reading", error))?;
            while terms.advance() {
                all.push(String::from_utf8_lossy(terms.key()).into_owned());
            }
        }
        all.sort_unstable();
        all.dedup();
        *self.languages.write().unwrap_or_else(PoisonError::into_inner) = all.into();
        Ok(())
    }
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").finish_non_exhaustive()
    }
}
