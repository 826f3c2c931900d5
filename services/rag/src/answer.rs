//! Answers from passages: what a language model is given, what it cites, and whether its sources bear that out.
//!
//! Logic on texts, without a socket and without a clock. It searches nothing and asks nobody: what is found comes in as
//! [`Source`]s, and the places of citations are ranges in those.
//!
//! The way of an answer: the conversation becomes one question ([`follow_up`]); of what was found, [`context`] keeps
//! what fits into the model's budget; [`prompt`] marks it as data; [`refusal`] and [`markers`] read the model's words as
//! they come; [`citations`] checks each against what it cites by [`grounding`]. Where no model is up, [`extract`] answers
//! with sentences of the sources. [`cache`] keeps good answers.

pub mod cache;
pub mod citations;
mod config;
pub mod context;
pub mod extract;
pub mod follow_up;
pub mod grounding;
pub mod markers;
pub mod prompt;
pub mod refusal;
pub mod sentences;
pub mod words;

use std::ops::Range;

pub use config::AnswerConfig;

/// A passage that an answer may rest on, the best first in a list of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Source {
    /// The document's title; empty: it has none.
    pub title: String,
    /// The headings above it, the outermost first.
    pub headings: Vec<String>,
    /// The passage.
    pub text: String,
    /// How well it fits the question; comparable within one list only.
    pub score: f32,
}

/// A piece of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// Which of the sources, counted from 0.
    pub source: usize,
    /// Its bytes in that source's text, on character boundaries.
    pub range: Range<usize>,
}

/// A part of an answer and what it rests on.
#[derive(Debug, Clone, PartialEq)]
pub struct Citation {
    /// The part: bytes of the answer.
    pub range: Range<usize>,
    /// What it rests on, one piece of each source that is cited.
    pub quotes: Vec<Quote>,
    /// How well they bear it out, 0 to 1.
    pub grounding: f32,
    /// What it says was found in them.
    pub verified: bool,
}
