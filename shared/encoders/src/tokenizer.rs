//! The tokens of texts: their ids for a model, their number and place for whoever cuts texts, and what happens to a text
//! that has too many.

use std::ops::Range;

use tokenizers::{Encoding, PostProcessor as _, TruncationDirection, TruncationParams, TruncationStrategy};

use crate::error::{Error, Input, Problem};
use crate::folder::Folder;

/// The longest text that is cut into tokens, in bytes. A model takes a few thousand tokens of it at most.
pub const LONGEST_TEXT: usize = 1 << 20;

/// The names of the token for what a vocabulary does not have: BERT's, and that of sentencepiece and RoBERTa.
const UNKNOWN: [&str; 2] = ["[UNK]", "<unk>"];

/// What to do with a text that has more tokens than the model takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Truncation {
    /// Refuse it.
    #[default]
    Refuse,
    /// Leave out the end.
    Right,
    /// Leave out the beginning.
    Left,
}

/// A token of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its id in the model.
    pub id: u32,
    /// As the vocabulary writes it.
    pub text: String,
    /// The bytes that it stands for. None: the model added it.
    pub range: Option<Range<usize>>,
}

/// The tokenizer of one model.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
}

/// What a model gets to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Encoded {
    pub(crate) ids: Vec<u32>,
    /// Which text of a pair each token is of, as the model counts them.
    pub(crate) types: Vec<u32>,
    pub(crate) truncated: bool,
}

// === impl Tokenizer ===

impl Tokenizer {
    /// Reads `tokenizer.json` of a model.
    ///
    /// # Errors
    /// [`Error::File`] when it is broken.
    pub fn read(folder: &Folder) -> Result<Self, Error> {
        let (path, bytes) = folder.tokenizer()?;
        let broken = |error: tokenizers::Error| Error::file(&path, error);
        let mut inner = tokenizers::Tokenizer::from_bytes(bytes).map_err(broken)?;
        // Files keep what somebody trained with; lengths are ours to decide.
        inner.with_padding(None).with_truncation(None).map_err(broken)?;
        Ok(Self { inner })
    }

    /// How many tokens a text has, without those that the model adds.
    ///
    /// # Errors
    /// [`Error::Input`] for a text that is too large.
    pub fn count(&self, text: &str) -> Result<usize, Error> {
        let encoding = self.part(text, Input::Text(0))?;
        Ok(encoding.len())
    }

    /// The tokens of a text, in order; with `special`, also those that the model adds. Empty texts have none.
    ///
    /// # Errors
    /// [`Error::Input`] for a text that is too large.
    pub fn tokens(&self, text: &str, special: bool) -> Result<Vec<Token>, Error> {
        check_size(text, Input::Text(0))?;
        let encoding = self
            .inner
            .encode(text, special)
            .map_err(|error| self.broken(error))?;
        let parts = encoding.get_ids().iter().zip(encoding.get_tokens()).zip(
            encoding
                .get_offsets()
                .iter()
                .zip(encoding.get_special_tokens_mask()),
        );
        Ok(parts
            .map(|((&id, text), (&(start, end), &added))| Token {
                id,
                text: text.clone(),
                range: (added == 0).then_some(start..end),
            })
            .collect())
    }

    /// The share of a text's tokens that are in the vocabulary, 0 to 1: what is written in a script that the model was not
    /// trained on is mostly unknown to it. 1 for a text without tokens.
    ///
    /// # Errors
    /// [`Error::Input`] for a text that is too large.
    pub fn known(&self, text: &str) -> Result<f32, Error> {
        let encoding = self.part(text, Input::Text(0))?;
        let unknown = UNKNOWN.map(|name| self.inner.token_to_id(name));
        let ids = encoding.get_ids().iter();
        let unknown = ids.filter(|id| unknown.contains(&Some(**id))).count();
        Ok(1.0 - unknown as f32 / encoding.len().max(1) as f32)
    }

    /// The text of tokens; without `special`, those that the model adds are left out.
    ///
    /// # Errors
    /// [`Error::File`] when the tokenizer cannot join them.
    pub fn join(&self, ids: &[u32], special: bool) -> Result<String, Error> {
        self.inner
            .decode(ids, !special)
            .map_err(|error| self.broken(error))
    }

    /// The number of tokens that the model adds to a text, or to two.
    pub(crate) fn added(&self, pair: bool) -> usize {
        self.inner
            .get_post_processor()
            .map_or(0, |processor| processor.added_tokens(pair))
    }

    /// One text for a model that takes `most` tokens.
    pub(crate) fn encode(
        &self,
        text: &str,
        input: Input,
        most: usize,
        truncation: Truncation,
    ) -> Result<Encoded, Error> {
        let mut encoding = self.part(text, input)?;
        if encoding.is_empty() {
            return Err(Error::input(input, Problem::Empty));
        }
        let room = most.saturating_sub(self.added(false));
        let truncated = encoding.len() > room;
        if truncated {
            let direction = direction(truncation).ok_or_else(|| {
                let tokens = encoding.len() + self.added(false);
                Error::input(input, Problem::Long { tokens, most })
            })?;
            encoding.truncate(room, 0, direction);
        }
        self.finish(encoding, None, truncated)
    }

    /// Two texts, each by what it is in the request. The longer is cut first, as transformers does, or with `first_only`
    /// only the first.
    pub(crate) fn encode_pair(
        &self,
        [first, second]: [(&str, Input); 2],
        most: usize,
        truncation: Truncation,
        first_only: bool,
    ) -> Result<Encoded, Error> {
        let (mut a, mut b) = (self.part(first.0, first.1)?, self.part(second.0, second.1)?);
        for (part, (_, input)) in [(&a, first), (&b, second)] {
            if part.is_empty() {
                return Err(Error::input(input, Problem::Empty));
            }
        }
        let room = most.saturating_sub(self.added(true));
        let tokens = a.len() + b.len();
        let truncated = tokens > room;
        if truncated {
            let blame = if first_only { first.1 } else { second.1 };
            let long = Problem::Long {
                tokens: tokens + self.added(true),
                most,
            };
            let direction = match direction(truncation) {
                Some(direction) if !first_only || b.len() < room => direction,
                _ => return Err(Error::input(blame, long)),
            };
            let strategy = if first_only {
                TruncationStrategy::OnlyFirst
            } else {
                TruncationStrategy::LongestFirst
            };
            let cut = TruncationParams {
                direction,
                max_length: room,
                strategy,
                stride: 0,
            };
            let (cut_a, cut_b) = tokenizers::utils::truncation::truncate_encodings(a, Some(b), &cut)
                .map_err(|error| self.broken(error))?;
            (a, b) = (cut_a, cut_b.unwrap_or_default());
        }
        self.finish(a, Some(b), truncated)
    }

    fn part(&self, text: &str, input: Input) -> Result<Encoding, Error> {
        check_size(text, input)?;
        self.inner
            .encode_fast(text, false)
            .map_err(|error| self.broken(error))
    }

    fn finish(&self, first: Encoding, second: Option<Encoding>, truncated: bool) -> Result<Encoded, Error> {
        let encoding = self
            .inner
            .post_process(first, second, true)
            .map_err(|error| self.broken(error))?;
        Ok(Encoded {
            ids: encoding.get_ids().to_vec(),
            types: encoding.get_type_ids().to_vec(),
            truncated,
        })
    }

    /// A vocabulary without a token for what it does not know.
    fn broken(&self, error: tokenizers::Error) -> Error {
        Error::file("tokenizer.json", error)
    }
}

fn direction(truncation: Truncation) -> Option<TruncationDirection> {
    match truncation {
        Truncation::Refuse => None,
        Truncation::Right => Some(TruncationDirection::Right),
        Truncation::Left => Some(TruncationDirection::Left),
    }
}

fn check_size(text: &str, input: Input) -> Result<(), Error> {
    let bytes = text.len();
    if bytes > LONGEST_TEXT {
        let most = LONGEST_TEXT;
        return Err(Error::input(input, Problem::Large { bytes, most }));
    }
    Ok(())
}
