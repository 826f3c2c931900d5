//! The state machine under both the streaming and the offline form: probabilities in, unpadded turns out.

use std::collections::VecDeque;
use std::time::Duration;

use crate::endpoint::{EndReason, Rules, Stop, Vote};

/// A change, in samples, without padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Begin(u64),
    Pause(u64),
    End(u64, EndReason),
}

#[derive(Debug, Clone)]
pub(super) struct Machine {
    frame: u64,
    threshold: f32,
    neg_threshold: f32,
    start: Window,
    stop: Rule,
    early: Option<Rule>,
    min_speech: u64,
    max_speech: u64,
    cut_pause: u64,
    /// One past the frame that was pushed last.
    now: u64,
    speech: Option<Speech>,
    turns: VecDeque<Turn>,
}

/// An utterance that goes on.
#[derive(Debug, Clone)]
struct Speech {
    start: u64,
    reported: bool,
    /// One past the last frame that was not silence.
    last: u64,
    /// Where the silence began that goes on.
    silence: Option<u64>,
    /// Whether this silence has been reported as a pause.
    paused: bool,
    /// The longest pause so far that is fit for a cut, where and how long; the first of equals.
    pause: Option<(u64, u64)>,
}

#[derive(Debug, Clone)]
enum Rule {
    Silence(u64),
    Vote(Window),
}

/// The last frames, true for those that count.
#[derive(Debug, Clone)]
struct Window {
    frames: VecDeque<bool>,
    len: usize,
    share: f32,
}

/// A pause that may be used to cut an utterance must be longer than this (silero-vad's `min_silence_at_max_speech`).
const CUT_PAUSE: Duration = Duration::from_millis(98);

// === impl Machine ===

impl Machine {
    pub(super) fn new(rules: &Rules) -> Self {
        let samples = |time| rules.rate.frames(time);
        // As in silero-vad, the limit leaves room for the padding and for the frame that notices.
        let max_speech = rules.max_speech.map_or(u64::MAX, |max| {
            let room = u64::from(rules.frame) + samples(rules.pad_before) + samples(rules.pad_after);
            samples(max).saturating_sub(room)
        });
        Self {
            frame: u64::from(rules.frame),
            threshold: rules.threshold,
            neg_threshold: rules.neg_threshold,
            start: Window::new(&rules.start, rules),
            stop: Rule::new(&rules.stop, rules),
            early: rules.early_stop.as_ref().map(|early| Rule::new(early, rules)),
            min_speech: samples(rules.min_speech),
            max_speech,
            cut_pause: samples(CUT_PAUSE),
            now: 0,
            speech: None,
            turns: VecDeque::new(),
        }
    }

    /// What follows from all that was pushed, in order.
    pub(super) fn next_turn(&mut self) -> Option<Turn> {
        self.turns.pop_front()
    }

    pub(super) const fn reported(&self) -> bool {
        matches!(&self.speech, Some(speech) if speech.reported)
    }

    pub(super) fn push(&mut self, probability: f32) {
        let begin = self.now;
        self.now += self.frame;
        match self.speech.take() {
            Some(speech) => self.speech = self.go_on(speech, begin, probability),
            None => self.wait(begin, probability),
        }
    }

    pub(super) fn finish(&mut self, samples: u64) {
        if let Some(speech) = self.speech.take() {
            let long = samples.saturating_sub(speech.start) > self.min_speech;
            if !speech.reported && long {
                self.turns.push_back(Turn::Begin(speech.start));
            }
            if speech.reported || long {
                self.turns.push_back(Turn::End(samples, EndReason::EndOfAudio));
            }
        }
        self.start.clear();
        self.now = 0;
    }

    /// A frame while nobody speaks.
    fn wait(&mut self, begin: u64, probability: f32) {
        self.start.push(probability >= self.threshold);
        if !self.start.is_met() {
            return;
        }
        // Speech began with the earliest frame that voted for it.
        let age = self.start.oldest_vote() as u64;
        let speech = self.begin(begin - age * self.frame);
        self.speech = Some(speech);
    }

    fn begin(&mut self, start: u64) -> Speech {
        self.start.clear();
        self.stop.clear();
        if let Some(early) = &mut self.early {
            early.clear();
        }
        let mut speech = Speech {
            start,
            reported: false,
            last: self.now,
            silence: None,
            paused: false,
            pause: None,
        };
        self.report(&mut speech);
        speech
    }

    /// Reports an utterance once it is longer than the minimum.
    fn report(&mut self, speech: &mut Speech) {
        if !speech.reported && (self.min_speech == 0 || speech.last - speech.start > self.min_speech) {
            speech.reported = true;
            self.turns.push_back(Turn::Begin(speech.start));
        }
    }

    /// A frame of an utterance; gives the utterance that goes on.
    fn go_on(&mut self, mut speech: Speech, begin: u64, probability: f32) -> Option<Speech> {
        if probability >= self.threshold {
            speech.resume(begin, self.cut_pause);
        }
        if begin - speech.start > self.max_speech {
            let at = speech.pause.map_or(begin, |(at, _)| at);
            if !speech.reported {
                self.turns.push_back(Turn::Begin(speech.start));
            }
            self.turns.push_back(Turn::End(at, EndReason::MaxLength));
            // Without a pause the next utterance waits for the next frame of speech.
            let (at, length) = speech.pause?;
            speech = self.begin(at + length);
        }
        let silent = probability < self.neg_threshold;
        if silent && speech.silence.is_none() {
            speech.silence = Some(begin);
        }
        if speech.silence.is_none() {
            speech.last = self.now;
            self.report(&mut speech);
        }
        let end = speech.silence.unwrap_or(speech.last);
        if self.stop.is_met(begin, silent, speech.silence) {
            if speech.reported {
                self.turns.push_back(Turn::End(end, EndReason::Silence));
            }
            return None;
        }
        let early = self
            .early
            .as_mut()
            .is_some_and(|rule| rule.is_met(begin, silent, speech.silence));
        if early && speech.reported && !speech.paused {
            speech.paused = true;
            self.turns.push_back(Turn::Pause(end));
        }
        Some(speech)
    }
}

// === impl Speech ===

impl Speech {
    /// Somebody speaks again, or still.
    fn resume(&mut self, begin: u64, cut_pause: u64) {
        if let Some(silence) = self.silence.take() {
            let length = begin - silence;
            if length > cut_pause && self.pause.is_none_or(|(_, longest)| length > longest) {
                self.pause = Some((silence, length));
            }
            self.paused = false;
        }
    }
}

// === impl Rule ===

impl Rule {
    fn new(stop: &Stop, rules: &Rules) -> Self {
        match stop {
            Stop::Silence(time) => Self::Silence(rules.rate.frames(*time)),
            Stop::Vote(vote) => Self::Vote(Window::new(vote, rules)),
        }
    }

    fn clear(&mut self) {
        if let Self::Vote(window) = self {
            window.clear();
        }
    }

    /// To be asked once for each frame of an utterance. A silence is only ended by a frame that is silent itself.
    fn is_met(&mut self, begin: u64, silent: bool, silence: Option<u64>) -> bool {
        match self {
            Self::Silence(least) => silent && silence.is_some_and(|since| begin - since >= *least),
            Self::Vote(window) => {
                window.push(silence.is_some());
                window.is_met()
            }
        }
    }
}

// === impl Window ===

impl Window {
    fn new(vote: &Vote, rules: &Rules) -> Self {
        let len = rules
            .rate
            .frames(vote.history)
            .div_ceil(u64::from(rules.frame))
            .max(1) as usize;
        Self {
            frames: VecDeque::with_capacity(len),
            len,
            share: vote.share,
        }
    }

    fn push(&mut self, counts: bool) {
        if self.frames.len() == self.len {
            self.frames.pop_front();
        }
        self.frames.push_back(counts);
    }

    /// Whether the share is reached of the whole history, so far as it is not filled yet against it.
    fn is_met(&self) -> bool {
        let votes = self.frames.iter().filter(|counts| **counts).count();
        votes > 0 && votes as f32 >= self.share * self.len as f32
    }

    /// How many frames ago the oldest counted frame was.
    fn oldest_vote(&self) -> usize {
        let oldest = self.frames.iter().position(|counts| *counts);
        oldest.map_or(0, |index| self.frames.len() - 1 - index)
    }

    fn clear(&mut self) {
        self.frames.clear();
    }
}
