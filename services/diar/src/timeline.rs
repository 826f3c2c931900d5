//! From frames to segments: stretches of one person, pauses filled, crumbs dropped, people in order of appearance.
//!
//! Knows nothing of voices: it takes a [`Track`] for each person and gives a [`Diarization`].

use std::time::Duration;

use crate::domain::{Diarization, Embedding, Overlap, SAMPLE_RATE, Segment, Speaker};

/// A person's stretches of speech, in order of time, none touching the next.
pub type Track = Vec<Span>;

/// A stretch, in samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    /// Its first sample.
    pub start: u64,
    /// One past its last.
    pub end: u64,
    /// How sure it is, 0 to 1.
    pub confidence: Option<f32>,
}

/// What makes segments of stretches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Shorter stretches are dropped, in samples.
    pub min_on: u64,
    /// Shorter pauses of one person are filled, in samples.
    pub min_off: u64,
    /// Whether a pause is filled in which somebody else speaks.
    pub over_others: bool,
}

/// Gathers the frames of one person into stretches.
#[derive(Debug, Default)]
pub struct Tracer {
    track: Track,
    sure: f64,
    frames: u32,
}

// === impl Tracer ===

impl Tracer {
    /// The person speaks from `start` to `end`, with this confidence. Frames come in order of time.
    pub fn add(&mut self, start: u64, end: u64, confidence: f32) {
        let goes_on = self.track.last().is_some_and(|last| last.end >= start);
        if !goes_on {
            self.close();
            self.track.push(Span {
                start,
                end,
                confidence: None,
            });
        }
        if let Some(last) = self.track.last_mut() {
            last.end = last.end.max(end);
        }
        self.sure += f64::from(confidence);
        self.frames += 1;
    }

    /// All stretches.
    pub fn finish(mut self) -> Track {
        self.close();
        self.track
    }

    fn close(&mut self) {
        if let Some(last) = self.track.last_mut()
            && self.frames > 0
        {
            let mean = (self.sure / f64::from(self.frames)) as f32;
            last.confidence = Some(mean.clamp(0.0, 1.0));
        }
        (self.sure, self.frames) = (0.0, 0);
    }
}

// === impl Rules ===

impl Rules {
    /// Fills pauses, then drops what is still too short.
    pub fn apply(&self, tracks: &mut [Track]) {
        if self.min_off > 0 {
            for at in 0..tracks.len() {
                let (before, rest) = tracks.split_at_mut(at);
                if let Some((track, after)) = rest.split_first_mut() {
                    let others = || before.iter().chain(after.iter()).flatten();
                    *track = self.filled(track, |gap| {
                        self.over_others || !others().any(|span| span.start < gap.end && gap.start < span.end)
                    });
                }
            }
        }
        for track in tracks {
            track.retain(|span| span.end - span.start >= self.min_on);
        }
    }

    fn filled(&self, track: &[Span], may: impl Fn(&Span) -> bool) -> Track {
        let mut filled: Track = Vec::with_capacity(track.len());
        for &span in track {
            if let Some(last) = filled.last_mut() {
                let gap = Span {
                    start: last.end,
                    end: span.start,
                    confidence: None,
                };
                if gap.end - gap.start < self.min_off && may(&gap) {
                    *last = last.joined(&span);
                    continue;
                }
            }
            filled.push(span);
        }
        filled
    }
}

// === impl Span ===

impl Span {
    /// One stretch from the beginning of this to the end of a later one.
    fn joined(&self, later: &Self) -> Self {
        let (mine, theirs) = (self.len() as f32, later.len() as f32);
        let confidence = self
            .confidence
            .zip(later.confidence)
            .map(|(a, b)| (a * mine + b * theirs) / (mine + theirs).max(1.0));
        Self {
            start: self.start,
            end: later.end,
            confidence,
        }
    }

    const fn len(&self) -> u64 {
        self.end - self.start
    }
}

/// Puts a diarization together. `tracks` and `exclusive` (with one person at a time) have the same people in the same
/// order, and so has `voices`; those who never speak are left out, and the rest numbered in order of appearance.
pub fn diarization(tracks: &[Track], exclusive: &[Track], voices: Vec<Option<Embedding>>) -> Diarization {
    let mut order: Vec<usize> = (0..tracks.len()).filter(|at| !tracks[*at].is_empty()).collect();
    order.sort_by_key(|at| (tracks[*at][0].start, *at));
    let mut voices = voices;
    voices.resize(tracks.len(), None);
    let speakers = order
        .iter()
        .map(|at| Speaker {
            speech: offset(tracks[*at].iter().map(Span::len).sum()),
            embedding: voices[*at].take(),
        })
        .collect();
    Diarization {
        segments: segments(tracks, &order),
        exclusive: segments(exclusive, &order),
        overlaps: overlaps(tracks, &order),
        speakers,
    }
}

fn segments(tracks: &[Track], order: &[usize]) -> Vec<Segment> {
    let mut segments: Vec<(u64, Segment)> = Vec::new();
    for (speaker, at) in order.iter().enumerate() {
        for span in tracks.get(*at).into_iter().flatten() {
            let segment = Segment {
                start: offset(span.start),
                end: offset(span.end),
                speaker,
                confidence: span.confidence,
            };
            segments.push((span.start, segment));
        }
    }
    segments.sort_by_key(|(start, segment)| (*start, segment.speaker));
    segments.into_iter().map(|(_, segment)| segment).collect()
}

/// Where at least two speak, cut where one of them begins or ends.
fn overlaps(tracks: &[Track], order: &[usize]) -> Vec<Overlap> {
    let mut changes: Vec<(u64, usize, bool)> = Vec::new();
    for (speaker, at) in order.iter().enumerate() {
        for span in &tracks[*at] {
            changes.push((span.start, speaker, true));
            changes.push((span.end, speaker, false));
        }
    }
    changes.sort_unstable();
    let mut speaking: Vec<usize> = Vec::new();
    let mut found = Vec::new();
    let mut since = 0;
    for (at, speaker, begins) in changes {
        if speaking.len() > 1 && at > since {
            found.push(Overlap {
                start: offset(since),
                end: offset(at),
                speakers: speaking.clone(),
            });
        }
        since = at;
        match speaking.binary_search(&speaker) {
            Ok(place) if !begins => drop(speaking.remove(place)),
            Err(place) if begins => speaking.insert(place, speaker),
            Ok(_) | Err(_) => {}
        }
    }
    found
}

/// Samples as time.
pub fn offset(samples: u64) -> Duration {
    let rate = u64::from(SAMPLE_RATE);
    let nanos = samples % rate * 1_000_000_000 / rate;
    Duration::new(samples / rate, nanos as u32)
}

/// Time as samples, to the nearest.
pub fn samples(time: Duration) -> u64 {
    let rate = u64::from(SAMPLE_RATE);
    let part = u64::from(time.subsec_nanos()) * rate + 500_000_000;
    time.as_secs()
        .saturating_mul(rate)
        .saturating_add(part / 1_000_000_000)
}
