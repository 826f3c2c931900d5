//! From the bytes of a document to its passages: who can read it does, its kind is decided, and it is cut.
//!
//! Text formats are read here, on a thread that may block; pages and recordings go to the ocr and asr services.

mod kinds;
mod language;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use polyphony_error::Fault;
use prost::bytes::Bytes;
use tokio::task::spawn_blocking;

use crate::Error;
use crate::chunk::{self, ChunkRules};
use crate::clients::{MOST_MEDIA, Pages, Speech};
use crate::doctype::upto;
use crate::domain::{Chunking, Parsed, Passage};
use crate::encoders::{Embedding, Encoders};
use crate::engine::{Prepare, Prepared, Source, Step, StepFn};
use crate::parse::{self, Format, Limits, Reader};

pub(crate) use kinds::{Classifiers, Kinds};

/// Makes passages of documents. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Preparer {
    encoders: Encoders,
    pages: Pages,
    speech: Speech,
    kinds: Arc<Kinds>,
}

/// Of what a model reads, what is left for the headings that go before a passage, and for the tokens that it adds.
const HEADINGS: usize = 40;
/// The most bytes of a document's beginning by which its kind is decided.
const BEGINNING: usize = 2_000;

/// The beginning of a document, by which its kind is decided.
pub fn beginning(text: &str) -> &str {
    upto(text, BEGINNING).trim()
}

// === impl Preparer ===

impl Preparer {
    pub(crate) fn new(encoders: Encoders, pages: Pages, speech: Speech, kinds: Kinds) -> Self {
        Self {
            encoders,
            pages,
            speech,
            kinds: Arc::new(kinds),
        }
    }

    async fn read(&self, source: Source<'_>, step: &StepFn) -> Result<Prepared, Fault> {
        step(Step::Parsing);
        let head = source.head;
        let bytes = tokio::fs::read(source.path).await;
        let bytes = Bytes::from(bytes.map_err(|error| Error::file(source.path, "read", error))?);
        let (media_type, format) =
            Format::find(&head.media_type, &head.source_uri, &bytes).map_err(unreadable)?;
        let expected = head.language.as_deref().or(source.language);
        let parsed = match format.reader() {
            Reader::Here => {
                blocking(move || parse::parse(format, &bytes, Limits::default()).map_err(unreadable)).await?
            }
            Reader::Ocr => {
                step(Step::Recognizing);
                check_size(&bytes, "ocr")?;
                self.pages.read(bytes, expected).await?
            }
            Reader::Asr => {
                step(Step::Recognizing);
                check_size(&bytes, "asr")?;
                self.speech.hear(bytes, expected).await?
            }
        };
        if parsed.blocks.is_empty() {
            return Err(unreadable(parse::Error::Empty));
        }
        let language = expected
            .map(str::to_owned)
            .or_else(|| language::of(&parsed.text).map(str::to_owned));
        let given = head.title.clone().filter(|title| !title.trim().is_empty());
        let title = given
            .or_else(|| parsed.title.as_deref().map(parse::folded))
            .unwrap_or_else(|| file_name(&head.source_uri).to_owned());
        let embedding = self.encoders.embedding(source.embedding_model).await?;
        let given = head.doc_type.as_deref().unwrap_or_default();
        let doc_type = self
            .kinds
            .decide(given, &parsed.text, &embedding, &self.encoders)
            .await?;
        step(Step::Chunking);
        let chunking = source.chunking;
        let passages = blocking(move || cut(&parsed, chunking, &embedding)).await?;
        Ok(Prepared {
            media_type: media_type.to_owned(),
            title,
            language,
            doc_type: Some(doc_type),
            passages,
        })
    }
}

impl Prepare for Preparer {
    fn prepare<'a>(&'a self, source: Source<'a>, step: &'a StepFn) -> BoxFuture<'a, Result<Prepared, Fault>> {
        Box::pin(self.read(source, step))
    }
}

/// Cuts a document so that the model reads each passage whole.
fn cut(parsed: &Parsed, chunking: Chunking, embedding: &Embedding) -> Result<Vec<Passage>, Fault> {
    let readable = embedding.max_tokens().saturating_sub(HEADINGS).max(1);
    let most = (chunking.max_tokens as usize).min(readable);
    let target = (chunking.target_tokens as usize).min(most);
    let rules = ChunkRules {
        target,
        most,
        overlap: (chunking.overlap_tokens as usize).min(target / 2),
    };
    // A text that the tokenizer will not take is far beyond any passage.
    let count = |text: &str| embedding.tokenizer().count(text).unwrap_or(usize::MAX);
    Ok(chunk::passages(parsed, rules, count))
}

fn check_size(bytes: &Bytes, service: &str) -> Result<(), Fault> {
    if bytes.len() as u64 <= MOST_MEDIA {
        return Ok(());
    }
    let text = format!(
        "has {} MiB; the {service} service takes {} MiB at once: split it",
        bytes.len() >> 20,
        MOST_MEDIA >> 20
    );
    Err(Fault::invalid("content", text).with_reason("DOCUMENT_TOO_LARGE"))
}

fn unreadable(error: parse::Error) -> Fault {
    let reason = match &error {
        parse::Error::UnknownType { .. } => "UNKNOWN_MEDIA_TYPE",
        parse::Error::NotText { .. } => "NOT_TEXT",
        parse::Error::Broken { .. } => "DOCUMENT_BROKEN",
        parse::Error::TooLarge { .. } => "DOCUMENT_TOO_LARGE",
        parse::Error::Empty => "DOCUMENT_WITHOUT_TEXT",
    };
    Fault::invalid("content", error.to_string()).with_reason(reason)
}

/// The last part of a path or address, as a title where there is no other.
fn file_name(uri: &str) -> &str {
    let path = uri.split(['?', '#']).next().unwrap_or_default();
    path.trim_end_matches('/')
        .rsplit(['/', '\\'])
        .next()
        .unwrap_or_default()
}

/// Runs what blocks on a thread for that. A parser that panics on a document fails that document alone.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    spawn_blocking(work)
        .await
        .unwrap_or_else(|panic| Err(Fault::internal(panic)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_without_a_title_is_called_as_its_file() {
        assert_eq!(file_name("docs/a/engine.md"), "engine.md");
        assert_eq!(file_name("https://example.org/docs/?page=1"), "docs");
        assert_eq!(file_name("C:\\docs\\engine.md"), "engine.md");
        assert_eq!(file_name(""), "");
    }

    #[test]
    fn the_beginning_ends_between_characters() {
        let text = "ä".repeat(2_000);
        assert_eq!(beginning(&text).len(), 2_000);
        assert_eq!(beginning(&format!("x{text}")).len(), 1_999);
        assert_eq!(beginning(" a "), "a");
    }
}
