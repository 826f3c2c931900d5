//! The embedded engine in a stream: pieces of 0.4 s, each judged by the 1.6 s around it once the caller's latency is over.

use std::collections::VecDeque;
use std::ops::Range;

use super::analysis::STEP;
use super::encoder::{Encoder, Sound, WINDOW};
use super::mel::HOP;
use super::{MIN_OFF, NAME, wanted};
use crate::Error;
use crate::domain::{Cancel, Ended, Event, SAMPLE_RATE, StreamOptions};
use crate::engine::Stream;
use crate::engine::activity::{Activity, Curve, FRAME, rules};
use crate::engine::trouble::Trouble;
use crate::streaming::{Online, Piece};
use crate::timeline;

/// A stream.
#[derive(Debug)]
pub(super) struct Ge2eStream {
    encoder: Encoder,
    cancel: Cancel,
    curve: Curve,
    online: Online,
    /// How far behind what was heard a piece is judged, in samples.
    latency: u64,
    /// What waits to be a whole block, so that what is told does not depend on how the samples were cut.
    waiting: Vec<f32>,
    /// The audio from sample `base` on.
    audio: Vec<f32>,
    base: u64,
    /// How far the voice activity model has come, in samples.
    judged: u64,
    speech: Speech,
    /// Stretches of speech that are not in a piece yet.
    spans: VecDeque<Range<u64>>,
    /// Where the next piece begins.
    next: u64,
    loudness: Loudness,
}

/// Where somebody speaks, frame by frame: the rules of a recording, without its look ahead.
#[derive(Debug, Default)]
struct Speech {
    /// Where the speech that goes on began.
    since: Option<u64>,
    /// Where it was last sure.
    last: u64,
}

/// How loud speech is, as it comes.
#[derive(Debug, Default)]
struct Loudness {
    energy: f64,
    samples: f64,
}

/// Audio before a piece that its window may reach back to.
const BACK: u64 = (WINDOW * HOP) as u64;
/// Samples that are worked on at once, a whole number of frames: 0.4 s and a little less.
const BLOCK: usize = STEP as usize / FRAME * FRAME;
/// Stretches are taken this much longer at either end, and end after so long a pause.
const PAD: u64 = SAMPLE_RATE as u64 / 10;

// === impl Ge2eStream ===

impl Ge2eStream {
    pub(super) fn new(
        activity: &Activity,
        encoder: Encoder,
        options: &StreamOptions,
        cancel: Cancel,
    ) -> Self {
        let min_off = timeline::samples(options.options.min_off.unwrap_or(MIN_OFF));
        Self {
            encoder,
            cancel,
            curve: activity.curve(),
            online: Online::new(options, wanted(&options.options), min_off),
            latency: timeline::samples(options.latency),
            waiting: Vec::new(),
            audio: Vec::new(),
            base: 0,
            judged: 0,
            speech: Speech::default(),
            spans: VecDeque::new(),
            next: 0,
            loudness: Loudness::default(),
        }
    }

    fn end(&self) -> u64 {
        self.base + self.audio.len() as u64
    }

    /// Runs voice activity over whole frames; at the end over the rest too.
    fn listen(&mut self, last: bool) -> Result<(), Trouble> {
        let from = (self.judged - self.base) as usize;
        let ready = self.audio.len() - from;
        let take = if last { ready } else { ready / FRAME * FRAME };
        let samples = &self.audio[from..from + take];
        let probabilities = self.curve.push(samples)?;
        for (frame, probability) in samples.chunks(FRAME).zip(probabilities) {
            let end = self.judged + frame.len() as u64;
            if probability >= 0.5 {
                self.loudness.add(frame);
            }
            self.spans.extend(self.speech.add(self.judged..end, probability));
            self.judged = end;
        }
        if last {
            self.spans.extend(self.speech.close(self.judged));
        }
        Ok(())
    }

    /// Judges the pieces whose latency is over; at the end all.
    fn judge(&mut self, last: bool) -> Result<Vec<Event>, Trouble> {
        let mut events = Vec::new();
        loop {
            let piece = self.next..self.next + STEP;
            // Speech that goes on is known up to where it was last sure.
            let heard = if last { u64::MAX } else { self.judged };
            if self.next >= self.end() || (!last && heard < piece.end + self.latency.max(PAD + FRAME as u64))
            {
                break;
            }
            let open = self.speech.open();
            let spans: Vec<Range<u64>> = (self.spans.iter().cloned().chain(open))
                .map(|span| span.start.max(piece.start)..span.end.min(piece.end).min(self.end()))
                .filter(|span| span.start < span.end)
                .collect();
            if !spans.is_empty() {
                let voice = self.voice(&piece)?;
                let lane = 0;
                self.online.hear(Piece { spans, voice, lane }, &mut events);
            }
            self.next = piece.end;
            self.spans.retain(|span| span.end > piece.end);
        }
        self.online.tell(self.next.min(self.end()), &mut events);
        self.trim();
        Ok(events)
    }

    /// The voice of the window around a piece, as far as it was heard.
    fn voice(&self, piece: &Range<u64>) -> Result<Vec<f32>, Trouble> {
        let middle = (piece.start + piece.end) / 2;
        // Never further ahead than the latency, so that the result does not depend on how the samples were cut.
        let ahead = (middle + BACK / 2).min(piece.end + self.latency).min(self.end());
        let start = ahead.saturating_sub(BACK).max(self.base);
        let from = (start - self.base) as usize;
        let to = (ahead - self.base) as usize;
        let sound = Sound {
            audio: &self.audio[from..to],
            gain: self.loudness.gain(),
        };
        let voices = self.encoder.embed(sound, &[0], &self.cancel)?;
        Ok(voices.row(0).to_vec())
    }

    /// Forgets audio that no window reaches back to.
    fn trim(&mut self) {
        let keep = self.next.saturating_sub(BACK).min(self.judged);
        // In large steps: each moves what stays.
        if keep > self.base + u64::from(SAMPLE_RATE) {
            self.audio.drain(..(keep - self.base) as usize);
            self.base = keep;
        }
    }
}

impl Stream for Ge2eStream {
    fn push(&mut self, samples: &[f32]) -> Result<Vec<Event>, Error> {
        self.waiting.extend_from_slice(samples);
        let mut events = Vec::new();
        let whole = self.waiting.len() / BLOCK * BLOCK;
        let rest = self.waiting.split_off(whole);
        for block in std::mem::replace(&mut self.waiting, rest).chunks(BLOCK) {
            if self.cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            self.audio.extend_from_slice(block);
            let more = self.listen(false).and_then(|()| self.judge(false));
            events.extend(more.map_err(|trouble| trouble.of(NAME))?);
        }
        Ok(events)
    }

    fn settled(&self) -> u64 {
        self.next.min(self.end())
    }

    fn finish(mut self: Box<Self>) -> Result<(Vec<Event>, Ended), Error> {
        let waiting = std::mem::take(&mut self.waiting);
        self.audio.extend(waiting);
        let rest = self.listen(true).and_then(|()| self.judge(true));
        let mut events = rest.map_err(|trouble| trouble.of(NAME))?;
        let ended = self.online.finish(&mut events);
        Ok((events, ended))
    }
}

// === impl Speech ===

impl Speech {
    /// Takes a frame; gives a stretch that is over.
    fn add(&mut self, frame: Range<u64>, probability: f32) -> Option<Range<u64>> {
        let rules = rules();
        if probability >= rules.threshold || (self.since.is_some() && probability >= rules.neg_threshold) {
            self.since.get_or_insert_with(|| frame.start.saturating_sub(PAD));
            self.last = frame.end;
            return None;
        }
        if self.since.is_some() && frame.end > self.last + PAD {
            return self.close(frame.end);
        }
        None
    }

    /// The stretch that goes on, up to where it is sure.
    fn open(&self) -> Option<Range<u64>> {
        self.since.map(|since| since..self.last + PAD)
    }

    /// Ends the stretch that goes on.
    fn close(&mut self, now: u64) -> Option<Range<u64>> {
        let since = self.since.take()?;
        Some(since..(self.last + PAD).min(now.max(self.last)))
    }
}

// === impl Loudness ===

impl Loudness {
    fn add(&mut self, frame: &[f32]) {
        self.energy += frame.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>();
        self.samples += frame.len() as f64;
    }

    /// The factor of energies that brings the speech so far to the level of training.
    fn gain(&self) -> f32 {
        super::analysis::to_level((self.samples > 0.0).then(|| (self.energy / self.samples) as f32))
    }
}
