//! An utterance that is fed as it is spoken: kept whole, and decoded again for each hypothesis.
//!
//! Whisper's encoder always sees 30 s, so there is no state that could be carried on. An utterance that grows beyond
//! 30 s is decoded by windows, as a recording is. How long it may grow is for its owner to say.

use std::sync::Arc;

use super::transcribe::{Wanted, Words};
use super::{Whisper, WhisperEngine};
use crate::Error;
use crate::domain::{Cancel, DecodeOptions, Transcript};
use crate::engine::Utterance;

/// An utterance.
#[derive(Debug)]
pub(super) struct WhisperUtterance {
    whisper: Arc<Whisper>,
    options: DecodeOptions,
    cancel: Cancel,
    samples: Vec<f32>,
}

// === impl WhisperUtterance ===

impl WhisperUtterance {
    pub(super) fn new(whisper: Arc<Whisper>, options: DecodeOptions, cancel: Cancel) -> Self {
        Self {
            whisper,
            options,
            cancel,
            samples: Vec::new(),
        }
    }

    /// Words are always given, since agreement is found by them; they are aligned if their times were asked for.
    fn decode(&self) -> Result<Transcript, Error> {
        let words = if self.options.word_times {
            Words::Best
        } else {
            Words::Shared
        };
        let wanted = Wanted::new(&self.options, words);
        WhisperEngine::transcript(&self.whisper, &self.samples, wanted, &self.cancel)
    }
}

impl Utterance for WhisperUtterance {
    fn accept(&mut self, samples: &[f32]) -> Result<(), Error> {
        self.samples.extend_from_slice(samples);
        Ok(())
    }

    fn hypothesis(&mut self) -> Result<Transcript, Error> {
        self.decode()
    }

    fn finish(self: Box<Self>) -> Result<Transcript, Error> {
        self.decode()
    }
}
