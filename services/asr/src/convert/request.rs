//! `RecognitionConfig`: what is asked for, then whether an engine can do it.

use polyphony_audio::stream::Format;
use polyphony_error::Fault;
use polyphony_proto::asr::v1 as pb;
use polyphony_proto::types::v1 as types;
use polyphony_wire::{Expected, Refusals, audio};

use crate::domain::{DecodeOptions, EngineInfo, Task};
use crate::engine::pocketsphinx;
use crate::normalize::{Normalization, Replacement};

/// Characters of `initial_prompt`, of what a normalization searches and replaces, of a phrase; entries, phrases.
const MOST_PROMPT: usize = 1_000;
const MOST_SEARCH: usize = 100;
const MOST_ENTRIES: usize = 100;

/// A config that is well formed.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The model's name; empty: the default.
    pub(crate) model: String,
    pub(crate) format: Format,
    path: String,
    wire: pb::RecognitionConfig,
    normalization: Normalization,
    task: Task,
    features: Features,
    expected: Expected,
}

/// A config that an engine can honour, all of it.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) options: DecodeOptions,
    pub(crate) shown: Shown,
    /// With every default filled in.
    pub(crate) effective: pb::RecognitionConfig,
}

/// What of a result the client sees.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shown {
    pub(crate) word_times: bool,
    pub(crate) word_confidence: bool,
    pub(crate) normalization: Normalization,
}

/// What every engine must be asked about, and what all can do.
#[derive(Debug, Clone, Copy, Default)]
struct Features {
    word_times: bool,
    word_confidence: bool,
    punctuation: Option<bool>,
    verbatim: Option<bool>,
    hallucination_filter: Option<bool>,
}

/// The paths that each engine honours, for `GetCapabilities`.
pub(crate) fn supported_fields(info: &EngineInfo) -> Vec<String> {
    let mut fields = vec![
        "config.model",
        "config.language_codes",
        "config.auto_decoding",
        "config.explicit_decoding",
        "config.features.enable_word_time_offsets",
        "config.transcript_normalization",
        "config.task",
        "config.expected_model_digest",
        "interim_results",
        "enable_voice_activity_events",
        "voice_activity_timeout",
        "endpointing",
        "single_utterance",
        "partial_interval",
        "commit_policy",
        "start_time",
    ];
    if info.word_confidence {
        fields.push("config.features.enable_word_confidence");
    }
    if info.takes_prompt {
        fields.push("config.initial_prompt");
    }
    if writes_punctuation(info) {
        fields.extend([
            "config.features.enable_automatic_punctuation",
            "config.features.hallucination_filter",
        ]);
    }
    fields.into_iter().map(str::to_owned).collect()
}

// === impl Asked ===

impl Asked {
    /// Parses a config; `path` is where it stands in the request, as "config.".
    pub(crate) fn parse(config: Option<pb::RecognitionConfig>, path: &str) -> Result<Self, Fault> {
        let wire = config.unwrap_or_default();
        let mut refusals = Refusals::at(path.to_owned());
        let pb::RecognitionConfig {
            model,
            language_codes,
            features,
            adaptation,
            transcript_normalization,
            task,
            initial_prompt,
            expected_model_digest,
            decoding,
        } = &wire;
        let explicit = match decoding {
            None | Some(pb::recognition_config::Decoding::AutoDecoding(types::AutoDecoding {})) => None,
            Some(pb::recognition_config::Decoding::ExplicitDecoding(explicit)) => Some(*explicit),
        };
        let format = audio::format(explicit, &mut refusals);
        if language_codes.len() > 1 {
            refusals.add(
                "language_codes",
                "must have at most one code; several are not supported yet",
            );
        }
        if initial_prompt.chars().nth(MOST_PROMPT).is_some() {
            refusals.add("initial_prompt", "must have at most 1000 characters");
        }
        let expected = Expected::parse(expected_model_digest, &mut refusals);
        if let Some(adaptation) = adaptation {
            let pb::SpeechAdaptation {
                phrase_sets,
                phrase_set_names,
            } = adaptation;
            if phrase_sets.iter().any(|set| !set.phrases.is_empty()) {
                refusals.add(
                    "adaptation.phrase_sets",
                    "is not supported: no engine here can expect phrases",
                );
            }
            if !phrase_set_names.is_empty() {
                refusals.add(
                    "adaptation.phrase_set_names",
                    "is not supported: no engine here can expect phrases",
                );
            }
        }
        let task = match pb::Task::try_from(*task) {
            Ok(pb::Task::Unspecified | pb::Task::Transcribe) => Task::Transcribe,
            Ok(pb::Task::Translate) => Task::Translate,
            Err(_) => {
                refusals.add("task", "must be TASK_TRANSCRIBE or TASK_TRANSLATE");
                Task::Transcribe
            }
        };
        let features = parse_features(features.as_ref(), &mut refusals);
        let normalization = parse_normalization(transcript_normalization.as_ref(), &mut refusals);
        refusals.finish()?;
        Ok(Self {
            model: model.clone(),
            format,
            path: path.to_owned(),
            normalization,
            task,
            features,
            expected,
            wire,
        })
    }

    /// Whether this engine can do all of it.
    pub(crate) fn fit(&self, info: &EngineInfo) -> Result<Plan, Fault> {
        let mut refusals = Refusals::at(self.path.clone());
        let lacks = |what: &str| {
            format!(
                "is not supported by {} ({}): {what}",
                info.made.engine, info.made.model
            )
        };
        let language = self.language(info, &mut refusals);
        if self.task == Task::Translate && !info.translates {
            refusals.add("task", lacks("it cannot translate"));
        }
        if !self.wire.initial_prompt.is_empty() && !info.takes_prompt {
            refusals.add("initial_prompt", lacks("it takes no text that came before"));
        }
        let Features {
            word_times,
            word_confidence,
            punctuation,
            verbatim,
            hallucination_filter,
        } = self.features;
        if word_confidence && !info.word_confidence {
            refusals.add(
                "features.enable_word_confidence",
                lacks("its confidences mean nothing"),
            );
        }
        let punctuates = writes_punctuation(info);
        if punctuation == Some(!punctuates) {
            let problem = if punctuates {
                "it always writes punctuation"
            } else {
                "it writes no punctuation"
            };
            refusals.add("features.enable_automatic_punctuation", lacks(problem));
        }
        if verbatim == Some(punctuates) {
            let problem = if punctuates {
                "it writes numbers as figures"
            } else {
                "it writes all as it was spoken"
            };
            refusals.add("features.verbatim_transcripts", lacks(problem));
        }
        if hallucination_filter == Some(true) && !punctuates {
            refusals.add("features.hallucination_filter", lacks("it has none"));
        }
        refusals.finish()?;
        self.expected.check(&info.made.digest, &self.path)?;
        let options = DecodeOptions {
            language: language.clone(),
            task: self.task,
            word_times,
            initial_prompt: self.wire.initial_prompt.clone(),
            hallucination_filter: punctuates && hallucination_filter.unwrap_or(true),
        };
        let mut effective = self.wire.clone();
        effective.model.clone_from(&info.made.model);
        effective.language_codes = language.into_iter().collect();
        effective.task = match self.task {
            Task::Transcribe => pb::Task::Transcribe.into(),
            Task::Translate => pb::Task::Translate.into(),
        };
        effective.features = Some(pb::RecognitionFeatures {
            enable_word_time_offsets: Some(word_times),
            enable_word_confidence: Some(word_confidence),
            enable_automatic_punctuation: Some(punctuates),
            profanity_filter: Some(false),
            verbatim_transcripts: Some(!punctuates),
            max_alternatives: Some(1),
            multi_channel_mode: pb::MultiChannelMode::Mixed.into(),
            diarization: None,
            hallucination_filter: Some(options.hallucination_filter),
        });
        let shown = Shown {
            word_times,
            word_confidence,
            normalization: self.normalization.clone(),
        };
        Ok(Plan {
            options,
            shown,
            effective,
        })
    }

    /// The language as the model names it; none where the model is to find out.
    fn language(&self, info: &EngineInfo, refusals: &mut Refusals) -> Option<String> {
        let Some(asked) = self.wire.language_codes.first() else {
            let only = info.languages.first().cloned();
            return if info.detects_language { None } else { only };
        };
        let found = info.languages.iter().find(|known| is_language(known, asked));
        if found.is_none() {
            let known = info.languages.join(", ");
            let message = format!(
                "is not a language of {} ({}); it knows {known}",
                info.made.engine, info.made.model
            );
            refusals.add("language_codes[0]", message);
        }
        found.cloned()
    }
}

/// Whether a model's language serves what was asked for: the same code, or one of the two names no region.
fn is_language(known: &str, asked: &str) -> bool {
    let primary = |code: &str| {
        code.split(['-', '_'])
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase()
    };
    let whole = |code: &str| code.replace('_', "-").to_ascii_lowercase();
    let (known_whole, asked_whole) = (whole(known), whole(asked));
    known_whole == asked_whole
        || (primary(known) == primary(asked) && (!known_whole.contains('-') || !asked_whole.contains('-')))
}

/// Neural models write text as people do; CMU Sphinx writes words.
fn writes_punctuation(info: &EngineInfo) -> bool {
    info.made.engine != pocketsphinx::NAME
}

fn parse_features(features: Option<&pb::RecognitionFeatures>, refusals: &mut Refusals) -> Features {
    let Some(features) = features else {
        return Features::default();
    };
    let pb::RecognitionFeatures {
        enable_word_time_offsets,
        enable_word_confidence,
        enable_automatic_punctuation,
        profanity_filter,
        verbatim_transcripts,
        max_alternatives,
        multi_channel_mode,
        diarization,
        hallucination_filter,
    } = *features;
    let mut refuse = |field: &str, problem: &'static str| refusals.add(&format!("features.{field}"), problem);
    if profanity_filter == Some(true) {
        refuse("profanity_filter", "is not supported by any engine here");
    }
    if max_alternatives.is_some_and(|most| most != 1) {
        refuse("max_alternatives", "must be 1: no engine here gives several");
    }
    match pb::MultiChannelMode::try_from(multi_channel_mode) {
        Ok(pb::MultiChannelMode::Unspecified | pb::MultiChannelMode::Mixed) => {}
        Ok(pb::MultiChannelMode::Separate) => {
            refuse(
                "multi_channel_mode",
                "SEPARATE is not supported yet; send each channel on its own, or use MIXED",
            );
        }
        Err(_) => refuse("multi_channel_mode", "must be MIXED"),
    }
    if diarization.is_some() {
        refuse("diarization", "is not supported by any engine here");
    }
    Features {
        word_times: enable_word_time_offsets.unwrap_or(false),
        word_confidence: enable_word_confidence.unwrap_or(false),
        punctuation: enable_automatic_punctuation,
        verbatim: verbatim_transcripts,
        hallucination_filter,
    }
}

fn parse_normalization(wire: Option<&pb::TranscriptNormalization>, refusals: &mut Refusals) -> Normalization {
    let entries = wire.map_or_else(Default::default, |pb::TranscriptNormalization { entries }| {
        entries.as_slice()
    });
    if entries.len() > MOST_ENTRIES {
        refusals.add("transcript_normalization.entries", "must be at most 100");
        return Normalization::default();
    }
    let mut replacements = Vec::with_capacity(entries.len());
    for (at, entry) in entries.iter().enumerate() {
        let pb::transcript_normalization::Entry {
            search,
            replace,
            case_sensitive,
        } = entry;
        let field = |name| format!("transcript_normalization.entries[{at}].{name}");
        if search.is_empty() || search.chars().nth(MOST_SEARCH).is_some() {
            refusals.add(&field("search"), "must have 1 to 100 characters");
        }
        if replace.chars().nth(MOST_SEARCH).is_some() {
            refusals.add(&field("replace"), "must have at most 100 characters");
        }
        replacements.push(Replacement::new(search, replace, case_sensitive.unwrap_or(false)));
    }
    Normalization::new(replacements)
}
