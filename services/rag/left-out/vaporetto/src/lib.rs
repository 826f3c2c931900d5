//! In the place of the crate vaporetto, to which qdrant-edge is linked to cut Japanese into words for Qdrant's full-text index.
//!
//! rag makes no such index; see the charabia beside this. What cannot be loaded is refused as a model that cannot be read would be.

use std::borrow::Cow;
use std::fmt;

/// That the segmenter is left out.
#[derive(Debug)]
pub struct LeftOut;

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "full-text indexes of Japanese in Qdrant are left out of this program (services/rag/left-out)",
        )
    }
}

impl std::error::Error for LeftOut {}

/// The weights of a segmenter.
#[derive(Debug)]
pub enum Model {}

impl Model {
    /// Refuses.
    ///
    /// # Errors
    ///
    /// Always [`LeftOut`].
    pub fn read_slice(_bytes: &[u8]) -> Result<(Self, &[u8]), LeftOut> {
        Err(LeftOut)
    }
}

/// A segmenter.
#[derive(Debug)]
pub enum Predictor {}

impl Predictor {
    /// Has no model to be made of.
    ///
    /// # Errors
    ///
    /// None: there is no [`Model`].
    pub fn new(model: Model, _tags: bool) -> Result<Self, LeftOut> {
        match model {}
    }

    /// Cannot be called: there is no predictor.
    pub fn predict(&self, _sentence: &mut Sentence<'_>) {
        match *self {}
    }
}

/// A text to be cut.
#[derive(Debug)]
pub enum Sentence<'text> {
    #[doc(hidden)]
    Never(std::convert::Infallible, &'text str),
}

impl<'text> Sentence<'text> {
    /// Refuses.
    ///
    /// # Errors
    ///
    /// Always [`LeftOut`].
    pub fn from_raw(_text: Cow<'text, str>) -> Result<Self, LeftOut> {
        Err(LeftOut)
    }

    /// None.
    pub fn iter_tokens(&self) -> impl Iterator<Item = Token<'text>> {
        std::iter::empty()
    }
}

/// A word.
#[derive(Debug)]
pub enum Token<'text> {
    #[doc(hidden)]
    Never(std::convert::Infallible, &'text str),
}

impl<'text> Token<'text> {
    /// The word as it stands.
    #[must_use]
    pub fn surface(&self) -> &'text str {
        match self {
            Self::Never(_, text) => text,
        }
    }
}
