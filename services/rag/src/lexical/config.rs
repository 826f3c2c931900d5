//! `[rag.lexical]`: how words are indexed and weighed.

use serde::{Deserialize, Serialize};

/// `[rag.lexical]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LexicalConfig {
    /// "tantivy": an index of BM25 in this process, one for each space. Default: "tantivy".
    pub engine: LexicalEngine,
    /// How often a word of the title counts, 0 to 10. Default: 1.
    pub title_boost: u32,
    /// How often a word of the headings counts, 0 to 10. Default: 1.
    pub heading_boost: u32,
    /// Whether words as "the" are searched for; where a query has no others they always are. Default: false.
    pub stop_words: bool,
}

/// Which index of words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LexicalEngine {
    /// tantivy, in this process.
    #[default]
    Tantivy,
    /// The sparse vectors of a Qdrant server.
    Sparse,
}

/// The most that a boost may be.
const MOST_BOOST: u32 = 10;

// === impl LexicalConfig ===

impl LexicalConfig {
    /// The first key whose value cannot be used, and why.
    pub(crate) fn fault(&self) -> Option<(&'static str, String)> {
        if self.engine == LexicalEngine::Sparse {
            let text = "\"sparse\" is not built yet; use \"tantivy\"".to_owned();
            return Some(("lexical.engine", text));
        }
        [
            ("lexical.title_boost", self.title_boost),
            ("lexical.heading_boost", self.heading_boost),
        ]
        .into_iter()
        .find(|(_, boost)| *boost > MOST_BOOST)
        .map(|(key, _)| (key, format!("must be 0 to {MOST_BOOST}")))
    }
}

impl Default for LexicalConfig {
    fn default() -> Self {
        Self {
            engine: LexicalEngine::Tantivy,
            title_boost: 1,
            heading_boost: 1,
            stop_words: false,
        }
    }
}
