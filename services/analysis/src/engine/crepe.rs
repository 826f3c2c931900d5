//! CREPE on ONNX Runtime: 1,024 samples at 16 kHz in, the activations of 360 bins of pitch out.
//!
//! Any graph of that shape will do, as `frames` \[B, 1024\] to `probabilities` \[B, 360\]; those of the set-up
//! (`setup/convert/crepe.py`) do their convolutions in the frequency domain, which takes an eighth of the time. Frames
//! are run in batches on sessions of one thread each. What happens before and after is [`pitch`].

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use polyphony_inference::ort::inputs;
use polyphony_inference::ort::value::TensorRef;
use polyphony_inference::{Cancel, InferenceConfig, Placement, Port, Runtime, SessionPool, SessionSettings};
use polyphony_models::{Installed, Provenance};

use crate::domain::{PitchOptions, PitchTrack};
use crate::engine::{Error, PitchEngine, PitchFollower};
use crate::pitch::{self, BINS, FRAME, Follower, Network};

/// The engine's name, in the catalogue and in receipts.
pub const NAME: &str = "crepe";

/// Frames of a run on a processor: more do not run faster, fewer do not fill its vectors.
const BATCH: usize = 32;
/// Frames of a run on a GPU.
const GPU_BATCH: usize = 1_024;

/// A CREPE model, loaded. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Crepe {
    sessions: SessionPool,
    count: usize,
    batch: usize,
    provenance: Provenance,
}

/// Loads a model of the store.
///
/// # Errors
/// As [`Crepe::load`].
pub fn load(
    installed: &Installed,
    runtime: &Runtime,
    config: &InferenceConfig,
) -> Result<Arc<dyn PitchEngine>, Error> {
    let [graph] = &super::graphs(installed)[..] else {
        return Err(Error::engine(
            NAME,
            format!("{} is not one graph", installed.model),
        ));
    };
    let model = installed.model.id.to_string();
    let digest = format!("sha256:{}", installed.digest);
    Ok(Arc::new(Crepe::load(graph, model, digest, runtime, config)?))
}

// === impl Crepe ===

impl Crepe {
    /// Opens the graph and runs it once, so that the first request is not the slow one. `model` and `digest` are told in
    /// receipts.
    ///
    /// # Errors
    /// [`Error::Request`] when ONNX Runtime or the device is missing, with the remedy; [`Error::Engine`] when the file
    /// is not a CREPE model.
    pub fn load(
        graph: &Path,
        model: impl Into<String>,
        digest: impl Into<String>,
        runtime: &Runtime,
        config: &InferenceConfig,
    ) -> Result<Self, Error> {
        let inference = |error| Error::inference(NAME, error);
        let loaded = runtime.get().map_err(inference)?;
        let Placement { device, fallback } = config.device.place(loaded).map_err(inference)?;
        if let Some(reason) = fallback {
            tracing::info!(reason, "running on the processor");
        }
        let (count, threads) = config.width(device.is_gpu());
        let settings = SessionSettings {
            device,
            threads,
            // The last batch of a recording is shorter.
            fixed_shapes: false,
        };
        let sessions = SessionPool::open(loaded, graph, settings, count).map_err(inference)?;
        let fits = |ports: &[Port], width: usize| matches!(ports, [port] if matches!(port.shape[..], [_, columns] if columns == width as i64));
        if !(fits(sessions.inputs(), FRAME) && fits(sessions.outputs(), BINS)) {
            let problem = format!(
                "{} is not a CREPE model: expected one input [batch, {FRAME}] and one output [batch, {BINS}]",
                graph.display()
            );
            return Err(Error::engine(NAME, problem));
        }
        let crepe = Self {
            sessions,
            count: count.get(),
            batch: if device.is_gpu() { GPU_BATCH } else { BATCH },
            provenance: Provenance {
                engine: NAME,
                version: format!("onnxruntime {}", loaded.version()),
                model: model.into(),
                digest: digest.into(),
                device: device.to_string(),
                degraded: None,
            },
        };
        crepe.run(&[0.0; FRAME], &Cancel::default())?;
        Ok(crepe)
    }

    /// One batch on one session.
    fn run(&self, frames: &[f32], cancel: &Cancel) -> Result<Vec<f32>, Error> {
        let count = frames.len() / FRAME;
        let input =
            TensorRef::from_array_view(([count, FRAME], frames)).map_err(|error| Error::ort(NAME, error))?;
        let mut session = self
            .sessions
            .lease_unless(|| cancel.is_cancelled())
            .map_err(|error| Error::inference(NAME, error))?;
        let outputs = session
            .run(inputs![input])
            .map_err(|error| Error::ort(NAME, error))?;
        let (_, activations) = outputs[0]
            .try_extract_tensor::<f32>()
            .map_err(|error| Error::ort(NAME, error))?;
        if activations.len() != count * BINS || activations.iter().any(|activation| !activation.is_finite()) {
            return Err(Error::engine(NAME, "the model's output is not one number a bin"));
        }
        Ok(activations.to_vec())
    }

    /// Several batches, on as many sessions as there are.
    fn run_all(&self, frames: &[f32], cancel: &Cancel) -> Result<Vec<f32>, Error> {
        let batches: Vec<&[f32]> = frames.chunks(self.batch * FRAME).collect();
        let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(batches.len())));
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(batch) = batches.get(index) else {
                    return;
                };
                let result = self.run(batch, cancel);
                if result.is_err() {
                    // Nobody needs the others.
                    next.store(batches.len(), Ordering::Relaxed);
                }
                results
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push((index, result));
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.count.min(batches.len()) {
                scope.spawn(work);
            }
            work();
        });
        let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        results.sort_by_key(|(index, _)| *index);
        let mut all = Vec::with_capacity(frames.len() / FRAME * BINS);
        for (_, result) in results {
            all.extend(result?);
        }
        Ok(all)
    }
}

impl Network for Crepe {
    fn activations(&self, frames: Vec<f32>, cancel: &Cancel) -> Result<Vec<f32>, Error> {
        self.run_all(&frames, cancel)
    }
}

impl PitchEngine for Crepe {
    fn provenance(&self) -> &Provenance {
        &self.provenance
    }

    fn track(&self, audio: &[f32], options: &PitchOptions, cancel: &Cancel) -> Result<PitchTrack, Error> {
        // A few batches for each session at once.
        pitch::track(self.clone(), audio, 4 * self.batch * self.count, options, cancel)
    }

    fn follow(&self, options: &PitchOptions, cancel: &Cancel) -> Result<Box<dyn PitchFollower>, Error> {
        Ok(Box::new(Follower::new(self.clone(), options, cancel)))
    }
}
