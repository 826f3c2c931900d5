//! One open index of words: a reader that lasts, and a writer for each change.

use std::sync::{Arc, PoisonError, RwLock};

use tantivy::columnar::Column;
use tantivy::{Index, IndexReader, IndexWriter, ReloadPolicy, Searcher, TantivyDocument, Term};

use super::fields::{Fields, KEY};
use super::merging::Merging;
use super::{INDEX, LexicalConfig, failed};
use crate::Error;
use crate::ledger::Stored;

/// An open index.
pub(super) struct Opened {
    pub(super) index: Index,
    pub(super) fields: Fields,
    reader: IndexReader,
    view: RwLock<Arc<View>>,
}

/// An index as it was after a commit, with all that searches would else look up each time.
pub(super) struct View {
    pub(super) searcher: Searcher,
    /// The numbers of the passages, for each segment.
    pub(super) keys: Vec<Column<u64>>,
    /// The languages of its documents.
    pub(super) languages: Vec<String>,
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
        let view = RwLock::new(Arc::new(View::of(&reader, &fields)?));
        Ok(Self {
            index,
            fields,
            reader,
            view,
        })
    }

    /// The index as it is now.
    pub(super) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn write(&self, add: &[Stored], remove: &[i64], config: &LexicalConfig) -> Result<(), Error> {
        let mut writer: IndexWriter<TantivyDocument> = self
            .index
            .writer_with_num_threads(1, WRITER_BYTES)
            .map_err(failed("writing"))?;
        writer.set_merge_policy(Box::new(Merging));
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
        let view = Arc::new(View::of(&self.reader, &self.fields)?);
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = view;
        Ok(())
    }
}

// === impl View ===

impl View {
    fn of(reader: &IndexReader, fields: &Fields) -> Result<Self, Error> {
        let searcher = reader.searcher();
        let (mut keys, mut languages) = (Vec::new(), Vec::new());
        for segment in searcher.segment_readers() {
            keys.push(segment.fast_fields().u64(KEY).map_err(failed("reading"))?);
            let index = segment
                .inverted_index(fields.language)
                .map_err(failed("reading"))?;
            let mut terms = index
                .terms()
                .stream()
                .map_err(|error| Error::index(INDEX, "reading", error))?;
            while terms.advance() {
                languages.push(String::from_utf8_lossy(terms.key()).into_owned());
            }
        }
        languages.sort_unstable();
        languages.dedup();
        Ok(Self {
            searcher,
            keys,
            languages,
        })
    }
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").finish_non_exhaustive()
    }
}
