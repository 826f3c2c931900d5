//! Text and tokens, and the special tokens that steer Whisper.

use std::collections::BTreeMap;
use std::path::Path;

use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer};

use super::error::WhisperError;
use super::layout::TokenizerFiles;
use super::settings::{Settings, code, read};

/// The vocabulary of a model. Ids below `end` are text, from `timestamps` on they are times, between are orders.
#[derive(Debug)]
pub(super) struct Vocabulary {
    tokenizer: Tokenizer,
    /// `<|startoftranscript|>`.
    pub(super) start: u32,
    /// `<|endoftext|>`.
    pub(super) end: u32,
    /// `<|transcribe|>` and `<|translate|>`, if the model is multilingual.
    pub(super) tasks: Option<(u32, u32)>,
    /// `<|startofprev|>`, before a prompt.
    pub(super) previous: Option<u32>,
    /// `<|nospeech|>`, whose probability says whether anybody speaks.
    pub(super) no_speech: Option<u32>,
    /// `<|notimestamps|>`.
    pub(super) no_timestamps: u32,
    /// `<|0.00|>`.
    pub(super) timestamps: u32,
    /// The languages' codes and tokens, in the order of the tokens. Empty: English only.
    pub(super) languages: Vec<(String, u32)>,
    /// What is never said.
    pub(super) suppress: Vec<u32>,
    /// What is never said first.
    pub(super) begin_suppress: Vec<u32>,
}

/// The largest vocabulary file that is read, in bytes; Whisper's has 4 million.
const LARGEST: u64 = 64 << 20;

// === impl Vocabulary ===

impl Vocabulary {
    pub(super) fn read(files: &TokenizerFiles, settings: &Settings) -> Result<Self, WhisperError> {
        let (tokenizer, path) = match files {
            TokenizerFiles::One(path) => {
                let bytes = read(path, LARGEST)?;
                let tokenizer =
                    Tokenizer::from_bytes(bytes).map_err(|error| WhisperError::file(path, error))?;
                (tokenizer, path)
            }
            TokenizerFiles::Parts { vocab, merges, added } => {
                (from_parts(vocab, merges, added.as_deref())?, vocab)
            }
        };
        let id = |token: &str| tokenizer.token_to_id(token);
        let need = |found: Option<u32>, token: &str| {
            found.ok_or_else(|| WhisperError::file(path, format!("the token {token} is missing")))
        };
        let start = need(
            settings.start.or_else(|| id("<|startoftranscript|>")),
            "<|startoftranscript|>",
        )?;
        let end = need(settings.end.or_else(|| id("<|endoftext|>")), "<|endoftext|>")?;
        let no_timestamps = need(
            settings.no_timestamps.or_else(|| id("<|notimestamps|>")),
            "<|notimestamps|>",
        )?;
        let tasks = id("<|transcribe|>").zip(id("<|translate|>"));
        let previous = id("<|startofprev|>");
        // The first release called it so.
        let no_speech = id("<|nospeech|>").or_else(|| id("<|nocaptions|>"));

        let multilingual = settings.is_multilingual();
        let languages = if multilingual {
            languages(settings, &tokenizer, start, tasks)
        } else {
            Vec::new()
        };
        if multilingual && (languages.is_empty() || tasks.is_none()) {
            return Err(WhisperError::file(
                path,
                "a multilingual model needs tokens for languages and tasks",
            ));
        }
        let orders = [
            tasks.map(|it| it.0),
            tasks.map(|it| it.1),
            Some(start),
            previous,
            id("<|startoflm|>"),
            no_speech,
        ];
        let mut suppress = settings.suppress.clone();
        suppress.extend(orders.into_iter().flatten());
        suppress.sort_unstable();
        suppress.dedup();
        let mut vocabulary = Self {
            start,
            end,
            tasks: tasks.filter(|_| multilingual),
            previous,
            no_speech,
            no_timestamps,
            // Older files do not list the timestamps; they follow.
            timestamps: id("<|0.00|>").unwrap_or(no_timestamps + 1),
            languages,
            suppress,
            begin_suppress: Vec::new(),
            tokenizer,
        };
        vocabulary.begin_suppress = match settings.begin_suppress.clone() {
            Some(tokens) => tokens,
            None => [vocabulary.encode(" ")?, vec![end]].concat(),
        };
        Ok(vocabulary)
    }

    /// The tokens of a text. What looks like an order in it is dropped: a prompt must not steer the decoder.
    pub(super) fn encode(&self, text: &str) -> Result<Vec<u32>, WhisperError> {
        let encoding = self
            .tokenizer
            .encode(text, false)
            .map_err(WhisperError::Tokenizer)?;
        Ok(encoding
            .get_ids()
            .iter()
            .copied()
            .filter(|&id| id < self.end)
            .collect())
    }

    /// The text of tokens; what is not text is left out. A character that is cut shows as U+FFFD.
    pub(super) fn decode(&self, tokens: &[u32]) -> Result<String, WhisperError> {
        let text: Vec<u32> = tokens.iter().copied().filter(|&id| self.is_text(id)).collect();
        self.tokenizer
            .decode(&text, false)
            .map_err(WhisperError::Tokenizer)
    }

    pub(super) const fn is_text(&self, token: u32) -> bool {
        token < self.end
    }

    pub(super) const fn is_timestamp(&self, token: u32) -> bool {
        token >= self.timestamps
    }

    /// The token of a language, by its code.
    pub(super) fn language(&self, code: &str) -> Option<u32> {
        self.languages
            .iter()
            .find(|(known, _)| known == code)
            .map(|(_, token)| *token)
    }
}

/// From the settings, or else from the tokens between the start and the tasks.
fn languages(
    settings: &Settings,
    tokenizer: &Tokenizer,
    start: u32,
    tasks: Option<(u32, u32)>,
) -> Vec<(String, u32)> {
    if !settings.languages.is_empty() {
        return settings.languages.clone();
    }
    let until = tasks.map_or(start, |(transcribe, translate)| transcribe.min(translate));
    let between = (start + 1..until).filter_map(|id| Some((code(&tokenizer.id_to_token(id)?)?, id)));
    between.filter(|(code, _)| matches!(code.len(), 2..=3)).collect()
}

fn from_parts(vocab: &Path, merges: &Path, added: Option<&Path>) -> Result<Tokenizer, WhisperError> {
    let text = |path: &Path| {
        let text = String::from_utf8(read(path, LARGEST)?);
        text.map_err(|error| WhisperError::file(path, error))
    };
    let ids: Vocab =
        serde_json::from_slice(&read(vocab, LARGEST)?).map_err(|error| WhisperError::file(vocab, error))?;
    let pairs = text(merges)?
        .lines()
        .filter(|line| !line.starts_with("#version"))
        .filter_map(|line| {
            line.split_once(' ')
                .map(|(left, right)| (left.to_owned(), right.to_owned()))
        })
        .collect();
    let model = BPE::builder().vocab_and_merges(ids, pairs).build();
    let mut tokenizer = Tokenizer::new(model.map_err(|error| WhisperError::file(merges, error))?);
    tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, false, true)));
    tokenizer.with_decoder(Some(ByteLevel::default()));
    if let Some(path) = added {
        let tokens: BTreeMap<String, u32> =
            serde_json::from_slice(&read(path, LARGEST)?).map_err(|error| WhisperError::file(path, error))?;
        let mut tokens: Vec<_> = tokens.into_iter().collect();
        // Ids are given in the order of adding.
        tokens.sort_by_key(|(_, id)| *id);
        let specials: Vec<_> = tokens
            .iter()
            .map(|(token, _)| AddedToken::from(token.as_str(), true))
            .collect();
        tokenizer
            .add_special_tokens(specials)
            .map_err(|error| WhisperError::file(path, error))?;
        if let Some((token, id)) = tokens
            .iter()
            .find(|(token, id)| tokenizer.token_to_id(token) != Some(*id))
        {
            return Err(WhisperError::file(
                path,
                format!("the token {token} cannot have the id {id}"),
            ));
        }
    }
    Ok(tokenizer)
}
