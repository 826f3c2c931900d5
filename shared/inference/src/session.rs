//! Opens a model file as a session: explicit threads, no spinning, the device that was decided.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use ort::ep;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{NoSelectedOutputs, RunOptions, Session};

use crate::{Device, Error, Loaded};

/// How a session runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionSettings {
    /// Where.
    pub device: Device,
    /// Threads within an operator. Operators run one after another.
    pub threads: NonZeroUsize,
    /// Whether inputs keep their shape from run to run. Plans of memory are then reused; with shapes that grow, as a
    /// key/value cache does, each new shape would add a plan.
    pub fixed_shapes: bool,
}

/// Runs that can be stopped from outside, between two operators.
#[derive(Debug)]
pub struct TerminateOn<F> {
    cancelled: F,
}

/// How often a running session looks whether it is still wanted. An operator of a large encoder takes about as long.
const LOOK: Duration = Duration::from_millis(20);

// === impl SessionSettings ===

impl SessionSettings {
    fn configure(&self, builder: SessionBuilder) -> ort::Result<SessionBuilder> {
        let providers = match self.device {
            // ONNX Runtime's own: always there.
            Device::Cpu => Vec::new(),
            // What the GPU lacks an operator for runs on the processor; that the GPU itself is missing is an error.
            Device::Cuda(index) => {
                let index = i32::try_from(index).unwrap_or(i32::MAX);
                vec![
                    ep::CUDA::default()
                        .with_device_id(index)
                        .build()
                        .error_on_failure(),
                ]
            }
        };
        let builder = builder
            .with_intra_threads(self.threads.get())?
            .with_inter_threads(1)?
            .with_parallel_execution(false)?
            // Threads that wait by spinning take the cores from the sessions beside them.
            .with_intra_op_spinning(false)?
            .with_inter_op_spinning(false)?
            .with_memory_pattern(self.fixed_shapes)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            .with_execution_providers(providers)?;
        Ok(builder)
    }
}

/// Opens a model file that the model store has verified: a graph may name any file of the machine for its weights.
///
/// # Errors
/// [`Error::Open`] when the file is absent or not a model.
pub fn open(runtime: &Loaded, path: &Path, settings: SessionSettings) -> Result<Session, Error> {
    let build = || -> ort::Result<Session> {
        let builder = Session::builder(runtime.environment())?;
        settings.configure(builder)?.commit_from_file(path)
    };
    build().map_err(|error| Error::open(path, error))
}

// === impl TerminateOn ===

impl<F: Fn() -> bool + Sync> TerminateOn<F> {
    /// Stops a run as soon as `cancelled` says so.
    pub const fn new(cancelled: F) -> Self {
        Self { cancelled }
    }

    /// Does `run`, which must hand the options to the session. While it runs, another thread watches.
    ///
    /// # Errors
    /// [`Error::Cancelled`] if it was stopped; else what `run` says.
    pub fn run<T>(
        &self,
        run: impl FnOnce(&RunOptions<NoSelectedOutputs>) -> ort::Result<T>,
    ) -> Result<T, Error> {
        let options = RunOptions::new()?;
        let (done, until_done) = mpsc::channel::<()>();
        let result = std::thread::scope(|scope| {
            let options = &options;
            scope.spawn(move || {
                while until_done.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                    if (self.cancelled)() {
                        if let Err(error) = options.terminate() {
                            tracing::warn!(%error, "a run could not be stopped early");
                        }
                        return;
                    }
                }
            });
            let result = run(options);
            drop(done);
            result
        });
        match result {
            Err(_) if (self.cancelled)() => Err(Error::Cancelled),
            other => Ok(other?),
        }
    }
}
