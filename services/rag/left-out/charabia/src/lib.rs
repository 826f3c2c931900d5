//! In the place of the crate charabia, to which qdrant-edge is linked for the multilingual tokenizer of Qdrant's full-text index.
//!
//! rag makes no such index: its words are found by tantivy, and its Qdrant indexes hold keywords, numbers and times. The tokenizer's
//! dictionaries would be 4 MB in every image that are never read. So this crate has what qdrant-edge names, and refuses: who makes
//! an index that needs it hears so at the first text, and takes the `[patch]` out of the workspace's Cargo.toml.

use std::borrow::Cow;
use std::marker::PhantomData;

pub mod normalizer {
    //! How words are made alike.

    pub use crate::NormalizedTokenIter;

    /// What is done to each word.
    #[derive(Clone, Debug)]
    pub struct NormalizerOption<'no> {
        /// Whether to keep which characters became which.
        pub create_char_map: bool,
        /// Whether accents and the like go.
        pub lossy: bool,
        /// What counts as no word.
        pub classifier: ClassifierOption<'no>,
    }

    /// What counts as no word.
    #[derive(Clone, Debug)]
    pub struct ClassifierOption<'no> {
        /// Words that carry no meaning.
        pub stop_words: Option<&'no [&'no str]>,
        /// What stands between words.
        pub separators: Option<&'no [&'no str]>,
    }
}

/// The languages that qdrant-edge has a stemmer or a segmenter for, by their codes of ISO 639-3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is its code")]
pub enum Language {
    Ara,
    Cmn,
    Dan,
    Deu,
    Ell,
    Eng,
    Fin,
    Hun,
    Ita,
    Jpn,
    Nld,
    Por,
    Ron,
    Rus,
    Swe,
    Tam,
    Tur,
}

/// The script of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    /// That of this sentence.
    Latin,
}

/// Which script and language a text is in.
#[derive(Debug)]
pub struct StrDetection;

impl StrDetection {
    /// Would look at `text`.
    #[must_use]
    pub fn new(_text: &str, _allowed: Option<&[Language]>) -> Self {
        left_out()
    }

    /// Would tell the script.
    #[must_use]
    pub fn script(&self) -> Script {
        left_out()
    }

    /// Would tell the language.
    #[must_use]
    pub fn language(&self) -> Option<Language> {
        left_out()
    }
}

/// Texts that are cut into words.
pub trait Segment {
    /// Would cut.
    fn segment(&self) -> Segmented;
}

impl Segment for str {
    fn segment(&self) -> Segmented {
        left_out()
    }
}

/// The words of a text as they stand.
#[derive(Debug)]
pub struct Segmented;

impl Segmented {
    /// Would make them alike.
    #[must_use]
    pub fn normalize<'text>(
        self,
        _options: &normalizer::NormalizerOption<'_>,
    ) -> NormalizedTokenIter<'text, 'text, 'text, 'text> {
        left_out()
    }
}

/// The words of a text, made alike.
#[derive(Debug)]
pub struct NormalizedTokenIter<'text, 'options, 'language, 'words>(
    PhantomData<(&'text str, &'options str, &'language str, &'words str)>,
);

/// A word.
#[derive(Debug)]
pub struct Token<'text> {
    /// What is indexed of it.
    pub lemma: Cow<'text, str>,
}

impl<'text> Iterator for NormalizedTokenIter<'text, '_, '_, '_> {
    type Item = Token<'text>;

    fn next(&mut self) -> Option<Token<'text>> {
        left_out()
    }
}

#[expect(
    clippy::panic,
    reason = "these functions cannot fail by their types, and answering something would be worse"
)]
fn left_out() -> ! {
    panic!("multilingual full-text indexes of Qdrant are left out of this program (services/rag/left-out)")
}
