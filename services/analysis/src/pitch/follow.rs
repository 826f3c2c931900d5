//! The machine that samples go into and pitch comes out of: cut, run, join.
//!
//! Frames are run in groups that are counted from the first frame, never as they happen to arrive: a product of matrices
//! rounds by its width, and what comes out is to depend on the samples alone.

use std::time::Duration;

use polyphony_inference::Cancel;

use super::bins::BINS;
use super::frames::{FRAME, Framer, normalize};
use super::line::{Decided, Line};
use super::loudness::Loudness;
use crate::domain::{PITCH_RATE, PitchOptions, PitchTrack};
use crate::engine::{Error, PitchFollower};

/// What gives frames their activations.
pub trait Network: Send {
    /// From frames of [`FRAME`] samples with mean 0 and deviation 1, one after the other, [`BINS`] activations each.
    ///
    /// # Errors
    /// [`Error::Cancelled`], or what the model says.
    fn activations(&self, frames: Vec<f32>, cancel: &Cancel) -> Result<Vec<f32>, Error>;
}

/// How far Viterbi looks ahead in a stream.
const AHEAD: Duration = Duration::from_millis(500);
/// The audio of a group in a stream: what it waits before it runs.
const STREAM_GROUP: Duration = Duration::from_millis(160);
/// The most frames of a group in a stream.
const STREAM_FRAMES: usize = 32;

/// Follows one stream.
#[derive(Debug)]
pub struct Follower<N> {
    network: N,
    cancel: Cancel,
    hop: Duration,
    framer: Framer,
    loudness: Loudness,
    line: Line,
    group: usize,
    /// Frames that were given out.
    given: u64,
}

/// The pitch of a whole recording. `group` frames are run at once.
///
/// # Errors
/// As [`Network::activations`].
pub fn track<N: Network>(
    network: N,
    audio: &[f32],
    group: usize,
    options: &PitchOptions,
    cancel: &Cancel,
) -> Result<PitchTrack, Error> {
    let line = Line::new(options, None);
    let mut follower = Follower::with(network, group, line, options.hop, cancel);
    let mut track = follower.track();
    // Half a minute at once, so that the recording is not copied whole.
    for piece in audio.chunks(30 * PITCH_RATE as usize) {
        let next = follower.accept(piece)?;
        track.append(next);
    }
    track.append(Box::new(follower).finish()?);
    Ok(track)
}

// === impl Follower ===

impl<N: Network> Follower<N> {
    /// Begins a stream.
    pub fn new(network: N, options: &PitchOptions, cancel: &Cancel) -> Self {
        let frames = |time: Duration| time.as_nanos().div_ceil(options.hop.as_nanos()) as usize;
        let line = Line::new(options, Some(frames(AHEAD)));
        let group = frames(STREAM_GROUP).clamp(1, STREAM_FRAMES);
        Self::with(network, group, line, options.hop, cancel)
    }

    fn with(network: N, group: usize, line: Line, hop: Duration, cancel: &Cancel) -> Self {
        Self {
            network,
            cancel: cancel.clone(),
            hop,
            framer: Framer::new(hop),
            loudness: Loudness::new(),
            line,
            group,
            given: 0,
        }
    }

    /// An empty track that begins where the next frame will.
    fn track(&self) -> PitchTrack {
        // A stream of 500 years at 1 ms fits.
        let nanos = self.hop.as_nanos() * u128::from(self.given);
        PitchTrack {
            start: Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)),
            hop: self.hop,
            ..PitchTrack::default()
        }
    }

    fn run(&mut self, frames: usize, out: &mut Vec<Decided>) -> Result<(), Error> {
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let mut inputs = Vec::with_capacity(frames * FRAME);
        let mut loudness = Vec::with_capacity(frames);
        for _ in 0..frames {
            let frame = self.framer.cut();
            loudness.push(self.loudness.measure(frame));
            normalize(frame, &mut inputs);
        }
        let activations = self.network.activations(inputs, &self.cancel)?;
        for (activations, loudness) in activations.chunks_exact(BINS).zip(loudness) {
            self.line.push(activations, loudness, out);
        }
        Ok(())
    }

    fn give(&mut self, decided: &[Decided]) -> PitchTrack {
        let mut track = self.track();
        track.frequency_hz = decided.iter().map(|frame| frame.frequency_hz).collect();
        track.periodicity = decided.iter().map(|frame| frame.periodicity).collect();
        self.given += decided.len() as u64;
        track
    }
}

impl<N: Network> PitchFollower for Follower<N> {
    fn accept(&mut self, samples: &[f32]) -> Result<PitchTrack, Error> {
        self.framer.push(samples);
        let mut decided = Vec::new();
        while self.framer.ready() >= self.group {
            self.run(self.group, &mut decided)?;
        }
        Ok(self.give(&decided))
    }

    fn finish(mut self: Box<Self>) -> Result<PitchTrack, Error> {
        self.framer.end();
        let mut decided = Vec::new();
        loop {
            let frames = self.framer.ready().min(self.group);
            if frames == 0 {
                break;
            }
            self.run(frames, &mut decided)?;
        }
        self.line.finish(&mut decided);
        Ok(self.give(&decided))
    }
}

// === impl PitchTrack ===

impl PitchTrack {
    fn append(&mut self, next: Self) {
        self.frequency_hz.extend(next.frequency_hz);
        self.periodicity.extend(next.periodicity);
    }
}
