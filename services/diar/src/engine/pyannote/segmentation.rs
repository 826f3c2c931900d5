//! The segmentation network: who of a window's own people speaks in each of its frames.
//!
//! PyanNet (Bredin and Laurent 2021) with a powerset of classes (Plaquet and Bredin 2023): sound [N, 1, T] gives
//! [N, frames, classes]. Each window is normalised as a whole within the network, so nothing can be shared between
//! windows that overlap. Which person is the first differs from window to window.

use std::num::NonZeroUsize;
use std::path::Path;

use polyphony_inference::ort::value::TensorRef;
use polyphony_inference::{Device, Error, Loaded, SessionPool, SessionSettings};

use super::layout::Layout;
use super::parallel;
use crate::domain::Cancel;

/// The network. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Segmentation {
    pool: SessionPool,
    sessions: usize,
    layout: Layout,
}

/// Windows of a run. More make it no faster, and are further between two looks at whether it is still wanted.
const BATCH: usize = 4;

// === impl Segmentation ===

impl Segmentation {
    /// Opens the model file and runs it once. It runs on the processor.
    ///
    /// # Errors
    /// As [`polyphony_inference::open`], and [`Error::Unfit`] for another model.
    pub(super) fn open(runtime: &Loaded, path: &Path, sessions: NonZeroUsize) -> Result<Self, Error> {
        let settings = SessionSettings {
            device: Device::Cpu,
            threads: NonZeroUsize::MIN,
            fixed_shapes: false,
        };
        let pool = SessionPool::open(runtime, path, settings, sessions)?;
        let unfit = |problem: String| Error::unfit(path, problem);
        let layout = Layout::of(&pool.lease()).map_err(unfit)?;
        if !matches!(pool.inputs(), [port] if port.shape.len() == 3) {
            let problem =
                "expected one input of three axes, sound [N, 1, T], as pyannote's segmentation-3.0 has it";
            return Err(unfit(problem.to_owned()));
        }
        let network = Self {
            pool,
            sessions: sessions.get(),
            layout,
        };
        // The first run takes memory and chooses kernels, and shows whether the shapes fit.
        let silence = [0.0; 1];
        match network.run(&silence, &[0], &Cancel::default()) {
            Ok(_) => Ok(network),
            Err(Error::Run(source)) => Err(unfit(source.to_string())),
            Err(other) => Err(other),
        }
    }

    /// Its numbers.
    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The people of each frame of each window that begins at one of `starts`, a bit each.
    ///
    /// # Errors
    /// [`Error::Run`], [`Error::Cancelled`].
    pub(super) fn label(
        &self,
        audio: &[f32],
        starts: &[usize],
        cancel: &Cancel,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let batches: Vec<&[usize]> = starts.chunks(BATCH).collect();
        let labels = parallel::map(&batches, self.sessions, |batch| self.run(audio, batch, cancel))?;
        Ok(labels.into_iter().flatten().collect())
    }

    /// Runs some windows. What lies beyond the end is silent.
    fn run(&self, audio: &[f32], starts: &[usize], cancel: &Cancel) -> Result<Vec<Vec<u8>>, Error> {
        let Layout {
            window,
            frames,
            ref classes,
            ..
        } = self.layout;
        let mut sound = Vec::with_capacity(starts.len() * window);
        for (number, start) in starts.iter().enumerate() {
            let from = (*start).min(audio.len());
            sound.extend_from_slice(&audio[from..audio.len().min(start + window)]);
            sound.resize((number + 1) * window, 0.0);
        }
        let input = TensorRef::from_array_view(([starts.len(), 1, window], sound.as_slice()))?;
        let name = self.pool.inputs()[0].name.clone();
        let mut session = self.pool.lease_unless(|| cancel.is_cancelled())?;
        let outputs = session.run(polyphony_inference::ort::inputs! { name.as_str() => input })?;
        let (shape, scores) = outputs[0].try_extract_tensor::<f32>()?;
        let expected = [starts.len(), frames, classes.len()];
        if shape.iter().map(|length| *length as usize).ne(expected) {
            let problem =
                format!("it gives {shape:?} for a window of {window} samples, expected {expected:?}");
            return Err(Error::unfit(self.pool.path(), problem));
        }
        let label = |scores: &[f32]| classes[best(scores)];
        let windows = scores.chunks_exact(frames * classes.len());
        Ok(windows
            .map(|window| window.chunks_exact(classes.len()).map(label).collect())
            .collect())
    }
}

/// The first of the highest.
fn best(scores: &[f32]) -> usize {
    let mut best = 0;
    for (at, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = at;
        }
    }
    best
}
