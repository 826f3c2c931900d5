//! What the models say of a recording, before anything is decided: who of each window speaks when, and their voices.
//!
//! It depends on the audio alone, not on what the caller asked for, and costs nearly all of the time; so it is what is
//! kept by the digest of the audio.

use std::ops::Range;

use super::encoder::{Encoder, Stretches};
use super::features::HOP;
use super::layout::Layout;
use super::segmentation::Segmentation;
use crate::clustering::Vectors;
use crate::domain::Cancel;
use crate::engine::cache::Weigh;
use crate::engine::trouble::Trouble;

/// What is known of a recording.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Analysis {
    /// Samples of the recording.
    pub samples: u64,
    /// Where windows begin, in samples.
    pub starts: Vec<usize>,
    /// The people of each frame of each window, a bit each.
    pub labels: Vec<Vec<u8>>,
    /// The people of windows whose voice could be heard.
    pub heard: Vec<Heard>,
    /// Voices, of any length.
    pub voices: Vectors,
}

/// One of a window's own people, for a part of the window.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Heard {
    /// The window.
    pub window: usize,
    /// The person's bit.
    pub person: u8,
    /// The frames of the window.
    pub frames: Range<usize>,
    /// The row of the voice; windows that overlap may share one.
    pub voice: usize,
    /// What this is of all that is heard of the person in the window: together 1.
    pub share: f32,
}

/// How voices are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Voices {
    /// One for each person of a window, as pyannote has it.
    OfWindows,
    /// One for each person every 0.8 s, of what is near; windows that overlap share them.
    OfMoments,
}

/// A voice needs so many frames of 10 ms.
const LEAST: usize = 20;
/// Two people of different windows who are heard in mostly the same frames share a voice: so much of what either is heard
/// in must be common.
pub(super) const SHARED: f32 = 0.65;
/// Frames of a moment.
const MOMENT: usize = 80;
/// Frames that are enough to know a voice by.
const ENOUGH: usize = 80;
/// A voice is taken from so many frames around a moment's middle, if the person speaks in them.
const AROUND: usize = 160;

// === impl Analysis ===

impl Analysis {
    /// Runs the models over a recording.
    ///
    /// # Errors
    /// [`polyphony_inference::Error::Run`] and [`polyphony_inference::Error::Cancelled`].
    pub(super) fn of(
        audio: &[f32],
        segmentation: &Segmentation,
        encoder: &Encoder,
        voices: Voices,
        cancel: &Cancel,
    ) -> Result<Self, Trouble> {
        let layout = segmentation.layout();
        let starts: Vec<usize> = layout.starts(audio.len()).collect();
        let labels = segmentation.label(audio, &starts, cancel)?;
        let (heard, wanted) = plan(layout, encoder, audio.len(), &starts, &labels, voices);
        let voices = encoder.voices(audio, &wanted, cancel)?;
        Ok(Self {
            samples: audio.len() as u64,
            starts,
            labels,
            heard,
            voices,
        })
    }
}

impl Weigh for Analysis {
    fn bytes(&self) -> usize {
        let labels: usize = self.labels.iter().map(Vec::len).sum();
        let windows = self.labels.len() * size_of::<Vec<u8>>() + self.starts.len() * size_of::<usize>();
        labels + windows + self.heard.len() * size_of::<Heard>() + self.voices.bytes()
    }
}

/// Which voices are to be made, and whose they are.
fn plan(
    layout: &Layout,
    encoder: &Encoder,
    samples: usize,
    starts: &[usize],
    labels: &[Vec<u8>],
    voices: Voices,
) -> (Vec<Heard>, Vec<Stretches>) {
    let (mut heard, mut wanted) = (Vec::new(), Vec::<Stretches>::new());
    let (frames, most) = (encoder.frames(layout.window), encoder.frames(samples));
    // Windows that overlap have no more voices than these.
    let back = 2 * layout.speakers * (frames / MOMENT + 2);
    for (window, (start, labels)) in starts.iter().zip(labels).enumerate() {
        let first = start.div_ceil(HOP);
        for person in (0..layout.speakers).map(|person| 1 << person) {
            let Some(all) = alone(layout, encoder, labels, person, first, most) else {
                continue;
            };
            let parts = match voices {
                Voices::OfWindows => vec![(0..labels.len(), all)],
                Voices::OfMoments => moments(labels, person, first..first + frames, &all),
            };
            let share = 1.0 / parts.len().max(1) as f32;
            for (frames, stretches) in parts {
                let voice = match voices {
                    Voices::OfWindows => None,
                    Voices::OfMoments => shared(&wanted, &stretches, back),
                };
                let voice = voice.unwrap_or_else(|| {
                    wanted.push(stretches);
                    wanted.len() - 1
                });
                heard.push(Heard {
                    window,
                    person,
                    frames,
                    voice,
                    share,
                });
            }
        }
    }
    (heard, wanted)
}

/// The moments in which a person of a window speaks: which frames of the window each is, and what the voice is taken from.
/// `span` is the window in frames of the encoder. Moments lie at the same places in every window.
fn moments(labels: &[u8], person: u8, span: Range<usize>, all: &Stretches) -> Vec<(Range<usize>, Stretches)> {
    let length = span.end - span.start;
    let label = |frame: usize| (frame.clamp(span.start, span.end) - span.start) * labels.len() / length;
    (span.start / MOMENT..span.end.div_ceil(MOMENT))
        .map(|moment| moment * MOMENT..(moment + 1) * MOMENT)
        .map(|moment| (label(moment.start)..label(moment.end), moment))
        .filter(|(frames, _)| labels[frames.clone()].iter().any(|label| label & person != 0))
        .map(|(frames, moment)| (frames, near(all, moment)))
        .collect()
}

/// An earlier voice that is taken from mostly the same, among the last `back`.
fn shared(wanted: &[Stretches], stretches: &Stretches, back: usize) -> Option<usize> {
    let from = wanted.len().saturating_sub(back);
    let alike = wanted[from..].iter().map(|other| common(stretches, other));
    let (at, most) = alike.enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
    (most >= SHARED).then_some(from + at)
}

/// What of some frames is near to a moment; all, where that is too little to know a voice by. The network takes two who
/// alternate quickly for one now and then; near a moment it is more surely one.
pub(super) fn near(all: &Stretches, moment: Range<usize>) -> Stretches {
    let middle = (moment.start + moment.end) / 2;
    let reach = middle.saturating_sub(AROUND / 2)..middle + AROUND / 2;
    let close: Stretches = all
        .iter()
        .map(|stretch| stretch.start.max(reach.start)..stretch.end.min(reach.end))
        .filter(|stretch| stretch.start < stretch.end)
        .collect();
    if length(&close) < ENOUGH {
        all.clone()
    } else {
        close
    }
}

/// The frames, of those that the recording has, in which a person of a window speaks alone; where that is too little,
/// those in which others speak too. None if even that is too little. The window's first frame is `first`.
pub(super) fn alone(
    layout: &Layout,
    encoder: &Encoder,
    labels: &[u8],
    person: u8,
    first: usize,
    most: usize,
) -> Option<Stretches> {
    let frames = encoder.frames(layout.window);
    let find = |speaks: &dyn Fn(u8) -> bool| {
        let mut found: Stretches = Vec::new();
        for at in 0..frames.min(most.saturating_sub(first)) {
            if speaks(labels[at * labels.len() / frames]) {
                match found.last_mut() {
                    Some(last) if last.end == first + at => last.end += 1,
                    _ => found.push(first + at..first + at + 1),
                }
            }
        }
        (length(&found) >= LEAST).then_some(found)
    };
    find(&|label| label == person).or_else(|| find(&|label| label & person != 0))
}

/// Frames in some stretches.
pub(super) fn length(stretches: &[Range<usize>]) -> usize {
    stretches.iter().map(|stretch| stretch.end - stretch.start).sum()
}

/// How much of the frames of two lists of stretches is in both, 0 to 1 (Jaccard).
pub(super) fn common(a: &[Range<usize>], b: &[Range<usize>]) -> f32 {
    let (mut at, mut to, mut both) = (0, 0, 0);
    while let (Some(one), Some(other)) = (a.get(at), b.get(to)) {
        both += one.end.min(other.end).saturating_sub(one.start.max(other.start));
        if one.end < other.end {
            at += 1;
        } else {
            to += 1;
        }
    }
    both as f32 / (length(a) + length(b) - both).max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_lists_have_in_common_is_told_in_parts_of_one() {
        use std::slice::from_ref;

        let some = [0..10, 20..30];
        assert_eq!(common(&some, &some), 1.0);
        assert_eq!(common(&some, from_ref(&(10..20))), 0.0);
        assert_eq!(common(&some, from_ref(&(5..25))), 10.0 / 30.0);
        assert_eq!(common(&some, &[0..2, 4..6, 28..40]), 6.0 / 30.0);
        assert_eq!(common(&[], &[]), 0.0);
    }
}
