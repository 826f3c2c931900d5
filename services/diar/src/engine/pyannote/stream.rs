//! The production engine in a stream: pieces of half a second, each judged by the window that ends when the caller's
//! latency is over (the idea of diart, Coria et al. 2021).
//!
//! A window tells its own people apart; whose voice each of them is, [`Online`] finds. Several people may speak in a piece.

use std::ops::Range;

use super::analysis::{SHARED, alone, common, near};
use super::encoder::{Encoder, Stretches};
use super::features::HOP;
use super::segmentation::Segmentation;
use super::{MIN_OFF, NAME};
use crate::Error;
use crate::clustering::Wanted;
use crate::domain::{Cancel, Ended, Event, StreamOptions};
use crate::engine::Stream;
use crate::engine::trouble::Trouble;
use crate::streaming::{Online, Piece};
use crate::timeline;

/// A stream.
#[derive(Debug)]
pub(super) struct PyannoteStream {
    segmentation: Segmentation,
    encoder: Encoder,
    cancel: Cancel,
    online: Online,
    /// How far behind what was heard a piece is judged, in samples: whole frames, and never so far that a piece would
    /// leave the middle of its window.
    latency: usize,
    /// What waits to be a whole piece, so that what is told does not depend on how the samples were cut.
    waiting: Vec<f32>,
    /// The audio from sample `base` on, a whole number of frames.
    audio: Vec<f32>,
    base: usize,
    /// Where the next piece begins.
    next: usize,
    /// The window that was looked at last, and its labels.
    window: Option<(Range<usize>, Vec<u8>)>,
    /// The voices of the people of the last windows, and where they were heard, in frames of the stream.
    voices: Vec<(Stretches, Vec<f32>)>,
}

/// Samples of a piece: half a second, a whole number of frames.
const PIECE: usize = 8_000;
/// Voices that may be used again.
const KEPT: usize = 12;

// === impl PyannoteStream ===

impl PyannoteStream {
    pub(super) fn new(
        segmentation: Segmentation,
        encoder: Encoder,
        options: &StreamOptions,
        wanted: Wanted,
        cancel: Cancel,
    ) -> Self {
        let min_off = timeline::samples(options.options.min_off.unwrap_or(MIN_OFF));
        let latency = usize::try_from(timeline::samples(options.latency)).unwrap_or(usize::MAX);
        Self {
            latency: latency.min(segmentation.layout().window / 2) / HOP * HOP,
            segmentation,
            encoder,
            cancel,
            online: Online::new(options, wanted, min_off),
            waiting: Vec::new(),
            audio: Vec::new(),
            base: 0,
            next: 0,
            window: None,
            voices: Vec::new(),
        }
    }

    fn end(&self) -> usize {
        self.base + self.audio.len()
    }

    /// Judges the pieces whose latency is over; at the end all.
    fn judge(&mut self, last: bool) -> Result<Vec<Event>, Trouble> {
        let mut events = Vec::new();
        while self.next < self.end() {
            let piece = self.next..self.next + PIECE;
            if !last && self.end() < piece.end + self.latency {
                break;
            }
            let heard = (piece.end + self.latency).min(self.end());
            for piece in self.pieces(&piece, heard)? {
                self.online.hear(piece, &mut events);
            }
            self.next = piece.end;
        }
        self.online.tell(self.next.min(self.end()) as u64, &mut events);
        self.trim();
        Ok(events)
    }

    /// Who speaks in a piece, one for each, as the window says that ends at `heard`.
    fn pieces(&mut self, piece: &Range<usize>, heard: usize) -> Result<Vec<Piece>, Trouble> {
        let layout = self.segmentation.layout().clone();
        let start = heard
            .saturating_sub(layout.window)
            .max(self.base)
            .next_multiple_of(HOP);
        let sound = &self.audio[start - self.base..heard - self.base];
        let known = self.window.take().filter(|(known, _)| *known == (start..heard));
        let labels = match known {
            Some((_, labels)) => labels,
            None => {
                let mut labels = self.segmentation.label(sound, &[0], &self.cancel)?;
                labels.pop().unwrap_or_default()
            }
        };
        let most = self.encoder.frames(sound.len());
        let piece = piece.start..piece.end.min(heard);
        let mut pieces = Vec::new();
        for number in 0..layout.speakers {
            let person = 1 << number;
            let edge = |frame| start + layout.edge(frame) as usize;
            let spans = spans(&labels, person, &piece, edge);
            if spans.is_empty() {
                continue;
            }
            let Some(stretches) = alone(&layout, &self.encoder, &labels, person, 0, most) else {
                continue;
            };
            let stretches = near(&stretches, (piece.start - start) / HOP..(piece.end - start) / HOP);
            let voice = self.voice(stretches, start..heard)?;
            pieces.push(Piece {
                spans,
                voice,
                lane: number as u8,
            });
        }
        self.window = Some((start..heard, labels));
        Ok(pieces)
    }

    /// The voice of what is heard in these frames of a window: one that was made before if it was of mostly the same.
    fn voice(&mut self, stretches: Stretches, window: Range<usize>) -> Result<Vec<f32>, Trouble> {
        let first = window.start / HOP;
        let shifted: Stretches = stretches
            .iter()
            .map(|stretch| stretch.start + first..stretch.end + first)
            .collect();
        let alike = self
            .voices
            .iter()
            .map(|(other, voice)| (common(&shifted, other), voice))
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .filter(|(common, _)| *common >= SHARED);
        if let Some((_, voice)) = alike {
            return Ok(voice.clone());
        }
        let sound = &self.audio[window.start - self.base..window.end - self.base];
        let mut voices = self.encoder.voices(sound, &[stretches], &self.cancel)?;
        voices.normalise();
        let voice = voices.row(0).to_vec();
        if self.voices.len() == KEPT {
            self.voices.remove(0);
        }
        self.voices.push((shifted, voice.clone()));
        Ok(voice)
    }

    /// Forgets audio that no window reaches back to.
    fn trim(&mut self) {
        let keep = (self.next + PIECE).saturating_sub(self.segmentation.layout().window) / HOP * HOP;
        // In large steps: each moves what stays.
        if keep > self.base + 4 * PIECE {
            self.audio.drain(..keep - self.base);
            self.base = keep;
        }
    }
}

/// Where a person speaks within a piece, in samples. Speech that goes on beyond the piece fills it up to its edge.
fn spans(labels: &[u8], person: u8, piece: &Range<usize>, edge: impl Fn(usize) -> usize) -> Vec<Range<u64>> {
    let mut spans: Vec<Range<u64>> = Vec::new();
    for (frame, label) in labels.iter().enumerate() {
        // Nothing is before the first frame and after the last.
        let from = if frame == 0 { piece.start } else { edge(frame) };
        let to = if frame + 1 == labels.len() {
            piece.end
        } else {
            edge(frame + 1)
        };
        let (from, to) = (from.max(piece.start) as u64, to.min(piece.end) as u64);
        if from >= to || label & person == 0 {
            continue;
        }
        match spans.last_mut() {
            Some(last) if last.end == from => last.end = to,
            _ => spans.push(from..to),
        }
    }
    spans
}

impl Stream for PyannoteStream {
    fn push(&mut self, samples: &[f32]) -> Result<Vec<Event>, Error> {
        self.waiting.extend_from_slice(samples);
        let mut events = Vec::new();
        let whole = self.waiting.len() / PIECE * PIECE;
        let rest = self.waiting.split_off(whole);
        for block in std::mem::replace(&mut self.waiting, rest).chunks(PIECE) {
            if self.cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            self.audio.extend_from_slice(block);
            events.extend(self.judge(false).map_err(|trouble| trouble.of(NAME))?);
        }
        Ok(events)
    }

    fn settled(&self) -> u64 {
        self.next.min(self.end()) as u64
    }

    fn finish(mut self: Box<Self>) -> Result<(Vec<Event>, Ended), Error> {
        let waiting = std::mem::take(&mut self.waiting);
        self.audio.extend(waiting);
        let mut events = self.judge(true).map_err(|trouble| trouble.of(NAME))?;
        let ended = self.online.finish(&mut events);
        Ok((events, ended))
    }
}
