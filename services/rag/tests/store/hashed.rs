//! Models and parsers of a few lines: vectors of hashed words, and documents that are a passage for each line.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use polyphony_error::{Fault, Kind};
use polyphony_rag::domain::{DocType, DocTypeSource, Passage};
use polyphony_rag::engine::{Embed, Models, Prepare, Prepared, Rank, Side, Source, StepFn};

/// Vectors that are near where texts share words: each word adds to one place.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hashed {
    /// Texts that were embedded.
    pub(crate) embedded: Arc<AtomicUsize>,
}

/// Every line of a document is a passage.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lines;

const DIMENSIONS: usize = 64;

impl Embed for Hashed {
    fn model(&self) -> &str {
        "hashed"
    }

    fn dimensions(&self) -> usize {
        DIMENSIONS
    }

    fn embed(&self, texts: &[&str], _side: Side) -> Result<Vec<Vec<f32>>, Fault> {
        self.embedded.fetch_add(texts.len(), Ordering::Relaxed);
        let vector = |text: &&str| {
            let mut vector = vec![0.01_f32; DIMENSIONS];
            let mut seen = HashMap::new();
            for word in text
                .split(|c: char| !c.is_alphanumeric())
                .filter(|word| !word.is_empty())
            {
                *seen.entry(word.to_lowercase()).or_insert(0.0) += 1.0;
            }
            for (word, count) in seen {
                // FNV-1a.
                let hash = word.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
                });
                vector[hash as usize % DIMENSIONS] += count;
            }
            let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
            vector.iter().map(|number| number / length).collect()
        };
        Ok(texts.iter().map(vector).collect())
    }
}

impl Models for Hashed {
    fn default_embedder(&self) -> String {
        "hashed".to_owned()
    }

    fn embedder<'a>(&'a self, model: &'a str) -> BoxFuture<'a, Result<Arc<dyn Embed>, Fault>> {
        Box::pin(async move {
            if model == "missing" {
                return Err(Fault::not_found(
                    "model",
                    model.to_owned(),
                    "there is only one here",
                ));
            }
            Ok(Arc::new(self.clone()) as Arc<dyn Embed>)
        })
    }

    fn ranker<'a>(&'a self, model: &'a str) -> BoxFuture<'a, Result<Option<Arc<dyn Rank>>, Fault>> {
        Box::pin(async move { Ok((model == "longest").then(|| Arc::new(Longest) as Arc<dyn Rank>)) })
    }
}

/// The longest passage is the best.
#[derive(Debug)]
struct Longest;

impl Rank for Longest {
    fn model(&self) -> &str {
        "longest"
    }

    fn rank(&self, _query: &str, passages: &[&str]) -> Result<Vec<f32>, Fault> {
        Ok(passages
            .iter()
            .map(|passage| passage.len() as f32 / 100.0)
            .collect())
    }
}

impl Prepare for Lines {
    fn prepare<'a>(
        &'a self,
        source: Source<'a>,
        _step: &'a StepFn,
    ) -> BoxFuture<'a, Result<Prepared, Fault>> {
        Box::pin(async move {
            let text = read(source)?;
            if text.contains("unreadable") {
                let text = "it says that it cannot be read";
                return Err(Fault::new(Kind::InvalidArgument, "DOCUMENT_BROKEN", text));
            }
            let mut at = 0;
            let mut lines = Vec::new();
            for line in text.split_inclusive('\n') {
                lines.push((at, line.trim_end().to_owned()));
                at += line.len();
            }
            Ok(prepared(source, lines))
        })
    }
}

fn read(source: Source<'_>) -> Result<String, Fault> {
    std::fs::read_to_string(source.path).map_err(Fault::internal)
}

fn prepared(source: Source<'_>, texts: Vec<(usize, String)>) -> Prepared {
    let passages = (0..).zip(texts).map(|(ordinal, (start, text))| Passage {
        ordinal,
        range: start..start + text.len(),
        tokens: text.split_whitespace().count() as u32,
        text,
        headings: Arc::default(),
        place: None,
    });
    Prepared {
        media_type: "text/plain".to_owned(),
        title: source.head.title.clone().unwrap_or_default(),
        language: source
            .head
            .language
            .clone()
            .or_else(|| source.language.map(str::to_owned)),
        doc_type: source.head.doc_type.clone().map(|name| DocType {
            name,
            confidence: 1.0,
            source: DocTypeSource::Given,
        }),
        passages: passages.collect(),
    }
}
