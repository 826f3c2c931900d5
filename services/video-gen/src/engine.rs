//! The making of videos: one worker, one device, one video at a time; the models in its memory, and what waits.
//!
//! `workshop` keeps the worker: it starts it when it is needed and stops it when it is not. [`Models`] are the models in its
//! memory, which come and go by the rules of all models of the process. [`run`](Engine::run) claims jobs and sees each to its
//! end. Not here: gRPC, and the computing.

mod events;
mod listen;
mod making;
mod models;
mod previews;
pub mod program;
mod tempo;
mod worker;
mod workshop;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use polyphony_jobs::{Filter, Order, Queue, State, Terms};
use polyphony_models::{Residents, Store};
use polyphony_video_worker::catalogue::Model;
use polyphony_video_worker::estimate::{Estimate, Geometry, WeightBytes, estimate};
use polyphony_video_worker::protocol::{Order as WorkerOrder, Precision};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, OffloadTextEncoder};
use crate::domain::{Device, Plan, Taken, Told, Work};
use crate::error::{Error, STARTED_AGAIN};
use crate::metrics;

pub use models::Models;
use models::Usual;
pub use previews::Previews;
use tempo::Tempo;
use workshop::Workshop;

/// What makes videos. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: Config,
    queue: Queue,
    workshop: Workshop,
    models: Models,
    previews: Previews,
    tempo: Tempo,
    /// A video is being made.
    making: AtomicBool,
}

/// What comes between two videos.
enum Wait {
    /// Nothing.
    Not,
    /// Until the queue is otherwise.
    ForChange,
    /// So long.
    Pause(Duration),
}

/// The file of a video.
pub const FILE: &str = "video.mp4";
/// A job is dead when its worker died so often.
const MOST_ATTEMPTS: u32 = 3;
/// A plan with two prompts of 4,000 characters takes a tenth of it.
const MOST_PLAN: usize = 256 << 10;
/// Before a worker that does not start is tried again, and before the queue is asked again after a failure.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const ROOM_LOOKED_FOR: Duration = Duration::from_secs(10);
const COUNTED_EVERY: Duration = Duration::from_millis(500);
/// What the device holds besides the video: its own driver, and others.
const SPARE: f64 = 0.9;

// === impl Engine ===

impl Engine {
    /// Opens the queue, with the models of a store.
    ///
    /// # Errors
    /// When the queue cannot be opened, or a model is there twice.
    pub async fn open(config: Config, store: Store, residents: Residents) -> Result<Self, Error> {
        let terms = Terms {
            service: "video-gen",
            max_attempts: MOST_ATTEMPTS,
            // The worker is another process, whose death is seen.
            blame_losses: false,
            max_interruptions: Some(config.max_interruptions),
            holder_stops: false,
            max_queue: config.max_queue,
            max_kept: config.max_operations,
            retention: config.retention(),
            lanes: 1,
            max_payload: MOST_PLAN,
            max_result: MOST_PLAN,
            drop_payload: false,
        };
        let queue = Queue::open(&config.jobs, terms).await?;
        let workshop = Workshop::new(&config);
        let usual = Usual {
            policy: config.offload_text_encoder,
            budget: config.models.residency().memory_budget,
        };
        let models = Models::new(store, residents, &workshop, config.dummy_size.into(), usual)?;
        workshop.forget_with_the_worker(&models);
        let inner = Inner {
            previews: Previews::default(),
            tempo: Tempo::default(),
            making: AtomicBool::new(false),
            config,
            queue,
            workshop,
            models,
        };
        let engine = Self {
            inner: Arc::new(inner),
        };
        engine.remember().await?;
        Ok(engine)
    }

    /// What is to be made, what is made, and what was.
    pub fn queue(&self) -> &Queue {
        &self.inner.queue
    }

    /// The models, on disk and in memory.
    pub fn models(&self) -> &Models {
        &self.inner.models
    }

    /// Its configuration.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// How videos look that are being made.
    pub fn previews(&self) -> &Previews {
        &self.inner.previews
    }

    /// Whether videos can be made, as far as is known. Starts nothing. What needs no device goes on without.
    ///
    /// # Errors
    /// When there is no worker, or the last one did not start.
    pub fn check_worker(&self) -> Result<(), Error> {
        self.inner.workshop.check()
    }

    /// What the device is, or was when there was a worker. Starts one when none was yet.
    ///
    /// # Errors
    /// When none was yet, and there is none or it does not start.
    pub async fn device(&self) -> Result<Device, Error> {
        self.inner.workshop.device().await
    }

    /// What the device is, if it is known.
    pub fn known_device(&self) -> Option<Device> {
        self.inner.workshop.known_device()
    }

    /// What a plan takes on this device.
    ///
    /// # Errors
    /// As [`device`](Self::device).
    pub async fn taken(&self, plan: &Plan, model: &Model) -> Result<Taken, Error> {
        let device = self.device().await?;
        let inner = &self.inner;
        let (text_encoder_offloaded, estimate) = inner.staged(&plan.order, model, &device);
        let in_memory = inner.models.is_in_memory(&plan.order);
        let load = if in_memory && !text_encoder_offloaded {
            Duration::ZERO
        } else {
            // Parts that take turns are loaded for each video of other prompts.
            Tempo::load(inner.weights(&plan.order, model, &device).most(false))
        };
        let (inference, measured) = inner.tempo.inference(plan, &device);
        Ok(Taken {
            peak_memory_bytes: estimate.peak_memory_bytes,
            available_memory_bytes: inner.available(&device),
            inference,
            load,
            measured,
            text_encoder_offloaded,
        })
    }

    /// Makes what waits, until it is asked to stop. What is being made then waits for the next start.
    pub async fn run(&self, stop: CancellationToken) {
        let inner = &self.inner;
        tokio::select! {
            () = inner.make_all(&stop) => {}
            () = inner.count() => {}
        }
        inner.workshop.stop().await;
    }

    /// How fast videos were made before the last start.
    async fn remember(&self) -> Result<(), Error> {
        const LOOKED_AT: usize = 64;
        let filter = Filter {
            states: vec![State::Succeeded],
            most: LOOKED_AT,
            order: Order::Newest,
            ..Filter::default()
        };
        let mut made = self.inner.queue.list(&filter).await?;
        made.reverse();
        for job in made {
            if let Ok(told) = serde_json::from_slice::<Told>(&job.progress)
                && let (Some(maker), Some(film)) = (&told.maker, &told.film)
            {
                self.inner.tempo.note(&told.plan, &maker.device, film.seconds);
            }
        }
        Ok(())
    }
}

// === impl Inner ===

impl Inner {
    /// Whether the text encoder leaves memory before this order is denoised, and what the order takes then.
    fn staged(&self, order: &WorkerOrder, model: &Model, device: &Device) -> (bool, Estimate) {
        let of = |offload| (offload, estimated(order, model, device, offload));
        match self.config.offload_text_encoder {
            OffloadTextEncoder::Always => of(true),
            OffloadTextEncoder::Never => of(false),
            OffloadTextEncoder::Auto => {
                let (_, resident) = of(false);
                let budget = self.config.models.residency().memory_budget;
                let fits = resident.peak_memory_bytes <= self.available(device)
                    && budget.is_none_or(|budget| resident.weights_bytes <= budget);
                of(!fits)
            }
        }
    }

    fn weights(&self, order: &WorkerOrder, model: &Model, device: &Device) -> WeightBytes {
        WeightBytes::of(&model.shapes_of(&order.weights), device.precision)
    }

    /// What a video may take of the device.
    fn available(&self, device: &Device) -> u64 {
        let limit = self.config.memory_limit.bytes();
        let most = (device.total_memory_bytes as f64 * SPARE) as u64;
        if limit == 0 { most } else { limit.min(most) }
    }

    async fn make_all(&self, stop: &CancellationToken) {
        let (mut changes, mut pause) = (self.queue.changes(), SHORTEST_PAUSE);
        while !stop.is_cancelled() {
            let open = tokio::select! {
                open = self.workshop.open() => open,
                () = stop.cancelled() => break,
            };
            // Without a worker every job would fail, and none would be to blame: they wait.
            let wait = match open {
                Ok(()) => {
                    pause = SHORTEST_PAUSE;
                    self.make_next(stop).await
                }
                // To look for it costs next to nothing, and whoever installs it waits for it.
                Err(Error::NoWorker(_)) => Wait::Pause(SHORTEST_PAUSE),
                Err(error) => {
                    tracing::warn!(%error, "no video can be made");
                    pause = (pause * 2).min(STARTED_AGAIN);
                    Wait::Pause(pause / 2)
                }
            };
            let again = async {
                match wait {
                    Wait::Not => {}
                    Wait::Pause(pause) => tokio::time::sleep(pause).await,
                    Wait::ForChange => self.queue.changed(&mut changes).await,
                }
            };
            tokio::select! {
                () = again => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Makes the video whose turn it is, if one waits.
    async fn make_next(&self, stop: &CancellationToken) -> Wait {
        // With a full disk every job would fail as well.
        if let Err(error) = self.queue.check_room().await {
            if self.queue.depth().await.is_ok_and(|depth| depth > 0) {
                tracing::warn!(error = %polyphony_error::chain(&error), "videos wait for room on the disk");
            }
            self.workshop.rest(&self.models).await;
            return Wait::Pause(ROOM_LOOKED_FOR);
        }
        match self.queue.claim().await {
            Ok(Some(held)) => {
                self.making.store(true, Ordering::Relaxed);
                self.make(held, stop).await;
                self.making.store(false, Ordering::Relaxed);
                Wait::Not
            }
            Ok(None) => {
                self.workshop.rest(&self.models).await;
                Wait::ForChange
            }
            Err(error) => {
                tracing::error!(error = %polyphony_error::chain(&error), "no job can be claimed");
                Wait::Pause(SHORTEST_PAUSE)
            }
        }
    }

    /// Measures what waits, also while a video is made, and what is in memory. It never ends.
    async fn count(&self) {
        let mut changes = self.queue.changes();
        loop {
            if let Ok(depth) = self.queue.depth().await {
                metrics::waiting(depth);
            }
            if !self.making.load(Ordering::Relaxed) {
                metrics::memory(self.models.memory_bytes());
            }
            self.queue.changed(&mut changes).await;
            // Progress is a change as well, and comes far more often than anybody looks.
            tokio::time::sleep(COUNTED_EVERY).await;
        }
    }
}

/// What an order takes, by the shapes of its model, the worker itself included.
fn estimated(order: &WorkerOrder, model: &Model, device: &Device, offload_text_encoder: bool) -> Estimate {
    let shapes = model.shapes_of(&order.weights);
    let geometry = Geometry {
        offload_text_encoder,
        ..Geometry::of(order)
    };
    let mut estimate = estimate(&shapes, &geometry, device.precision);
    estimate.peak_memory_bytes += device.base_memory_bytes;
    estimate
}

/// The arithmetic of an order, which is the same on every device.
pub(crate) fn work(order: &WorkerOrder, model: &Model) -> Work {
    let shapes = model.shapes_of(&order.weights);
    let estimate = estimate(&shapes, &Geometry::of(order), Precision::Fp32);
    Work {
        text: estimate.text_flops as f64,
        denoising: estimate.step_flops as f64 * f64::from(order.num_inference_steps),
        decoding: estimate.decode_flops as f64,
    }
}
