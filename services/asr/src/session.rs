//! One stream of audio, from its first sample to its end: a state machine without a socket or a thread.
//!
//! Samples go in, in pieces of any size, and events come out. Everything is counted in samples: interim results come
//! every so much *audio*, timeouts pass in audio, so that two clients that send the same sound get the same words,
//! however fast they send it and however they cut it.
//!
//! One thing is measured by a clock: what an interim result costs an engine that decodes all anew for it. The next one
//! comes after twice as much audio at least, so a machine that is slow or shared gives fewer of them, and they never
//! take more than half of its time.
//!
//! ```text
//!            speech begins (with pre-roll)              partial_interval of audio
//!   waiting ───────────────────────────────▶ speaking ──────────────────────────▶ Interim
//!      ▲                                        │ pause · flush · too long · end
//!      └────────────────────────────────────────┘ Final
//! ```

mod event;
mod live;

use std::sync::Arc;
use std::time::{Duration, Instant};

use polyphony_audio::endpoint::{self, Endpointer, Rules};

use crate::domain::{Cancel, Commit, DecodeOptions, SAMPLE_RATE};
use crate::engine::Engine;
use crate::error::Error;
use crate::vad::{FRAME, Vad};
use live::{Live, Pace};

pub use event::{EndReason, Event, Hypothesis};

/// What a stream is to do.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How to decode.
    pub options: DecodeOptions,
    /// When speech begins and ends. `max_speech` is not looked at: see `max_utterance`.
    pub rules: Rules,
    /// Decode while somebody speaks, not only at the end.
    pub interim: bool,
    /// Audio between two interim results, at least.
    pub partial_interval: Duration,
    /// An utterance is ended after so much audio; from four fifths of it on, as soon as a frame is not speech.
    pub max_utterance: Duration,
    /// End after the first utterance in which words were found.
    pub single_utterance: bool,
    /// End when no speech has begun after so much audio.
    pub speech_start_timeout: Option<Duration>,
    /// End when so much audio has passed since the last speech.
    pub speech_end_timeout: Option<Duration>,
    /// The clock by which the cost of an interim result is measured.
    pub clock: fn() -> Instant,
}

/// A stream.
pub struct Session {
    settings: Settings,
    engine: Arc<dyn Engine>,
    vad: Box<dyn Vad>,
    cancel: Cancel,
    endpointer: Endpointer,
    /// As the endpointer is at its beginning.
    fresh: Endpointer,
    /// The sample at which the endpointer's beginning was.
    base: u64,
    /// Less than a frame that was not judged yet.
    partial: Vec<f32>,
    /// Judged audio that may still belong to an utterance; it ends at `judged`.
    heard: Vec<f32>,
    /// How much of it is kept while nobody speaks.
    kept: usize,
    received: u64,
    judged: u64,
    /// The end of the last utterance, which the next may not overlap.
    floor: u64,
    /// One past the last frame that was speech.
    last_speech: Option<u64>,
    live: Option<Live>,
    utterances: u32,
    ended: bool,
}

/// Audio before the detected begin that goes to the engine: the detector is late by some frames, and soft consonants
/// are not speech to it.
const PRE_ROLL: Duration = Duration::from_millis(300);

// === impl Session ===

impl Session {
    /// A stream at its beginning. Setting `cancel` stops the engine in the middle of its work.
    ///
    /// # Errors
    /// [`Error::Engine`] when the rules were not checked before.
    pub fn new(
        mut settings: Settings,
        engine: Arc<dyn Engine>,
        vad: Box<dyn Vad>,
        cancel: &Cancel,
    ) -> Result<Self, Error> {
        // The endpointer would cut in the past, where the engine has been already.
        settings.rules.max_speech = None;
        settings.rules.pad_before = Duration::ZERO;
        settings.rules.pad_after = Duration::ZERO;
        // The words carry what is agreed on; whether the client sees them is the adapter's.
        settings.options.word_times = true;
        let fresh = Endpointer::new(&settings.rules).map_err(|error| Error::engine("endpointing", error))?;
        let kept = samples(settings.rules.start.history + PRE_ROLL) as usize + 2 * FRAME;
        Ok(Self {
            settings,
            engine,
            vad,
            cancel: cancel.clone(),
            endpointer: fresh.clone(),
            fresh,
            base: 0,
            partial: Vec::with_capacity(FRAME),
            heard: Vec::new(),
            kept,
            received: 0,
            judged: 0,
            floor: 0,
            last_speech: None,
            live: None,
            utterances: 0,
            ended: false,
        })
    }

    /// Takes the next samples, mono at 16 kHz, and appends what follows from them to `events`.
    ///
    /// # Errors
    /// [`Error::Cancelled`], or [`Error::Engine`] when a model fails; the stream is over then.
    pub fn push(&mut self, mut samples: &[f32], events: &mut Vec<Event>) -> Result<(), Error> {
        while !samples.is_empty() && !self.ended {
            let (now, later) = samples.split_at(samples.len().min(FRAME - self.partial.len()));
            self.partial.extend_from_slice(now);
            self.received += now.len() as u64;
            samples = later;
            if let Ok(frame) = <&[f32; FRAME]>::try_from(self.partial.as_slice()) {
                let frame = *frame;
                self.partial.clear();
                self.judge(&frame, events)?;
            }
        }
        Ok(())
    }

    /// Ends the current utterance now; the stream goes on.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn flush(&mut self, events: &mut Vec<Event>) -> Result<(), Error> {
        if self.ended || self.live.is_none() {
            return Ok(());
        }
        self.close_with_rest(events)?;
        // The frame that was begun is judged when it is whole; only what comes after the flush can begin an utterance.
        self.endpointer = self.fresh.clone();
        self.base = self.judged;
        Ok(())
    }

    /// Echoes a marker: all that came before it has gone through.
    pub fn marker(&mut self, id: String, events: &mut Vec<Event>) {
        if !self.ended {
            events.push(Event::Marker(id));
        }
    }

    /// The audio is over.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Error> {
        if self.ended {
            return Ok(());
        }
        if self.live.is_some() {
            self.close_with_rest(events)?;
        }
        if !self.ended {
            self.end(EndReason::Closed, events);
        }
        Ok(())
    }

    /// Samples that were taken in.
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Utterances in which words were found.
    pub const fn utterances(&self) -> u32 {
        self.utterances
    }

    /// Whether the stream is over.
    pub const fn is_over(&self) -> bool {
        self.ended
    }

    fn judge(&mut self, frame: &[f32; FRAME], events: &mut Vec<Event>) -> Result<(), Error> {
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let probability = self.vad.probability(frame)?;
        self.heard.extend_from_slice(frame);
        self.judged += FRAME as u64;
        let is_speech = probability >= self.settings.rules.threshold;
        if is_speech {
            self.last_speech = Some(self.judged);
        }
        let mut turns = Vec::new();
        self.endpointer.push(probability, &mut turns);
        self.feed()?;
        for turn in turns {
            match turn {
                endpoint::Event::SpeechBegin { at } => self.open(self.base + at, events)?,
                endpoint::Event::SpeechPause { .. } => self.interim(true, events)?,
                endpoint::Event::SpeechEnd { at, .. } => self.close(self.base + at, events)?,
            }
            if self.ended {
                return Ok(());
            }
        }
        self.partial_result(is_speech, events)?;
        self.check_timeouts(events)?;
        if self.live.is_none() {
            let excess = self.heard.len().saturating_sub(self.kept);
            self.heard.drain(..excess);
        }
        Ok(())
    }

    /// Somebody speaks since `at`.
    fn open(&mut self, at: u64, events: &mut Vec<Event>) -> Result<(), Error> {
        if self.live.is_some() {
            return Ok(());
        }
        events.push(Event::SpeechBegin { at });
        self.begin(at.saturating_sub(samples(PRE_ROLL)).max(self.floor))
    }

    /// Begins an utterance at `start`, or at what is left of the audio since.
    fn begin(&mut self, start: u64) -> Result<(), Error> {
        let start = start.max(self.judged - self.heard.len() as u64);
        let utterance = self.engine.utterance(&self.settings.options, &self.cancel)?;
        let commit = self.engine.info().commit;
        let pace = Pace {
            interval: samples(self.settings.partial_interval).max(FRAME as u64),
            clock: (commit == Commit::LocalAgreement).then_some(self.settings.clock),
        };
        self.live = Some(Live::new(utterance, commit, self.utterances + 1, start, pace));
        self.feed()
    }

    /// Gives the utterance the audio that it has not heard yet.
    fn feed(&mut self) -> Result<(), Error> {
        let Some(live) = &mut self.live else { return Ok(()) };
        let first = self.judged - self.heard.len() as u64;
        let from = live.fed.saturating_sub(first) as usize;
        live.accept(self.heard.get(from..).unwrap_or_default())?;
        self.heard.clear();
        Ok(())
    }

    /// Sends an interim result if it is time for one, and ends an utterance that has become too long.
    fn partial_result(&mut self, is_speech: bool, events: &mut Vec<Event>) -> Result<(), Error> {
        let Some(live) = &mut self.live else { return Ok(()) };
        let length = live.fed - live.start;
        let most = samples(self.settings.max_utterance);
        if length >= most || (!is_speech && length >= most / 5 * 4) {
            let end = live.fed;
            self.conclude(events)?;
            if !self.ended && self.endpointer.in_speech() {
                return self.begin(end);
            }
        } else if live.is_due() {
            self.interim(false, events)?;
        }
        Ok(())
    }

    fn interim(&mut self, pause: bool, events: &mut Vec<Event>) -> Result<(), Error> {
        if !self.settings.interim {
            return Ok(());
        }
        if let Some(result) = self
            .live
            .as_mut()
            .map(|live| live.interim(pause))
            .transpose()?
            .flatten()
        {
            events.push(Event::Result(Box::new(result)));
        }
        Ok(())
    }

    /// The speaker has paused at `at`.
    fn close(&mut self, at: u64, events: &mut Vec<Event>) -> Result<(), Error> {
        if self.live.is_some() {
            events.push(Event::SpeechEnd {
                at: at.min(self.received),
            });
            self.conclude(events)?;
        }
        Ok(())
    }

    /// Ends the utterance at the last sample that was received, though its frame is not whole.
    fn close_with_rest(&mut self, events: &mut Vec<Event>) -> Result<(), Error> {
        if let Some(live) = &mut self.live {
            let judged = live.fed.saturating_sub(self.judged) as usize;
            live.accept(self.partial.get(judged..).unwrap_or_default())?;
        }
        self.close(self.received, events)
    }

    fn conclude(&mut self, events: &mut Vec<Event>) -> Result<(), Error> {
        let Some(live) = self.live.take() else {
            return Ok(());
        };
        self.floor = live.fed;
        let Some(result) = live.finish()? else {
            return Ok(());
        };
        self.utterances += 1;
        if self.settings.single_utterance {
            events.push(Event::EndOfSingleUtterance { at: result.end });
        }
        events.push(Event::Result(Box::new(result)));
        if self.settings.single_utterance {
            self.end(EndReason::SingleUtterance, events);
        }
        Ok(())
    }

    fn check_timeouts(&mut self, events: &mut Vec<Event>) -> Result<(), Error> {
        let passed = |since: u64, limit: Option<Duration>| {
            limit.is_some_and(|limit| self.judged.saturating_sub(since) >= samples(limit))
        };
        match self.last_speech {
            None if passed(0, self.settings.speech_start_timeout) => {
                self.end(EndReason::SpeechStartTimeout, events);
            }
            Some(last) if passed(last, self.settings.speech_end_timeout) => {
                self.close(last, events)?;
                if !self.ended {
                    self.end(EndReason::SpeechEndTimeout, events);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, reason: EndReason, events: &mut Vec<Event>) {
        self.ended = true;
        events.push(Event::Ended(reason));
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("settings", &self.settings)
            .field("received", &self.received)
            .field("utterances", &self.utterances)
            .finish_non_exhaustive()
    }
}

/// Samples in a time.
pub fn samples(time: Duration) -> u64 {
    let samples = time.as_micros() * u128::from(SAMPLE_RATE) / 1_000_000;
    u64::try_from(samples).unwrap_or(u64::MAX)
}

/// The time of a sample; exact, for a sample lasts 62,500 ns.
pub fn time(sample: u64) -> Duration {
    let rate = u64::from(SAMPLE_RATE);
    Duration::from_secs(sample / rate) + Duration::from_nanos(sample % rate * 1_000_000_000 / rate)
}

#[cfg(test)]
mod tests;
