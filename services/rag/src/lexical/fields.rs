//! What the index of words says of a passage: one field of words, and what searches filter by. Nothing is stored: texts
//! are in the ledger, under the passage's number.

use tantivy::schema::{
    FAST, Field, INDEXED, IndexRecordOption, NumericOptions, STRING, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::tokenizer::{PreTokenizedString, Token};
use tantivy::{Index, TantivyDocument};

use super::LexicalConfig;
use super::query::pairs;
use super::words::{Stems, is_stop_word, primary, words};
use crate::Error;
use crate::domain::time::micros;
use crate::ledger::Stored;

/// The fields. Another set of them, or other words in them, is another [`VERSION`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields {
    /// The passage's number.
    pub(super) key: Field,
    /// The words of title, headings and text that say something.
    pub(super) body: Field,
    /// The others, apart, so that they make no passage long: BM25 is that of an index without them. They are looked for
    /// only where a query has no other words, or where all words are asked for.
    pub(super) little: Field,
    pub(super) language: Field,
    pub(super) document: Field,
    pub(super) doc_type: Field,
    pub(super) tag: Field,
    pub(super) metadata: Field,
    pub(super) time: Field,
}

/// The version of what is written. An index of another one is made anew.
pub(super) const VERSION: u32 = 2;

/// The name of the passage's number among the columns.
pub(super) const KEY: &str = "key";

// === impl Fields ===

impl Fields {
    pub(super) fn schema() -> (Schema, Self) {
        let mut schema = Schema::builder();
        let counted = TextFieldIndexing::default()
            // Words come cut already; this name is only asked for when they do not.
            .set_tokenizer("raw")
            .set_index_option(IndexRecordOption::WithFreqs)
            .set_fieldnorms(true);
        let number = NumericOptions::from(INDEXED | FAST);
        let fields = Self {
            key: schema.add_u64_field(KEY, number.clone()),
            body: schema.add_text_field(
                "body",
                TextOptions::default().set_indexing_options(counted.clone()),
            ),
            little: schema.add_text_field("little", TextOptions::default().set_indexing_options(counted)),
            language: schema.add_text_field("language", STRING),
            document: schema.add_text_field("document", STRING),
            doc_type: schema.add_text_field("doc_type", STRING),
            tag: schema.add_text_field("tag", STRING),
            metadata: schema.add_text_field("metadata", STRING),
            time: schema.add_i64_field("time", number),
        };
        (schema.build(), fields)
    }

    /// The fields of an index, if it has them all.
    pub(super) fn of(index: &Index) -> Result<Self, Error> {
        let (schema, fields) = Self::schema();
        if index.schema() == schema {
            return Ok(fields);
        }
        Err(Error::damaged("an index of words has other fields"))
    }

    /// A passage as the index has it. Words of the title and of headings count as often as their boost says (BM25F with
    /// whole weights and one normalisation: weighted frequencies are added before they are scored).
    pub(super) fn document(&self, passage: &Stored, config: &LexicalConfig) -> TantivyDocument {
        let Stored {
            key, passage, about, ..
        } = passage;
        let language = about.language.as_deref().unwrap_or_default();
        let stems = Stems::of(language);
        let (mut body, mut little) = (Vec::new(), Vec::new());
        let mut add = |text: &str, times: u32| {
            for word in words(text) {
                let tokens = if is_stop_word(language, &word.text) {
                    &mut little
                } else {
                    &mut body
                };
                let stem = stems.stem(&word).into_owned();
                for _ in 0..times {
                    tokens.push(Token {
                        text: stem.clone(),
                        position: tokens.len(),
                        ..Token::default()
                    });
                }
            }
        };
        add(&about.title, config.title_boost);
        for heading in passage.headings.iter().filter(|heading| **heading != about.title) {
            add(heading, config.heading_boost);
        }
        add(&passage.text, 1);
        let mut document = TantivyDocument::new();
        document.add_u64(self.key, key.unsigned_abs());
        for (field, tokens) in [(self.body, body), (self.little, little)] {
            let text = String::new();
            document.add_pre_tokenized_text(field, PreTokenizedString { text, tokens });
        }
        document.add_text(self.language, primary(language));
        document.add_text(self.document, &about.document);
        if let Some(doc_type) = &about.doc_type {
            document.add_text(self.doc_type, doc_type);
        }
        for tag in &about.tags {
            document.add_text(self.tag, tag);
        }
        for pair in pairs(&about.metadata) {
            document.add_text(self.metadata, pair);
        }
        if let Some(time) = about.time {
            document.add_i64(self.time, micros(time));
        }
        document
    }
}
