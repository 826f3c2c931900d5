//! A prompt, cleaned and cut into tokens.
//!
//! Cleaning is what diffusers does without the optional library ftfy: named characters of HTML are spelt out, twice, and
//! white space is one space. ftfy would also put right text whose encoding was mistaken on the way; here text comes as
//! UTF-8 and is taken at its word.

use std::path::{Path, PathBuf};

use tch::{Device, Tensor};
use tokenizers::{Tokenizer, TruncationParams};

use crate::error::{Error, Result};
use crate::shapes::TEXT_TOKENS;

mod html;

/// The largest tokenizer, in bytes; umT5's has 17 MB.
const MAX_FILE: u64 = 256 << 20;
/// Ends every prompt.
const END: i64 = 1;
/// The first token that is no mark: after padding, the end, and what is unknown.
const FIRST: i64 = 3;

/// What cuts prompts into tokens.
#[derive(Debug)]
pub enum Prompter {
    /// The model's own tokenizer.
    Tokenizer {
        /// Where it comes from.
        path: PathBuf,
        /// It itself.
        tokenizer: Box<Tokenizer>,
        /// How many tokens the model has.
        vocab_size: i64,
    },
    /// Bytes as tokens: for weights that come from nowhere, which know no words.
    Bytes {
        /// How many tokens the model has.
        vocab_size: i64,
    },
}

// === impl Prompter ===

impl Prompter {
    /// Opens the tokenizer of a repository.
    ///
    /// # Errors
    ///
    /// A file that is absent, too large or no tokenizer, or that has tokens which the model has not.
    pub fn open(folder: &Path, vocab_size: i64) -> Result<Self> {
        let path = folder.join("tokenizer").join("tokenizer.json");
        let refuse = |problem: String| Error::weights(&path, problem);
        let length = std::fs::metadata(&path)
            .map_err(|error| refuse(format!("cannot be read: {error}")))?
            .len();
        if length > MAX_FILE {
            return Err(refuse(format!("has more than {MAX_FILE} bytes")));
        }
        let mut tokenizer =
            Tokenizer::from_file(&path).map_err(|error| refuse(format!("is no tokenizer: {error}")))?;
        let tokens = tokenizer.get_vocab_size(true);
        if tokens as i64 > vocab_size {
            return Err(refuse(format!(
                "has {tokens} tokens; the text encoder has {vocab_size}"
            )));
        }
        let cut = TruncationParams {
            max_length: usize::try_from(TEXT_TOKENS).unwrap_or(512),
            ..TruncationParams::default()
        };
        tokenizer
            .with_truncation(Some(cut))
            .map_err(|error| refuse(format!("cannot be cut: {error}")))?
            .with_padding(None);
        Ok(Self::Tokenizer {
            path,
            tokenizer: Box::new(tokenizer),
            vocab_size,
        })
    }

    /// The tokens `[1, tokens]` of a prompt, with the mark of its end, at most [`TEXT_TOKENS`].
    ///
    /// # Errors
    ///
    /// A prompt that the tokenizer fails on, or makes tokens of that the model has not.
    pub fn tokens(&self, prompt: &str, device: Device) -> Result<Tensor> {
        let prompt = clean(prompt);
        let tokens: Vec<i64> = match self {
            Self::Tokenizer {
                path,
                tokenizer,
                vocab_size,
            } => {
                let cut = tokenizer.encode(prompt, true).map_err(|error| {
                    Error::Torch(format!("the prompt cannot be cut into tokens: {error}"))
                })?;
                let tokens: Vec<i64> = cut.get_ids().iter().map(|id| i64::from(*id)).collect();
                // How many tokens there are says nothing of their numbers; one beyond the table would end a GPU's context.
                if let Some(token) = tokens.iter().find(|token| *token >= vocab_size) {
                    let problem = format!("makes the token {token}; the text encoder has {vocab_size}");
                    return Err(Error::weights(path, problem));
                }
                tokens
            }
            Self::Bytes { vocab_size } => prompt
                .bytes()
                .map(|byte| FIRST + i64::from(byte) % (vocab_size - FIRST))
                .take(usize::try_from(TEXT_TOKENS - 1).unwrap_or(0))
                .chain([END])
                .collect(),
        };
        Ok(Tensor::from_slice(&tokens).unsqueeze(0).to_device(device))
    }
}

/// A prompt as the model was trained to read it.
pub fn clean(prompt: &str) -> String {
    let spelt = html::unescape(&html::unescape(prompt));
    // Python's idea of white space, which has four separators more than Unicode's.
    spelt
        .split(|character: char| character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character))
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests;
