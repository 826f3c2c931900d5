//! What the model's own files say about it: sizes, special tokens, suppressed tokens, alignment heads.
//!
//! Nothing here is assumed: English-only, multilingual and fine-tuned models number their tokens differently.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::WhisperError;
use super::layout::Files;

/// What the files say.
#[derive(Debug)]
pub(super) struct Settings {
    /// Rows of the features.
    pub(super) mels: usize,
    /// Positions of the encoder's output in 30 s.
    pub(super) audio_context: usize,
    /// Positions of the decoder.
    pub(super) text_context: usize,
    /// Tokens that are never said, -1 left out.
    pub(super) suppress: Vec<u32>,
    /// Tokens that are never said first. None: a space and the end, as Whisper has it.
    pub(super) begin_suppress: Option<Vec<u32>>,
    /// None: the files do not say.
    multilingual: Option<bool>,
    /// The languages' codes and tokens, in the order of the tokens. Empty: the files do not say.
    pub(super) languages: Vec<(String, u32)>,
    /// The token that begins a transcript.
    pub(super) start: Option<u32>,
    /// The token that ends a transcript.
    pub(super) end: Option<u32>,
    /// `<|notimestamps|>`; the timestamps follow it.
    pub(super) no_timestamps: Option<u32>,
    /// Layer and head of the cross-attentions that follow the speech. None: the later half of the layers.
    pub(super) alignment_heads: Option<Vec<(usize, usize)>>,
}

#[derive(Debug, Deserialize)]
struct Config {
    num_mel_bins: usize,
    max_source_positions: usize,
    max_target_positions: usize,
    suppress_tokens: Option<Vec<i64>>,
    begin_suppress_tokens: Option<Vec<i64>>,
    decoder_start_token_id: Option<u32>,
    eos_token_id: Option<OneOrMore>,
}

#[derive(Debug, Default, Deserialize)]
struct Generation {
    suppress_tokens: Option<Vec<i64>>,
    begin_suppress_tokens: Option<Vec<i64>>,
    is_multilingual: Option<bool>,
    lang_to_id: Option<BTreeMap<String, u32>>,
    decoder_start_token_id: Option<u32>,
    eos_token_id: Option<OneOrMore>,
    no_timestamps_token_id: Option<u32>,
    alignment_heads: Option<Vec<(usize, usize)>>,
}

#[derive(Debug, Deserialize)]
struct Preprocessor {
    feature_size: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(u32),
    More(Vec<u32>),
}

/// The largest settings file that is read, in bytes; real ones have a few thousand.
const LARGEST: u64 = 1 << 20;
/// What no Whisper exceeds; a file that says otherwise is wrong, and its number would decide how much is allocated.
const MOST_POSITIONS: usize = 1 << 16;

// === impl Settings ===

impl Settings {
    pub(super) fn read(files: &Files) -> Result<Self, WhisperError> {
        let config: Config = json(&files.config)?;
        let generation: Generation = files
            .generation
            .as_deref()
            .map_or_else(|| Ok(Generation::default()), json)?;
        let preprocessor: Option<Preprocessor> = files.preprocessor.as_deref().map(json).transpose()?;
        let mels = preprocessor
            .and_then(|it| it.feature_size)
            .unwrap_or(config.num_mel_bins);
        if mels != config.num_mel_bins {
            let problem = format!(
                "num_mel_bins is {}, but feature_size is {mels}",
                config.num_mel_bins
            );
            return Err(WhisperError::file(&files.config, problem));
        }
        let sizes = [mels, config.max_source_positions, config.max_target_positions];
        if sizes.iter().any(|size| !(1..=MOST_POSITIONS).contains(size)) {
            let problem = format!(
                "num_mel_bins, max_source_positions, max_target_positions are {sizes:?}; each must be 1 to {MOST_POSITIONS}"
            );
            return Err(WhisperError::file(&files.config, problem));
        }
        let first = |ids: OneOrMore| match ids {
            OneOrMore::One(id) => Some(id),
            OneOrMore::More(ids) => ids.first().copied(),
        };
        let tokens = |ids: Vec<i64>| {
            ids.into_iter()
                .filter_map(|id| u32::try_from(id).ok())
                .collect::<Vec<_>>()
        };
        Ok(Self {
            mels,
            audio_context: config.max_source_positions,
            text_context: config.max_target_positions,
            suppress: tokens(
                generation
                    .suppress_tokens
                    .or(config.suppress_tokens)
                    .unwrap_or_default(),
            ),
            begin_suppress: generation
                .begin_suppress_tokens
                .or(config.begin_suppress_tokens)
                .map(tokens),
            multilingual: generation.is_multilingual,
            languages: languages(generation.lang_to_id.unwrap_or_default()),
            start: generation
                .decoder_start_token_id
                .or(config.decoder_start_token_id),
            end: generation.eos_token_id.or(config.eos_token_id).and_then(first),
            no_timestamps: generation.no_timestamps_token_id,
            alignment_heads: generation.alignment_heads,
        })
    }

    /// Whether the model knows more than English.
    pub(super) fn is_multilingual(&self) -> bool {
        self.multilingual.unwrap_or(!self.languages.is_empty())
    }
}

/// `<|en|>` → "en".
pub(super) fn code(token: &str) -> Option<String> {
    Some(token.strip_prefix("<|")?.strip_suffix("|>")?.to_owned())
}

fn languages(tokens: BTreeMap<String, u32>) -> Vec<(String, u32)> {
    let mut found: Vec<_> = tokens
        .into_iter()
        .filter_map(|(token, id)| Some((code(&token)?, id)))
        .collect();
    found.sort_by_key(|(_, id)| *id);
    found
}

fn json<T: DeserializeOwned>(path: &Path) -> Result<T, WhisperError> {
    let bytes = read(path, LARGEST)?;
    serde_json::from_slice(&bytes).map_err(|error| WhisperError::file(path, error))
}

/// Reads a file of at most so many bytes.
pub(super) fn read(path: &Path, largest: u64) -> Result<Vec<u8>, WhisperError> {
    let failed = |error: std::io::Error| WhisperError::file(path, error);
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(largest + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > largest {
        return Err(WhisperError::file(
            path,
            format!("it is larger than {largest} bytes"),
        ));
    }
    Ok(bytes)
}
