//! Questions and answers between the wire and the domain.

use std::ops::RangeInclusive;

use polyphony_error::Fault;
use polyphony_proto::rag::v1 as pb;
use polyphony_wire::Refusals;
use prost::Message as _;

use super::{data, hits, names, search};
use crate::answer::cache::{Key, KeyMaker};
use crate::answer::prompt::{self, Manner, Turn};
use crate::answer::{Citation, Source};
use crate::domain::rules::{self, longer};
use crate::domain::{Filter, Hit, Retrieval};

const TOP_K: RangeInclusive<u32> = 1..=100;
const CHUNKS: RangeInclusive<u32> = 1..=20;
const TOKENS: RangeInclusive<u32> = 1..=8_192;
const TEMPERATURES: RangeInclusive<f32> = 0.0..=2.0;
/// Turns of a conversation, and characters of each answer.
const MOST_TURNS: usize = 20;
const MOST_QUERY: usize = 4_000;
const MOST_ANSWER: usize = 20_000;

/// A question that is well asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The space's id.
    pub(crate) space: String,
    pub(crate) query: String,
    pub(crate) filter: Filter,
    pub(crate) retrieval: Retrieval,
    /// Passages that are looked at.
    pub(crate) top_k: usize,
    /// Passages that a model is given.
    pub(crate) chunks: usize,
    pub(crate) mode: Mode,
    /// The language model; empty: the server's default.
    pub(crate) model: String,
    pub(crate) max_tokens: u32,
    pub(crate) temperature: f32,
    pub(crate) manner: Manner,
    pub(crate) history: Vec<Turn>,
    pub(crate) cache: CacheUse,
    pub(crate) related: bool,
    /// The request without what does not change the answer, for the key of the cache.
    essence: Vec<u8>,
}

/// Who writes an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A model where one is up, else the documents.
    Auto,
    /// The documents.
    Extractive,
    /// A model.
    Generative,
}

/// How the cache is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CacheUse {
    pub(crate) read: bool,
    pub(crate) write: bool,
}

/// Parses a question.
pub(crate) fn asked(wire: pb::AnswerRequest) -> Result<Asked, Fault> {
    let essence = essence(&wire);
    let pb::AnswerRequest {
        space,
        query,
        filter,
        retrieval,
        top_k,
        context_chunks,
        generation,
        history,
        cache_mode,
        include_related_questions,
    } = wire;
    let space = names::space(&space, "space")?;
    let mut refusals = Refusals::at("");
    rules::text(&query, &mut refusals);
    let filter = search::filter(filter, &space, &mut refusals);
    let retrieval = search::retrieval(retrieval, &mut refusals);
    if top_k.is_some_and(|top_k| !TOP_K.contains(&top_k)) {
        refusals.add("top_k", "must be 1 to 100");
    }
    if context_chunks.is_some_and(|chunks| !CHUNKS.contains(&chunks)) {
        refusals.add("context_chunks", "must be 1 to 20");
    }
    let generation = Generation::parse(generation.unwrap_or_default(), &mut refusals);
    let history = turns(history, &mut refusals);
    let cache = match pb::CacheMode::try_from(cache_mode) {
        Ok(pb::CacheMode::Unspecified | pb::CacheMode::ReadWrite) => CacheUse {
            read: true,
            write: true,
        },
        Ok(pb::CacheMode::Refresh) => CacheUse {
            read: false,
            write: true,
        },
        Ok(pb::CacheMode::Off) => CacheUse {
            read: false,
            write: false,
        },
        Err(_) => {
            refusals.add("cache_mode", "must be one of CacheMode");
            CacheUse {
                read: false,
                write: false,
            }
        }
    };
    refusals.finish()?;
    let Generation {
        mode,
        model,
        max_tokens,
        temperature,
        manner,
    } = generation;
    Ok(Asked {
        space,
        query,
        filter,
        retrieval,
        top_k: top_k.unwrap_or(20) as usize,
        chunks: context_chunks.unwrap_or(6) as usize,
        mode,
        model,
        max_tokens,
        temperature,
        manner,
        history,
        cache,
        related: include_related_questions.unwrap_or(false),
        essence,
    })
}

impl Asked {
    /// The key of its answer in the cache: of this owner, while the space is of this epoch, with the model that answers
    /// where none is named.
    pub(crate) fn key(&self, owner: &str, epoch: u64, default_model: &str) -> Key {
        KeyMaker::default()
            .part("owner", owner)
            .part("epoch", epoch.to_le_bytes())
            .part("prompt", prompt::VERSION)
            .part("model", default_model)
            .part("request", &self.essence)
            .finish()
    }
}

/// The request without what does not change its answer. Encoding is the same for the same messages: maps are sorted.
fn essence(wire: &pb::AnswerRequest) -> Vec<u8> {
    let mut wire = wire.clone();
    wire.cache_mode = 0;
    wire.encode_to_vec()
}

/// How an answer is to be written.
struct Generation {
    mode: Mode,
    model: String,
    max_tokens: u32,
    temperature: f32,
    manner: Manner,
}

impl Generation {
    fn parse(wire: pb::GenerationConfig, refusals: &mut Refusals) -> Self {
        let pb::GenerationConfig {
            model,
            max_tokens,
            temperature,
            language_code,
            instructions,
            mode,
        } = wire;
        let mode = match pb::AnswerMode::try_from(mode) {
            Ok(pb::AnswerMode::Unspecified | pb::AnswerMode::Auto) => Mode::Auto,
            Ok(pb::AnswerMode::Extractive) => Mode::Extractive,
            Ok(pb::AnswerMode::Generative) => Mode::Generative,
            Err(_) => {
                refusals.add("generation.mode", "must be one of AnswerMode");
                Mode::Auto
            }
        };
        if longer(&model, 200) {
            refusals.add("generation.model", "must have at most 200 characters");
        }
        if max_tokens.is_some_and(|tokens| !TOKENS.contains(&tokens)) {
            refusals.add("generation.max_tokens", "must be 1 to 8192");
        }
        if temperature.is_some_and(|temperature| !TEMPERATURES.contains(&temperature)) {
            refusals.add("generation.temperature", "must be 0 to 2");
        }
        if longer(&instructions, 1_000) {
            refusals.add("generation.instructions", "must have at most 1000 characters");
        }
        let is_set = [
            ("generation.model", !model.is_empty()),
            ("generation.max_tokens", max_tokens.is_some()),
            ("generation.temperature", temperature.is_some()),
            ("generation.language_code", !language_code.is_empty()),
            ("generation.instructions", !instructions.is_empty()),
        ];
        for (field, is_set) in is_set {
            if is_set && mode == Mode::Extractive {
                refusals.add(field, "is for a language model, which EXTRACTIVE does not ask");
            }
        }
        let language = data::language(language_code, "generation.language_code", refusals);
        Self {
            mode,
            model,
            max_tokens: max_tokens.unwrap_or(512),
            temperature: temperature.unwrap_or(0.0),
            manner: Manner {
                language: language.unwrap_or_default(),
                instructions,
            },
        }
    }
}

fn turns(wire: Vec<pb::ConversationTurn>, refusals: &mut Refusals) -> Vec<Turn> {
    if wire.len() > MOST_TURNS {
        refusals.add("history", "must have at most 20 turns");
    }
    let mut turns = Vec::with_capacity(wire.len().min(MOST_TURNS));
    for (at, turn) in wire.into_iter().take(MOST_TURNS).enumerate() {
        let pb::ConversationTurn { query, answer } = turn;
        if query.trim().is_empty() || longer(&query, MOST_QUERY) {
            refusals.add(&format!("history[{at}].query"), "must have 1 to 4000 characters");
        }
        if longer(&answer, MOST_ANSWER) {
            refusals.add(
                &format!("history[{at}].answer"),
                "must have at most 20000 characters",
            );
        }
        turns.push(Turn { query, answer });
    }
    turns
}

/// A hit as an answer sees it.
pub(crate) fn source(hit: &Hit) -> Source {
    Source {
        title: hit.title.clone(),
        headings: hit.headings.to_vec(),
        text: hit.text.clone(),
        score: hit.score,
    }
}

/// Citations of an answer from these hits in the space of this id.
pub(crate) fn citations(space: &str, hits: &[Hit], citations: &[Citation]) -> pb::Citations {
    let citation = |citation: &Citation| pb::Citation {
        answer_range: Some(hits::text_range(citation.range.clone())),
        sources: citation
            .quotes
            .iter()
            .filter_map(|quote| {
                let hit = hits.get(quote.source)?;
                let range = hit.range.start + quote.range.start..hit.range.start + quote.range.end;
                Some(pb::CitationSource {
                    hit_index: u32::try_from(quote.source).ok()?,
                    document: names::of_document(space, &hit.document),
                    anchor: Some(hits::anchor(space, hit, range)),
                    quote: hit.text.get(quote.range.clone())?.to_owned(),
                })
            })
            .collect(),
        grounding_score: citation.grounding,
        verified: citation.verified,
    };
    pb::Citations {
        citations: citations.iter().map(citation).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> pb::AnswerRequest {
        pb::AnswerRequest {
            space: "spaces/a".to_owned(),
            query: "When does it stall?".to_owned(),
            ..pb::AnswerRequest::default()
        }
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        let asked = asked(question()).expect("a question");
        assert_eq!((asked.top_k, asked.chunks, asked.max_tokens), (20, 6, 512));
        assert_eq!(asked.mode, Mode::Auto);
        assert!(asked.cache.read && asked.cache.write && !asked.related);
    }

    #[test]
    fn every_field_that_cannot_be_is_told_at_once() {
        let wire = pb::AnswerRequest {
            query: String::new(),
            top_k: Some(0),
            context_chunks: Some(21),
            generation: Some(pb::GenerationConfig {
                mode: pb::AnswerMode::Extractive.into(),
                max_tokens: Some(0),
                temperature: Some(-1.0),
                language_code: "?".to_owned(),
                instructions: "x".repeat(1_001),
                ..pb::GenerationConfig::default()
            }),
            history: vec![pb::ConversationTurn::default(); 21],
            cache_mode: 9,
            ..question()
        };
        let fault = asked(wire).expect_err("refused");
        let has = |field: &str| fault.violations.iter().any(|violation| violation.field == field);
        for field in [
            "query",
            "top_k",
            "context_chunks",
            "generation.max_tokens",
            "generation.temperature",
            "generation.language_code",
            "generation.instructions",
            "history",
            "history[0].query",
            "cache_mode",
        ] {
            assert!(has(field), "{field}: {fault:?}");
        }
    }

    #[test]
    fn all_that_changes_an_answer_changes_its_key() {
        let base = asked(question()).expect("a question");
        let key = base.key("me", 1, "m");
        let off = pb::AnswerRequest {
            cache_mode: pb::CacheMode::Off.into(),
            ..question()
        };
        assert_eq!(asked(off).expect("a question").key("me", 1, "m"), key);
        let others = [
            base.key("you", 1, "m"),
            base.key("me", 2, "m"),
            base.key("me", 1, "n"),
        ];
        assert!(others.iter().all(|other| *other != key));
        let changes: [fn(&mut pb::AnswerRequest); 5] = [
            |wire| wire.space = "spaces/b".to_owned(),
            |wire| wire.query.push('!'),
            |wire| wire.top_k = Some(19),
            |wire| {
                wire.filter = Some(pb::Filter {
                    tags: vec!["x".to_owned()],
                    ..pb::Filter::default()
                });
            },
            |wire| {
                wire.retrieval = Some(pb::RetrievalConfig {
                    exact: Some(true),
                    ..pb::RetrievalConfig::default()
                });
            },
        ];
        for change in changes {
            let mut wire = question();
            change(&mut wire);
            assert_ne!(asked(wire).expect("a question").key("me", 1, "m"), key);
        }
    }
}
