//! `AlignmentConfig` and transcripts: what is asked for, then whether an engine can do it.

use std::time::Duration;

use polyphony_audio::stream::Format;
use polyphony_error::Fault;
use polyphony_proto::align::v1 as pb;
use polyphony_wire::{Expected, Refusals, audio, duration};

use crate::domain::{EngineInfo, Options, Pace, Unaligned};
use crate::text::Text;

/// The most characters of a text, and the most pieces.
pub(crate) const MOST_TEXT: usize = 100_000;
const MOST_SEGMENTS: usize = 20_000;
/// Characters of a speaker's label.
const MOST_LABEL: usize = 128;

/// A config that is well formed.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The model's name; empty: the default for the language.
    pub(crate) model: String,
    /// As it was asked for; empty: the model's own.
    pub(crate) language: String,
    pub(crate) format: Format,
    path: &'static str,
    granularities: Granularities,
    unaligned: Unaligned,
    normalization: pb::Normalization,
    expected: Expected,
    wire: pb::AlignmentConfig,
}

/// A config that an engine can honour, all of it.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) options: Options,
    /// With every default filled in.
    pub(crate) effective: pb::AlignmentConfig,
}

#[derive(Debug, Clone, Copy, Default)]
struct Granularities {
    characters: bool,
    phones: bool,
}

/// The paths that an engine honours, for `GetCapabilities`.
pub(crate) fn supported_fields(info: &EngineInfo) -> Vec<String> {
    let mut fields = vec![
        "config.model",
        "config.language_code",
        "config.explicit_decoding",
        "config.granularities",
        "config.unaligned_policy",
        "config.normalization",
        "config.expected_model_digest",
        "lookahead_duration",
    ];
    if !info.needs_language && info.languages.is_empty() {
        fields.retain(|field| *field != "config.language_code");
    }
    fields.into_iter().map(str::to_owned).collect()
}

// === impl Asked ===

impl Asked {
    /// Parses a config; `path` is where it stands in the request, as "config.".
    pub(crate) fn parse(config: Option<pb::AlignmentConfig>, path: &'static str) -> Result<Self, Fault> {
        let wire = config.unwrap_or_default();
        let mut refusals = Refusals::at(path);
        let pb::AlignmentConfig {
            model,
            language_code,
            explicit_decoding,
            granularities,
            unaligned_policy,
            normalization,
            expected_model_digest,
        } = &wire;
        if language_code.len() > 64 {
            refusals.add("language_code", "must be a BCP-47 code, as \"en-US\"");
        }
        let format = audio::format(*explicit_decoding, &mut refusals);
        let mut asked = Granularities::default();
        for (at, granularity) in granularities.iter().enumerate() {
            match pb::Granularity::try_from(*granularity) {
                Ok(pb::Granularity::Word) => {}
                Ok(pb::Granularity::Character) => asked.characters = true,
                Ok(pb::Granularity::Phoneme) => asked.phones = true,
                Ok(pb::Granularity::Unspecified) | Err(_) => {
                    refusals.add(
                        &format!("granularities[{at}]"),
                        "must be WORD, CHARACTER or PHONEME",
                    );
                }
            }
        }
        let unaligned = match pb::UnalignedPolicy::try_from(*unaligned_policy) {
            Ok(pb::UnalignedPolicy::Unspecified | pb::UnalignedPolicy::Wildcard) => Unaligned::Wildcard,
            Ok(pb::UnalignedPolicy::Interpolate) => Unaligned::Interpolate,
            Ok(pb::UnalignedPolicy::Omit) => Unaligned::Omit,
            Ok(pb::UnalignedPolicy::Merge) => Unaligned::Merge,
            Err(_) => {
                refusals.add("unaligned_policy", "must be one of UnalignedPolicy");
                Unaligned::Wildcard
            }
        };
        let normalization = pb::Normalization::try_from(*normalization).unwrap_or_else(|_| {
            refusals.add("normalization", "must be one of Normalization");
            pb::Normalization::Unspecified
        });
        let expected = Expected::parse(expected_model_digest, &mut refusals);
        refusals.finish()?;
        Ok(Self {
            model: model.clone(),
            language: language_code.clone(),
            format,
            path,
            granularities: asked,
            unaligned,
            normalization,
            expected,
            wire,
        })
    }

    /// Whether a model knows the language that is asked for.
    pub(crate) fn suits(language: &str, info: &EngineInfo) -> bool {
        language.is_empty() || knows(info, language)
    }

    /// Whether this engine can do all of it.
    pub(crate) fn fit(&self, info: &EngineInfo) -> Result<Plan, Fault> {
        let mut refusals = Refusals::at(self.path);
        let made = &info.made;
        let who = || format!("{} ({})", made.engine, made.model);
        if self.language.is_empty() && info.needs_language {
            let message = format!("must be set, as \"en-US\": {} knows many languages", who());
            refusals.add("language_code", message);
        } else if !Self::suits(&self.language, info) {
            let message = if info.languages.is_empty() {
                format!("must be left out: nothing says which language {} knows", who())
            } else {
                format!(
                    "is not a language of {}; GetCapabilities tells those that are",
                    who()
                )
            };
            refusals.add("language_code", message);
        }
        if self.granularities.phones && !info.phones {
            let message = format!("PHONEME is not supported by {}: it knows letters", who());
            refusals.add("granularities", message);
        }
        let normalization = match (self.normalization, info.spoken_form) {
            (pb::Normalization::SpokenForm, false) => {
                let message = format!(
                    "SPOKEN_FORM is not supported by {}: it spells out nothing, and numbers match any sound; use NONE",
                    who()
                );
                refusals.add("normalization", message);
                pb::Normalization::None
            }
            (pb::Normalization::None, true) => {
                let message = format!(
                    "NONE is not supported by {}: it speaks all that can be said",
                    who()
                );
                refusals.add("normalization", message);
                pb::Normalization::SpokenForm
            }
            (_, true) => pb::Normalization::SpokenForm,
            (_, false) => pb::Normalization::None,
        };
        refusals.finish()?;
        self.expected.check(&made.digest, self.path)?;
        let language = match (self.language.is_empty(), info.languages.as_slice()) {
            (false, _) => Some(self.language.clone()),
            (true, [only]) => Some(only.clone()),
            (true, _) => None,
        };
        let Granularities { characters, phones } = self.granularities;
        let options = Options {
            language: language.clone(),
            characters,
            phones,
            unaligned: self.unaligned,
            pace: Pace::default(),
        };
        let mut effective = self.wire.clone();
        effective.model.clone_from(&made.model);
        effective.language_code = language.unwrap_or_default();
        effective.granularities = [
            Some(pb::Granularity::Word),
            characters.then_some(pb::Granularity::Character),
            phones.then_some(pb::Granularity::Phoneme),
        ]
        .into_iter()
        .flatten()
        .map(Into::into)
        .collect();
        effective.unaligned_policy = match self.unaligned {
            Unaligned::Interpolate => pb::UnalignedPolicy::Interpolate,
            Unaligned::Wildcard => pb::UnalignedPolicy::Wildcard,
            Unaligned::Omit => pb::UnalignedPolicy::Omit,
            Unaligned::Merge => pb::UnalignedPolicy::Merge,
        }
        .into();
        effective.normalization = normalization.into();
        Ok(Plan { options, effective })
    }
}

/// Whether a language is one of the engine's, by its tag or by what is left of it without its last subtags.
fn knows(info: &EngineInfo, asked: &str) -> bool {
    let asked = asked.replace('_', "-").to_ascii_lowercase();
    let mut tag = asked.as_str();
    loop {
        let is_known = |known: &String| {
            let known = known.to_ascii_lowercase();
            // Of a language with regions any will do for the language alone.
            known == tag || known.split('-').next() == Some(tag)
        };
        if info.languages.iter().any(is_known) || ALIASES.contains(&tag) && info.needs_language {
            return true;
        }
        match tag.rfind('-') {
            Some(at) => tag = tag.split_at(at).0,
            None => return false,
        }
    }
}

/// Tags that espeak-ng's voices are found by, though none of them is called so.
const ALIASES: [&str; 7] = ["zh", "no", "nn", "iw", "in", "mo", "sh"];

/// The text of a request.
pub(crate) fn text(transcript: Option<pb::align_request::Transcript>) -> Result<Text, Fault> {
    use pb::align_request::Transcript;
    let text = match transcript {
        None => {
            let missing = "must be set: put what is said into text, or its pieces into segments";
            return Err(Fault::invalid("text", missing).with_reason("EMPTY_TEXT"));
        }
        Some(Transcript::Text(content)) => {
            check_length(content.chars().take(MOST_TEXT + 1).count(), "text")?;
            Text::new(content)
        }
        Some(Transcript::Segments(pb::SegmentedTranscript { segments })) => pieces(segments)?,
    };
    if text.is_silent() {
        return Err(Fault::invalid("text", "has nothing in it that can be said").with_reason("EMPTY_TEXT"));
    }
    Ok(text)
}

fn check_length(characters: usize, field: &'static str) -> Result<(), Fault> {
    if characters > MOST_TEXT {
        let message = format!("must have at most {MOST_TEXT} characters; stream a longer text");
        return Err(Fault::invalid(field, message).with_reason("TEXT_TOO_LONG"));
    }
    Ok(())
}

fn pieces(segments: Vec<pb::TranscriptSegment>) -> Result<Text, Fault> {
    if segments.len() > MOST_SEGMENTS {
        return Err(Fault::invalid(
            "segments",
            format!("must be at most {MOST_SEGMENTS}"),
        ));
    }
    let mut text = Text::default();
    let mut characters = 0;
    let mut before = Duration::ZERO;
    for (at, segment) in segments.into_iter().enumerate() {
        let path = format!("segments.segments[{at}].");
        let Piece {
            content,
            start,
            end,
            speaker,
        } = Piece::parse(segment, path.clone(), MOST_TEXT)?;
        characters += content.chars().take(MOST_TEXT + 1).count();
        check_length(characters, "segments")?;
        if start.is_some_and(|start| start < before) {
            let message = "must not be before that of the segment in front of it";
            return Err(Fault::invalid(format!("{path}start_offset"), message));
        }
        before = start.unwrap_or(before);
        text.push(&content, start, end, &speaker);
    }
    Ok(text)
}

/// A piece of text that is well formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) content: String,
    pub(crate) start: Option<Duration>,
    pub(crate) end: Option<Duration>,
    pub(crate) speaker: String,
}

impl Piece {
    /// Parses a segment of at most `most` characters; `path` is where it stands in the request.
    pub(crate) fn parse(segment: pb::TranscriptSegment, path: String, most: usize) -> Result<Self, Fault> {
        let pb::TranscriptSegment {
            text,
            start_offset,
            end_offset,
            speaker_label,
        } = segment;
        let mut refusals = Refusals::at(path);
        if text.chars().nth(most).is_some() {
            refusals.add("text", format!("must have at most {most} characters"));
        }
        let mut time = |field: &str, offset: Option<prost_types::Duration>| {
            let offset = offset?;
            let time = duration(offset);
            if time.is_none() {
                refusals.add(field, "must be a duration of 0 or more");
            }
            time
        };
        let (start, end) = (time("start_offset", start_offset), time("end_offset", end_offset));
        if start.zip(end).is_some_and(|(start, end)| end < start) {
            refusals.add("end_offset", "must not be before start_offset");
        }
        if speaker_label.chars().nth(MOST_LABEL).is_some() {
            refusals.add(
                "speaker_label",
                format!("must have at most {MOST_LABEL} characters"),
            );
        }
        refusals.finish()?;
        Ok(Self {
            content: text,
            start,
            end,
            speaker: speaker_label,
        })
    }
}
