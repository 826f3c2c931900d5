//! Silero VAD: the probability of speech in each 32 ms of a stream.
//!
//! The graph (versions 5 and 6) takes `input` \[1, 64 + 512\], which is the end of the chunk before and the chunk,
//! `state` \[2, 1, 128\], and in most files `sr`; it gives `output` \[1, 1\] and `stateN`. What a stream remembers is
//! its own, so streams share the sessions. When speech starts and stops is decided by the caller: this is only the
//! curve. Source: github.com/snakers4/silero-vad, MIT.

use std::num::NonZeroUsize;
use std::path::Path;

use ort::session::SessionInputValue;
use ort::value::{Tensor, TensorRef};

use crate::{Device, Error, Loaded, SessionPool, SessionSettings};

/// Samples a second that the model wants.
pub const SAMPLE_RATE: u32 = 16_000;
/// Samples of a chunk: 32 ms.
pub const CHUNK: usize = 512;

const CONTEXT: usize = 64;
const STATE: [usize; 3] = [2, 1, 128];
const STATE_LEN: usize = STATE[0] * STATE[1] * STATE[2];

/// The model. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Silero {
    pool: SessionPool,
    takes_rate: bool,
}

/// One stream of audio.
#[derive(Debug, Clone)]
pub struct SileroStream {
    model: Silero,
    state: Vec<f32>,
    /// The context, then the chunk.
    window: Vec<f32>,
}

// === impl Silero ===

impl Silero {
    /// Opens the model file. It runs on the processor: a chunk takes a fraction of a millisecond.
    ///
    /// # Errors
    /// As [`crate::open`], and [`Error::Unfit`] for another model.
    pub fn open(runtime: &Loaded, path: &Path, sessions: NonZeroUsize) -> Result<Self, Error> {
        let settings = SessionSettings {
            device: Device::Cpu,
            threads: NonZeroUsize::MIN,
            fixed_shapes: true,
        };
        let pool = SessionPool::open(runtime, path, settings, sessions)?;
        let takes = |name: &str| pool.inputs().iter().any(|input| input.name == name);
        let gives = |name: &str| pool.outputs().iter().any(|output| output.name == name);
        if !(takes("input") && takes("state") && gives("output") && gives("stateN")) {
            let problem = "expected Silero VAD 5 or 6, with inputs \"input\" and \"state\", outputs \"output\" and \"stateN\"";
            return Err(Error::unfit(path, problem));
        }
        let silero = Self {
            takes_rate: takes("sr"),
            pool,
        };
        // Finds now, not in somebody's stream, whether the shapes fit.
        silero.stream().push(&[0.0; CHUNK]).map_err(|error| match error {
            Error::Run(source) => Error::unfit(path, source.to_string()),
            other => other,
        })?;
        Ok(silero)
    }

    /// Begins a stream.
    pub fn stream(&self) -> SileroStream {
        SileroStream {
            model: self.clone(),
            state: vec![0.0; STATE_LEN],
            window: vec![0.0; CONTEXT + CHUNK],
        }
    }
}

// === impl SileroStream ===

impl SileroStream {
    /// The probability, 0 to 1, that somebody speaks in the next 512 samples (mono, 16 kHz, -1 to 1).
    ///
    /// # Errors
    /// [`Error::Run`]; the stream is then where it was before.
    pub fn push(&mut self, chunk: &[f32; CHUNK]) -> Result<f32, Error> {
        self.window[CONTEXT..].copy_from_slice(chunk);
        let input = TensorRef::from_array_view(([1, CONTEXT + CHUNK], self.window.as_slice()))?;
        let state = TensorRef::from_array_view((STATE, self.state.as_slice()))?;
        let mut inputs: Vec<(&str, SessionInputValue<'_>)> =
            vec![("input", input.into()), ("state", state.into())];
        if self.model.takes_rate {
            let rate = Tensor::from_array(((), vec![i64::from(SAMPLE_RATE)]))?;
            inputs.push(("sr", rate.into()));
        }
        let mut session = self.model.pool.lease();
        let outputs = session.run(inputs)?;
        let (_, next) = outputs["stateN"].try_extract_tensor::<f32>()?;
        let (_, output) = outputs["output"].try_extract_tensor::<f32>()?;
        let (Some(&probability), STATE_LEN) = (output.first(), next.len()) else {
            let problem = format!(
                "{} outputs and {} values of state; expected 1 and {STATE_LEN}",
                output.len(),
                next.len()
            );
            return Err(Error::unfit(self.model.pool.path(), problem));
        };
        self.state.copy_from_slice(next);
        self.window.copy_within(CHUNK.., 0);
        Ok(probability)
    }

    /// Forgets what came before, as for a new recording.
    pub fn reset(&mut self) {
        self.state.fill(0.0);
        self.window.fill(0.0);
    }
}
