//! Where somebody speaks: Silero VAD over a recording or a stream, and the rules that make stretches of its curve.
//!
//! The rules are more generous than Silero's own: what is missed here nobody can be found in, while a stretch too many
//! costs little. Meetings are recorded from afar, where Silero is sure of half of the speech only.
//!
//! The model is the form of Silero VAD 6 that takes many frames at once (`silero_vad_16k_sequence.onnx`: `input`
//! `[frames, 64 + 512]`, `h` and `c` [1, 1, 128] give `speech_probs` `[frames]`, `hn`, `cn`): the same curve as the one that
//! takes a frame at a time, at half the cost.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use polyphony_audio::endpoint::{self, Rules, Stop};
use polyphony_inference::ort::value::TensorRef;
use polyphony_inference::silero::CHUNK;
use polyphony_inference::{Device, Error, Loaded, SessionPool, SessionSettings};

use crate::domain::Cancel;

/// Samples of a frame, 32 ms.
pub const FRAME: usize = CHUNK;
/// What a frame sees of the one before.
const CONTEXT: usize = 64;
/// Numbers that are carried from run to run, twice.
const STATE: usize = 128;
/// Frames of a run: 16 s.
const BLOCK: usize = 512;

/// The model. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Activity {
    pool: SessionPool,
}

/// One recording or stream.
#[derive(Debug, Clone)]
pub struct Curve {
    model: Activity,
    hidden: Vec<f32>,
    cell: Vec<f32>,
    context: [f32; CONTEXT],
    input: Vec<f32>,
}

// === impl Activity ===

impl Activity {
    /// Opens the model file. It runs on the processor.
    ///
    /// # Errors
    /// As [`polyphony_inference::open`], and [`Error::Unfit`] for another model.
    pub fn open(runtime: &Loaded, path: &Path, sessions: NonZeroUsize) -> Result<Self, Error> {
        let settings = SessionSettings {
            device: Device::Cpu,
            threads: NonZeroUsize::MIN,
            fixed_shapes: true,
        };
        let pool = SessionPool::open(runtime, path, settings, sessions)?;
        let has =
            |ports: &[polyphony_inference::Port], name: &str| ports.iter().any(|port| port.name == name);
        let takes = ["input", "h", "c"].iter().all(|name| has(pool.inputs(), name));
        let gives = ["speech_probs", "hn", "cn"]
            .iter()
            .all(|name| has(pool.outputs(), name));
        if !(takes && gives) {
            let problem = "expected Silero VAD 6 for sequences, with inputs \"input\", \"h\" and \"c\"";
            return Err(Error::unfit(path, problem));
        }
        let activity = Self { pool };
        // Finds now, not in somebody's recording, whether the shapes fit.
        activity
            .curve()
            .push(&[0.0; FRAME])
            .map_err(|error| match error {
                Error::Run(source) => Error::unfit(path, source.to_string()),
                other => other,
            })?;
        Ok(activity)
    }

    /// Begins a recording or stream.
    pub fn curve(&self) -> Curve {
        Curve {
            model: self.clone(),
            hidden: vec![0.0; STATE],
            cell: vec![0.0; STATE],
            context: [0.0; CONTEXT],
            input: Vec::new(),
        }
    }

    /// The probability, 0 to 1, that somebody speaks, for each frame of a recording; the last is filled with silence.
    ///
    /// # Errors
    /// [`Error::Run`], [`Error::Cancelled`].
    pub fn probabilities(&self, audio: &[f32], cancel: &Cancel) -> Result<Vec<f32>, Error> {
        let mut curve = self.curve();
        let mut probabilities = Vec::with_capacity(audio.len().div_ceil(FRAME));
        for block in audio.chunks(BLOCK * FRAME) {
            if cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            probabilities.extend(curve.push(block)?);
        }
        Ok(probabilities)
    }
}

// === impl Curve ===

impl Curve {
    /// The probabilities of the next frames. Only the last piece of a recording may end within a frame.
    ///
    /// # Errors
    /// [`Error::Run`], [`Error::Unfit`]; the curve is of no use afterwards.
    pub fn push(&mut self, samples: &[f32]) -> Result<Vec<f32>, Error> {
        let frames = samples.len().div_ceil(FRAME);
        if frames == 0 {
            return Ok(Vec::new());
        }
        self.input.clear();
        for frame in samples.chunks(FRAME) {
            self.input.extend_from_slice(&self.context);
            self.input.extend_from_slice(frame);
            self.input.resize(self.input.len() + FRAME - frame.len(), 0.0);
            let end = self.input.len() - CONTEXT;
            self.context.copy_from_slice(&self.input[end..]);
        }
        let input = TensorRef::from_array_view(([frames, CONTEXT + FRAME], self.input.as_slice()))?;
        let hidden = TensorRef::from_array_view(([1, 1, STATE], self.hidden.as_slice()))?;
        let cell = TensorRef::from_array_view(([1, 1, STATE], self.cell.as_slice()))?;
        let inputs = polyphony_inference::ort::inputs! { "input" => input, "h" => hidden, "c" => cell };
        let mut session = self.model.pool.lease();
        let outputs = session.run(inputs)?;
        let (_, probabilities) = outputs["speech_probs"].try_extract_tensor::<f32>()?;
        let (_, hidden) = outputs["hn"].try_extract_tensor::<f32>()?;
        let (_, cell) = outputs["cn"].try_extract_tensor::<f32>()?;
        if (probabilities.len(), hidden.len(), cell.len()) != (frames, STATE, STATE) {
            let problem = format!("{} probabilities for {frames} frames", probabilities.len());
            return Err(Error::unfit(self.model.pool.path(), problem));
        }
        self.hidden.copy_from_slice(hidden);
        self.cell.copy_from_slice(cell);
        Ok(probabilities.to_vec())
    }
}

/// What makes stretches of speech of the curve.
pub fn rules() -> Rules {
    Rules {
        threshold: 0.25,
        neg_threshold: 0.1,
        stop: Stop::Silence(Duration::from_millis(100)),
        min_speech: Duration::from_millis(100),
        pad_before: Duration::from_millis(100),
        pad_after: Duration::from_millis(100),
        ..Rules::silero()
    }
}

/// The stretches of speech of a recording, in samples, in order, none touching the next.
///
/// # Errors
/// As [`endpoint::segments`].
pub fn stretches(probabilities: &[f32], samples: usize) -> Result<Vec<Range<u64>>, polyphony_audio::Error> {
    let found = endpoint::segments(probabilities, samples as u64, &rules())?;
    Ok(bridged(found, 0))
}

/// Stretches of which those with a gap of at most `gap` samples are one.
pub fn bridged(stretches: Vec<Range<u64>>, gap: u64) -> Vec<Range<u64>> {
    let mut joined: Vec<Range<u64>> = Vec::with_capacity(stretches.len());
    for stretch in stretches {
        match joined.last_mut() {
            Some(last) if stretch.start <= last.end + gap => last.end = last.end.max(stretch.end),
            _ => joined.push(stretch),
        }
    }
    joined
}
