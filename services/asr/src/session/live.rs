//! The utterance that is being spoken: its engine state, what is agreed on, and when the next interim result is due.

use std::time::{Duration, Instant};

use super::{Hypothesis, samples, time};
use crate::domain::{Commit, Segment, Word};
use crate::engine::Utterance;
use crate::engine::agreement::{Agreement, pieces};
use crate::error::Error;

/// An utterance that is being spoken.
pub(super) struct Live {
    /// None once it is finished.
    utterance: Option<Box<dyn Utterance>>,
    agreement: Agreement,
    segment_id: u32,
    revision: u32,
    /// Its first sample.
    pub(super) start: u64,
    /// One past the last sample that the engine has heard.
    pub(super) fed: u64,
    pace: Pace,
    due: u64,
    /// The last text that was told, and how much of it was stable.
    told: (String, usize),
    language: Option<String>,
}

/// How often interim results are made.
pub(super) struct Pace {
    /// The samples between two of them.
    pub(super) interval: u64,
    /// For engines to which each is a new decoding of all: measures what it costs, and the next one waits for
    /// [`SHARE`] times as much audio.
    pub(super) clock: Option<fn() -> Instant>,
}

/// Interim results may take one part in so many of the time that the audio takes to be spoken.
const SHARE: u32 = 2;
/// For engines that decode as they go: their later passes are better than their first, and the longer a word is held
/// the more often it is right. At 2 s streams with interim results err hardly more than those without.
const HOLD: Duration = Duration::from_secs(2);

// === impl Live ===

impl Live {
    pub(super) fn new(
        utterance: Box<dyn Utterance>,
        commit: Commit,
        segment_id: u32,
        start: u64,
        pace: Pace,
    ) -> Self {
        let hold = match commit {
            Commit::LocalAgreement => Duration::ZERO,
            Commit::Native => HOLD,
        };
        Self {
            utterance: Some(utterance),
            agreement: Agreement::holding(hold),
            segment_id,
            revision: 0,
            start,
            fed: start,
            due: start + pace.interval,
            pace,
            told: (String::new(), 0),
            language: None,
        }
    }

    pub(super) fn accept(&mut self, samples: &[f32]) -> Result<(), Error> {
        self.fed += samples.len() as u64;
        self.utterance
            .as_mut()
            .map_or(Ok(()), |utterance| utterance.accept(samples))
    }

    /// Whether it is time for an interim result.
    pub(super) const fn is_due(&self) -> bool {
        self.fed >= self.due
    }

    /// What has been said so far; nothing if that was told before. After a `pause` it will probably stay.
    pub(super) fn interim(&mut self, pause: bool) -> Result<Option<Hypothesis>, Error> {
        while self.due <= self.fed {
            self.due += self.pace.interval;
        }
        let Some(utterance) = &mut self.utterance else {
            return Ok(None);
        };
        let began = self.pace.clock.map(|clock| (clock, clock()));
        let transcript = utterance.hypothesis()?;
        if let Some((clock, began)) = began {
            let cost = clock().saturating_duration_since(began);
            self.due = self.due.max(self.fed + samples(cost * SHARE));
        }
        self.language = transcript.language.clone().or_else(|| self.language.take());
        self.agreement
            .push(pieces(transcript), time(self.fed - self.start));
        let now = (self.agreement.text(), self.agreement.stable_len());
        if now.0.is_empty() || (now == self.told && !pause) {
            return Ok(None);
        }
        let stability = if pause {
            1.0
        } else {
            0.9 * now.1 as f32 / now.0.len() as f32
        };
        self.told = now;
        Ok(Some(self.result(stability, None)))
    }

    /// What was said; nothing if there were no words, neither now nor in what was told before.
    pub(super) fn finish(mut self) -> Result<Option<Hypothesis>, Error> {
        let Some(utterance) = self.utterance.take() else {
            return Ok(None);
        };
        let transcript = utterance.finish()?;
        self.language = transcript.language.clone().or_else(|| self.language.take());
        let confidence = confidence(&transcript.segments);
        self.agreement.finish(pieces(transcript));
        if self.agreement.words().next().is_none() && self.revision == 0 {
            return Ok(None);
        }
        self.told = (self.agreement.text(), self.agreement.stable_len());
        let mut result = self.result(1.0, confidence);
        result.is_final = true;
        Ok(Some(result))
    }

    fn result(&mut self, stability: f32, confidence: Option<f32>) -> Hypothesis {
        self.revision += 1;
        let offset = time(self.start);
        Hypothesis {
            segment_id: self.segment_id,
            revision: self.revision,
            text: self.told.0.clone(),
            stable_len: self.told.1,
            stability,
            words: self
                .agreement
                .words()
                .map(|piece| shifted(&piece.word, offset))
                .collect(),
            language: self.language.clone(),
            start: self.start,
            end: self.fed,
            is_final: false,
            confidence,
        }
    }
}

fn shifted(word: &Word, offset: Duration) -> Word {
    Word {
        start: word.start + offset,
        end: word.end + offset,
        ..word.clone()
    }
}

/// The mean over the segments, weighted by their length; none where one is unknown.
fn confidence(segments: &[Segment]) -> Option<f32> {
    let mut sum = 0.0;
    let mut weight = 0.0;
    for segment in segments {
        let length = segment.end.saturating_sub(segment.start).as_secs_f32().max(0.01);
        sum += segment.confidence? * length;
        weight += length;
    }
    (weight > 0.0).then(|| sum / weight)
}
