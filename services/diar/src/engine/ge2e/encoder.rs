//! The GE2E network: what it is given, and runs of it on several threads.
//!
//! Generalised end-to-end loss (Wan et al. 2018) in the form of Resemblyzer: three LSTM layers over 1.6 s of features,
//! 256 numbers of length 1, none below 0. `setup/convert/ge2e.py` makes the graph: `mels` [B, T, 40] to `embeddings`
//! [B, 256].

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use polyphony_inference::ort::value::TensorRef;
use polyphony_inference::{Error, SessionPool};

use super::mel::{Extractor, HOP, MELS};
use crate::clustering::Vectors;
use crate::domain::Cancel;

/// Frames of a window: 1.6 s.
pub(super) const WINDOW: usize = 160;
/// Numbers in an embedding.
pub const DIMENSIONS: usize = 256;
/// Windows of a run: more make it no faster.
const BATCH: usize = 16;

/// The network. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Encoder {
    pool: SessionPool,
    sessions: usize,
    extractor: Extractor,
}

/// A recording, and how much louder its features are to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sound<'a> {
    /// 16 kHz, mono.
    pub audio: &'a [f32],
    /// A factor of energies.
    pub gain: f32,
}

/// Features that were made lately, for windows that overlap.
struct Recent {
    frames: Range<usize>,
    values: Vec<f32>,
}

// === impl Encoder ===

impl Encoder {
    /// Takes open sessions of the graph; `sessions` of them run at once.
    ///
    /// # Errors
    /// [`Error::Unfit`] for another model.
    pub(super) fn new(pool: SessionPool, sessions: usize, extractor: Extractor) -> Result<Self, Error> {
        let encoder = Self {
            pool,
            sessions: sessions.max(1),
            extractor,
        };
        let unfit = |problem: String| Error::unfit(encoder.pool.path(), problem);
        let (input, output) = ("mels", "embeddings");
        if !encoder.pool.inputs().iter().any(|port| port.name == input)
            || !encoder.pool.outputs().iter().any(|port| port.name == output)
        {
            return Err(unfit(format!(
                "expected an input \"{input}\" and an output \"{output}\""
            )));
        }
        // The first run takes memory and chooses kernels, and shows whether the shapes fit.
        let silence = vec![0.0; BATCH * WINDOW * MELS];
        match encoder.run(&silence, &Cancel::default()) {
            Ok(_) => Ok(encoder),
            Err(Error::Run(source)) => Err(unfit(source.to_string())),
            Err(other) => Err(other),
        }
    }

    /// An embedding for each window of a recording. `starts` are the first frames of the windows, ascending; what lies
    /// beyond the end is silent.
    ///
    /// # Errors
    /// [`Error::Run`], [`Error::Cancelled`].
    pub(super) fn embed(
        &self,
        sound: Sound<'_>,
        starts: &[usize],
        cancel: &Cancel,
    ) -> Result<Vectors, Error> {
        let batches: Vec<&[usize]> = starts.chunks(BATCH).collect();
        let (next, threads) = (AtomicUsize::new(0), self.sessions.min(batches.len()));
        let done: Mutex<Vec<Option<Vectors>>> = Mutex::new(vec![None; batches.len()]);
        let work = || -> Result<(), Error> {
            let mut extractor = self.extractor.clone();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(batch) = batches.get(at) else {
                    return Ok(());
                };
                let features = features(&mut extractor, sound, batch);
                let vectors = self.run(&features, cancel).inspect_err(|_| {
                    // The others need not go on.
                    next.store(batches.len(), Ordering::Relaxed);
                })?;
                done.lock().unwrap_or_else(PoisonError::into_inner)[at] = Some(vectors);
            }
        };
        if threads <= 1 {
            work()?;
        } else {
            thread::scope(|scope| {
                let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
                workers.into_iter().try_for_each(|worker| {
                    worker
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
            })?;
        }
        let mut all = Vectors::new(DIMENSIONS);
        let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        for row in done.iter().flatten().flat_map(Vectors::rows) {
            all.push(row);
        }
        Ok(all)
    }

    /// Runs whole windows of features.
    fn run(&self, features: &[f32], cancel: &Cancel) -> Result<Vectors, Error> {
        let count = features.len() / (WINDOW * MELS);
        let input = TensorRef::from_array_view(([count, WINDOW, MELS], features))?;
        let mut session = self.pool.lease_unless(|| cancel.is_cancelled())?;
        let outputs = session.run(polyphony_inference::ort::inputs! { "mels" => input })?;
        let (_, values) = outputs["embeddings"].try_extract_tensor::<f32>()?;
        if values.len() != count * DIMENSIONS || !values.iter().all(|value| value.is_finite()) {
            let problem = format!("{} numbers for {count} windows", values.len());
            return Err(Error::unfit(self.pool.path(), problem));
        }
        Ok(Vectors::of(DIMENSIONS, values.to_vec()))
    }
}

/// The features of windows that begin at `starts`, one after another.
fn features(extractor: &mut Extractor, sound: Sound<'_>, starts: &[usize]) -> Vec<f32> {
    let mut all = Vec::with_capacity(starts.len() * WINDOW * MELS);
    let mut recent = Recent {
        frames: 0..0,
        values: Vec::new(),
    };
    for &start in starts {
        let wanted = start..start + WINDOW;
        if !recent.frames.contains(&start) {
            recent = Recent {
                frames: start..start,
                values: Vec::new(),
            };
        }
        let missing = wanted.end.saturating_sub(recent.frames.end);
        extractor.frames(
            sound.audio,
            recent.frames.end,
            missing,
            sound.gain,
            &mut recent.values,
        );
        recent.frames.end += missing;
        let at = (start - recent.frames.start) * MELS;
        all.extend_from_slice(&recent.values[at..at + WINDOW * MELS]);
    }
    all
}

/// The frame that begins nearest to a sample.
pub(super) const fn frame_of(sample: u64) -> usize {
    (sample as usize + HOP / 2) / HOP
}
