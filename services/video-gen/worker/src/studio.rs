//! The models in memory, and the making of orders with them. One thread has it: a device does one thing at a time.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Instant;

use tch::Device as TorchDevice;

use crate::catalogue::{self, Model};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::film::{self, Written};
use crate::protocol::{DummySize, Event, Order, Stage, Timings, VERSION, Weights};
use crate::shapes::Shapes;
use crate::stop::Stop;
use crate::wan::pipeline::{Pipeline, Progress};

/// The models in memory of a device.
#[derive(Debug)]
pub struct Studio {
    device: Device,
    base_memory_bytes: u64,
    models: HashMap<(&'static str, Weights), Pipeline>,
}

/// Tells the parent; false when nobody reads any more.
pub type Tell<'a> = dyn FnMut(Event) -> bool + 'a;

// === impl Studio ===

impl Studio {
    /// A device without models. A tiny video is made on a processor, so that what LibTorch takes for itself (the pages of its
    /// kernels, its threads and their workspaces) is known before any model comes.
    ///
    /// # Errors
    ///
    /// A LibTorch that cannot compute.
    pub fn new(device: Device) -> Result<Self> {
        guarded(|| warm_up(device))?;
        device.release();
        Ok(Self {
            device,
            base_memory_bytes: device.base(),
            models: HashMap::new(),
        })
    }

    /// What the device is.
    pub fn ready(&self) -> Event {
        let (free_memory_bytes, total_memory_bytes) = self.device.memory();
        Event::Ready {
            protocol: VERSION,
            version: env!("CARGO_PKG_VERSION").into(),
            device: self.device.to_string(),
            device_name: self.device.product(),
            total_memory_bytes,
            free_memory_bytes,
            base_memory_bytes: self.base_memory_bytes,
            torch_version: env!("TORCH_VERSION").into(),
            precision: self.device.precision(),
        }
    }

    /// Brings a model into memory, unless it is given up meanwhile.
    pub fn load(
        &mut self,
        name: &str,
        weights: &Weights,
        offload_text_encoder: bool,
        stop: &Stop,
        tell: &mut Tell<'_>,
    ) {
        let outcome = guarded(|| {
            let model = catalogue::find(name)?;
            self.bring(model, weights, offload_text_encoder, true, stop, tell)
                .map(drop)
        });
        if let Err(error) = outcome {
            self.device.release();
            tell(failed(None, Some(name), &error));
        }
    }

    /// Takes a model out of memory.
    pub fn unload(&mut self, name: &str, weights: &Weights, tell: &mut Tell<'_>) {
        let key = catalogue::find(name).map(|model| (model.id, weights.clone()));
        let bytes = key
            .ok()
            .and_then(|key| self.models.remove(&key))
            .map_or(0, |model| model.bytes());
        self.device.release();
        tell(Event::Unloaded {
            model: name.to_owned(),
            weights: weights.clone(),
            bytes,
        });
    }

    /// Makes a video, and tells how it ended when nothing of it is left on the device.
    pub fn generate(&mut self, order: &Order, stop: &Stop, tell: &mut Tell<'_>) {
        let outcome = guarded(|| self.make(order, stop, tell));
        self.device.synchronize();
        self.device.release();
        tell(match outcome {
            Ok(done) => done,
            Err(Error::Cancelled) => Event::Cancelled { id: order.id.clone() },
            Err(error) => failed(Some(&order.id), Some(&order.model), &error),
        });
    }

    fn make(&mut self, order: &Order, stop: &Stop, tell: &mut Tell<'_>) -> Result<Event> {
        stop.check()?;
        let model = catalogue::find(&order.model)?;
        model.check(order)?;
        reach(order)?;
        let device = self.device;
        device.watch_peak();
        let mut timings = Timings::default();
        let began = Instant::now();
        let pipeline = self.bring(
            model,
            &order.weights,
            order.offload_text_encoder,
            false,
            stop,
            tell,
        )?;
        timings.load = began.elapsed().as_secs_f64();
        let is_dummy = matches!(order.weights, Weights::Dummy { .. });
        let mut clock = Clock::new(&mut timings);
        let mut frames = pipeline.make(order, stop, &mut |progress| {
            match &progress {
                Progress::Stage(stage) => clock.enter(*stage),
                Progress::Loaded { seconds, .. } => clock.loaded(*seconds),
                Progress::Step { .. } | Progress::Preview { .. } | Progress::Decoded { .. } => {}
            }
            let event = report(order, &device, is_dummy, progress)?;
            // When nobody listens, nobody wants it.
            if tell(event) {
                Ok(())
            } else {
                Err(Error::Cancelled)
            }
        })?;
        clock.enter(Stage::Encoding);
        tell(Event::Stage {
            id: order.id.clone(),
            stage: Stage::Encoding,
        });
        if is_dummy {
            film::mark(&mut frames);
        }
        let Written { size_bytes, sha256 } = film::write(
            &order.output,
            &frames,
            order.frame_rate,
            &order.receipt,
            &mut || stop.check(),
        )?;
        clock.end();
        Ok(Event::Done {
            id: order.id.clone(),
            size_bytes,
            sha256,
            frames: u32::try_from(frames.count()).unwrap_or(u32::MAX),
            peak_memory_bytes: device.peak(),
            timings,
        })
    }

    /// A model, brought into memory unless it is there; told either way if `asked` for. Halves that take
    /// turns are brought by the orders themselves.
    fn bring(
        &mut self,
        model: &'static Model,
        weights: &Weights,
        offload_text_encoder: bool,
        asked: bool,
        stop: &Stop,
        tell: &mut Tell<'_>,
    ) -> Result<&mut Pipeline> {
        let key = (model.id, weights.clone());
        let name = || model.id.to_owned();
        let is_new = !self.models.contains_key(&key);
        let began = Instant::now();
        if is_new {
            tell(Event::Loading {
                model: name(),
                weights: weights.clone(),
            });
            let mut pipeline = open(model, weights, self.device, stop)?;
            pipeline.load(offload_text_encoder, stop)?;
            self.device.synchronize();
            self.models.insert(key.clone(), pipeline);
        }
        let pipeline = match self.models.entry(key) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(_) => return Err(Error::Torch(format!("{} is not in memory", model.id))),
        };
        if asked && !is_new {
            pipeline.load(offload_text_encoder, stop)?;
        }
        if asked || is_new {
            tell(Event::Loaded {
                model: name(),
                weights: weights.clone(),
                bytes: pipeline.most_bytes(offload_text_encoder),
                seconds: began.elapsed().as_secs_f64(),
            });
        }
        Ok(pipeline)
    }
}

/// Uses every kernel that a video takes, on a model and a video as small as there are. Not on a GPU, where only tensors are
/// counted.
pub(crate) fn warm_up(device: Device) -> Result<()> {
    if device.torch() != TorchDevice::Cpu {
        return Ok(());
    }
    let model = catalogue::models()
        .first()
        .ok_or_else(|| Error::Torch("the catalogue is empty".into()))?;
    let weights = Weights::Dummy { size: DummySize::Toy };
    let order = Order {
        prompt: "a cat".into(),
        width: 16,
        height: 16,
        num_frames: 5,
        num_inference_steps: 2,
        ..model.order("warm-up", weights)
    };
    let mut pipeline = Pipeline::random(Shapes::TOY, device);
    pipeline.make(&order, &Stop::default(), &mut |_| Ok(())).map(drop)
}

fn open(model: &Model, weights: &Weights, device: Device, stop: &Stop) -> Result<Pipeline> {
    match weights {
        // One of toy size is taken too, so that all of this can be tried with small files.
        Weights::Folder { path } => {
            Pipeline::open(path, &[model.shapes, Shapes::TOY], model.title, device, stop)
        }
        Weights::Dummy {
            size: DummySize::Full,
        } => Ok(Pipeline::random(model.shapes, device)),
        Weights::Dummy { size: DummySize::Toy } => Ok(Pipeline::random(Shapes::TOY, device)),
    }
}

/// What the parent is told of progress; previews are written here.
fn report(order: &Order, device: &Device, is_dummy: bool, progress: Progress) -> Result<Event> {
    let id = order.id.clone();
    Ok(match progress {
        Progress::Stage(stage) => Event::Stage { id, stage },
        Progress::Step { step, seconds } => Event::Step {
            id,
            step,
            of: order.num_inference_steps,
            seconds,
            memory_bytes: device.held(),
        },
        Progress::Decoded { part, of } => Event::Decoded { id, part, of },
        Progress::Loaded { part, bytes, seconds } => Event::PartLoaded {
            id,
            part,
            bytes,
            seconds,
        },
        Progress::Preview {
            step,
            frame,
            mut picture,
        } => {
            if is_dummy {
                film::mark(&mut picture);
            }
            let path = preview_path(order, step);
            film::preview(&path, &picture)?;
            Event::Preview {
                id,
                step,
                frame,
                path,
            }
        }
    })
}

/// Whether there are folders for what will be written: hours later would be late to find out.
fn reach(order: &Order) -> Result<()> {
    let mut folders = vec![order.output.parent().unwrap_or_else(|| Path::new(""))];
    if order.preview_every_steps > 0 {
        folders.extend(order.preview_folder.as_deref());
    }
    for folder in folders
        .into_iter()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        fs::read_dir(folder).map_err(Error::storage(folder, "opened"))?;
    }
    Ok(())
}

/// Where the preview of a step goes: named after the output, so that two orders never meet.
fn preview_path(order: &Order, step: u32) -> PathBuf {
    let stem = order.output.file_stem().unwrap_or_default().to_string_lossy();
    let name = format!("{stem}.{step:04}.jpg");
    match &order.preview_folder {
        Some(folder) => folder.join(name),
        None => order.output.parent().unwrap_or_else(|| Path::new("")).join(name),
    }
}

/// What is told of a failure.
pub fn failed(id: Option<&str>, model: Option<&str>, error: &Error) -> Event {
    Event::Failed {
        id: id.map(str::to_owned),
        model: model.map(str::to_owned),
        kind: error.kind(),
        message: error.message().chars().take(MAX_MESSAGE).collect(),
    }
}

/// LibTorch's messages hold whole traces.
const MAX_MESSAGE: usize = 2000;

/// Runs what calls LibTorch, whose bindings panic where it throws: then it is an error, and the worker goes on. What was
/// begun is dropped by the panic on its way; what a model has in memory changes as a whole or not at all.
fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let what = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        Err(Error::Torch(what.unwrap_or("it panicked").to_owned()))
    })
}

/// Which stage takes how long. What is loaded in the midst of one counts as loading.
struct Clock<'a> {
    timings: &'a mut Timings,
    stage: Option<(Stage, Instant)>,
    /// Seconds of loading since the stage began.
    loaded: f64,
}

// === impl Clock ===

impl<'a> Clock<'a> {
    fn new(timings: &'a mut Timings) -> Self {
        Self {
            timings,
            stage: None,
            loaded: 0.0,
        }
    }

    fn loaded(&mut self, seconds: f64) {
        self.loaded += seconds;
        self.timings.load += seconds;
    }

    fn enter(&mut self, stage: Stage) {
        self.end();
        self.stage = Some((stage, Instant::now()));
    }

    fn end(&mut self) {
        let Some((stage, began)) = self.stage.take() else {
            return;
        };
        let seconds = match stage {
            Stage::TextEncoding => &mut self.timings.text_encoding,
            Stage::Denoising => &mut self.timings.denoising,
            Stage::Decoding => &mut self.timings.decoding,
            Stage::Encoding => &mut self.timings.encoding,
        };
        *seconds += (began.elapsed().as_secs_f64() - std::mem::take(&mut self.loaded)).max(0.0);
    }
}
