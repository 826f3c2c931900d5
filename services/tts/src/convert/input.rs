//! `SynthesisInput`: what is to be spoken, whole or in a stream.

use polyphony_error::Fault;
use polyphony_proto::tts::v1 as pb;

use crate::domain::{Item, Prosody, Script};
use crate::ssml;

/// What is to be spoken: not empty, no longer than allowed, without what no text has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    /// Plain text.
    Text(String),
    /// A document, not looked into yet.
    Ssml(String),
    /// What several say, one after the other.
    Turns(Vec<Turn>),
}

/// What one of several says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) alias: String,
    pub(crate) text: String,
}

/// How much may be said at once, and where it stands in the request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit<'a> {
    /// The path of the input, with a dot at its end.
    pub(crate) path: &'a str,
    /// Characters.
    pub(crate) most: usize,
}

impl Input {
    /// Parses the input of `Synthesize`.
    pub(crate) fn parse(wire: Option<pb::SynthesisInput>, limit: Limit<'_>) -> Result<Self, Fault> {
        use pb::synthesis_input::Input as Wire;
        let pb::SynthesisInput { input, prompt } = wire.unwrap_or_default();
        limit.no_prompt(&prompt)?;
        let input = match input {
            None => return Err(limit.missing()),
            Some(Wire::Text(text)) => Self::text(text, limit)?,
            Some(Wire::Ssml(document)) => Self::ssml(document, limit)?,
            Some(Wire::MultiSpeaker(turns)) => Self::turns(turns, limit)?,
        };
        if let Self::Text(text) = &input
            && text.trim().is_empty()
        {
            return Err(limit.refused("text", "has nothing to say"));
        }
        Ok(input)
    }

    /// Parses the input of a stream, where a text may be empty: a writer may have nothing new to say.
    pub(crate) fn parse_more(wire: pb::StreamingSynthesisInput, limit: Limit<'_>) -> Result<Self, Fault> {
        use pb::streaming_synthesis_input::Input as Wire;
        let pb::StreamingSynthesisInput { input, prompt } = wire;
        limit.no_prompt(&prompt)?;
        match input {
            None => Err(limit.missing()),
            Some(Wire::Text(text)) => Self::text(text, limit),
            Some(Wire::Ssml(document)) => Self::ssml(document, limit),
            Some(Wire::MultiSpeaker(turns)) => Self::turns(turns, limit),
        }
    }

    fn text(text: String, limit: Limit<'_>) -> Result<Self, Fault> {
        limit.check("text", &text, text.chars().count())?;
        Ok(Self::Text(text))
    }

    fn ssml(document: String, limit: Limit<'_>) -> Result<Self, Fault> {
        limit.check("ssml", &document, document.chars().count())?;
        Ok(Self::Ssml(document))
    }

    fn turns(wire: pb::MultiSpeakerText, limit: Limit<'_>) -> Result<Self, Fault> {
        let pb::MultiSpeakerText { turns } = wire;
        if turns.is_empty() {
            return Err(limit.refused("multi_speaker.turns", "is empty; send at least one turn"));
        }
        let mut characters = 0;
        let mut parsed = Vec::with_capacity(turns.len());
        for (at, turn) in turns.into_iter().enumerate() {
            let pb::multi_speaker_text::Turn { speaker_alias, text } = turn;
            let field = format!("multi_speaker.turns[{at}].text");
            characters += text.chars().count();
            limit.check(&field, &text, characters)?;
            if text.trim().is_empty() {
                return Err(limit.refused(&field, "has nothing to say"));
            }
            parsed.push(Turn {
                alias: speaker_alias,
                text,
            });
        }
        Ok(Self::Turns(parsed))
    }
}

impl Limit<'_> {
    fn check(self, field: &str, text: &str, characters: usize) -> Result<(), Fault> {
        let Self { path, most } = self;
        if characters > most {
            let problem =
                format!("has {characters} characters, {most} are accepted at once (tts.max_characters)");
            let (field, message) = (
                format!("{path}{field}"),
                format!("{path}{field} {problem}; send less, or a stream"),
            );
            return Err(
                Fault::exhausted("TEXT_TOO_LONG", field.clone(), message, None).and_invalid(field, problem)
            );
        }
        if text.contains('\0') {
            return Err(self.refused(field, "must not contain NUL characters"));
        }
        Ok(())
    }

    fn no_prompt(self, prompt: &str) -> Result<(), Fault> {
        if prompt.is_empty() {
            return Ok(());
        }
        Err(self.refused("prompt", "is not supported: no model here takes instructions"))
    }

    fn missing(self) -> Fault {
        let path = self.path.trim_end_matches('.').to_owned();
        Fault::invalid(path, "must be text, ssml or multi_speaker")
    }

    fn refused(self, field: &str, problem: &'static str) -> Fault {
        Fault::invalid(format!("{}{field}", self.path), problem)
    }
}

/// Plain text as items.
pub(crate) fn plain(text: &str, source: u64) -> Vec<Item> {
    vec![Item::Say(Script::plain(text, source), Prosody::NATURAL)]
}

/// A document as items. `language` is that of the voice; a document in another is refused.
pub(crate) fn document(document: &str, source: u64, language: &str, path: &str) -> Result<Vec<Item>, Fault> {
    let refused = |problem: String| Fault::invalid(format!("{path}ssml"), problem).with_reason("SSML");
    let speech = ssml::compile(document, source, language).map_err(|error| refused(error.to_string()))?;
    let primary = |tag: &str| tag.split('-').next().unwrap_or_default().to_ascii_lowercase();
    if let Some(said) = speech.language
        && primary(&said) != primary(language)
    {
        let problem =
            format!("is in {said} (xml:lang), but the voice speaks {language}; set language_code or voice");
        return Err(refused(problem));
    }
    Ok(speech.items)
}
