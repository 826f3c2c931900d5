//! Opens a model file as a session: explicit threads, no spinning, the device that was decided.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use ort::ep::{self, ExecutionProvider as _, ExecutionProviderDispatch};
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

/// A graph to open, where it is not just a file.
#[derive(Debug, Clone, Copy)]
pub struct Graph<'a> {
    /// The file that it comes from.
    pub path: &'a Path,
    /// Its bytes, if they are not the file's. They name no other file for their weights.
    pub bytes: Option<&'a [u8]>,
    /// Compile it with TensorRT, on a GPU.
    pub tensor_rt: Option<&'a TensorRt>,
}

/// How TensorRT compiles a graph. Shapes are written as "name:1x3x48x320", several parted by commas.
///
/// It compiles once for the whole range of shapes, which takes minutes, and keeps the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorRt {
    /// Where compiled graphs are kept.
    pub cache: PathBuf,
    /// Compute in half precision.
    pub fp16: bool,
    /// The smallest inputs.
    pub least: String,
    /// The inputs to be quickest for.
    pub usual: String,
    /// The largest inputs.
    pub most: String,
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
    fn configure(&self, builder: SessionBuilder, first: Option<&TensorRt>) -> ort::Result<SessionBuilder> {
        let providers = match self.device {
            // ONNX Runtime's own: always there.
            Device::Cpu => Vec::new(),
            // What the GPU lacks an operator for runs on the processor; that the GPU itself is missing is an error.
            Device::Cuda(index) => {
                let index = i32::try_from(index).unwrap_or(i32::MAX);
                let compiler = first.map(|tensor_rt| tensor_rt.on(index));
                let cuda = ep::CUDA::default().with_device_id(index).build();
                compiler.into_iter().chain([cuda.error_on_failure()]).collect()
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
    let graph = Graph {
        path,
        bytes: None,
        tensor_rt: None,
    };
    open_graph(runtime, graph, settings)
}

/// As [`open`], for what is not just a file.
///
/// # Errors
/// As [`open`], and [`Error::DeviceUnavailable`] for TensorRT where it cannot be had: never something else in its place.
pub fn open_graph(runtime: &Loaded, graph: Graph<'_>, settings: SessionSettings) -> Result<Session, Error> {
    if graph.tensor_rt.is_some() {
        TensorRt::check(settings.device, runtime)?;
    }
    let build = || -> ort::Result<Session> {
        let builder = Session::builder(runtime.environment())?;
        let mut builder = settings.configure(builder, graph.tensor_rt)?;
        match graph.bytes {
            Some(bytes) => builder.commit_from_memory(bytes),
            None => builder.commit_from_file(graph.path),
        }
    };
    build().map_err(|error| Error::open(graph.path, error))
}

// === impl TensorRt ===

impl TensorRt {
    fn check(device: Device, runtime: &Loaded) -> Result<(), Error> {
        let unavailable = |reason: String| Error::DeviceUnavailable {
            device: "tensorrt".to_owned(),
            reason,
        };
        if !device.is_gpu() {
            return Err(unavailable(format!(
                "it runs on a GPU, and the models are to run on {device}"
            )));
        }
        match ep::TensorRT::is_available() {
            Ok(true) => Ok(()),
            Ok(false) => Err(unavailable(format!(
                "ONNX Runtime {} at {} is built without TensorRT; install the onnxruntime-gpu and tensorrt wheels",
                runtime.version(),
                runtime.path().display()
            ))),
            Err(error) => Err(unavailable(error.to_string())),
        }
    }

    fn on(&self, index: i32) -> ExecutionProviderDispatch {
        let cache = self.cache.display();
        ep::TensorRT::default()
            .with_device_id(index)
            .with_fp16(self.fp16)
            .with_engine_cache(true)
            .with_engine_cache_path(&cache)
            .with_timing_cache(true)
            .with_timing_cache_path(&cache)
            .with_profile_min_shapes(&self.least)
            .with_profile_opt_shapes(&self.usual)
            .with_profile_max_shapes(&self.most)
            .build()
            .error_on_failure()
    }
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
