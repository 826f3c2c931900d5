//! A job from its claim to its end: its model in memory, its order with the worker, and what the worker tells of it.
//!
//! One task drives it, and whatever may happen meanwhile is an arm of one `select`: events, the heartbeat of the lease,
//! somebody who wants it to stop, its deadline, a worker that dies or falls silent, and this process that is to end.

use std::path::PathBuf;
use std::time::Duration;

use polyphony_error::Fault;
use polyphony_jobs::{Draft, Error as JobsError, Held, Job, State, Vigil, Why};
use polyphony_video_worker::catalogue;
use polyphony_video_worker::protocol::{Event, FailureKind, Order, Stage, Timings};
use tokio::fs;
use tokio::task;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::models::InUse;
use super::previews::MOST_BYTES;
use super::worker::Worker;
use super::{FILE, Inner};
use crate::domain::{Film, Maker, Plan, Preview, Progress, Told};
use crate::error::Error;
use crate::metrics;

/// A worker that is to go while it loads is told so again after this long.
const AGAIN: Duration = Duration::from_millis(500);

/// How work on a job came to its end.
enum End {
    /// The file is there.
    Made(Film),
    /// It cannot be made.
    Failed(Fault),
    /// The worker died.
    Died(String),
    /// The worker let go, because it was told to.
    Stopped(Why),
    /// No worker can be had: it waits until one can.
    NoWorker,
}

// === impl Inner ===

impl Inner {
    /// Sees a job to its end, or gives it back.
    pub(super) async fn make(&self, held: Held, stop: &CancellationToken) {
        let id = held.job().id.clone();
        let mut told = match serde_json::from_slice::<Plan>(held.payload()) {
            Ok(plan) => Told::planned(plan),
            Err(error) => {
                tracing::error!(job = id, %error, "a job cannot be read");
                report(held.fail(Fault::internal(error)).await, "");
                return;
            }
        };
        let model = told.plan.order.model.clone();
        tracing::info!(job = id, model, attempt = held.job().attempts, "a video is begun");
        // What is told of an attempt before this one is no longer so.
        told_of(&held, &told);
        let end = self.made(&held, &mut told, stop).await;
        self.previews.forget(&id);
        if let End::Made(film) = &end {
            metrics::made(&model, film.seconds);
            if let Some(maker) = &told.maker {
                self.tempo.note(&told.plan, &maker.device, film.seconds);
            }
            told.film = Some(film.clone());
        }
        told_of(&held, &told);
        let ended = match end {
            End::Made(_) => held.succeed(&[]).await,
            End::Failed(fault) => {
                tracing::warn!(job = id, error = %polyphony_error::chain(&fault), "a video failed");
                held.fail(fault).await
            }
            End::Died(reason) => held.broke(&reason).await,
            End::Stopped(why) => held.let_go(why).await,
            End::NoWorker => held.give_back().await,
        };
        report(ended, &model);
    }

    async fn made(&self, held: &Held, told: &mut Told, stop: &CancellationToken) -> End {
        let mut vigil = Vigil::new(held, stop);
        let loaded = self.loaded(&mut vigil, told).await;
        // Loading was waited for or its worker is gone, so the device is free.
        if let Some(why) = vigil.why() {
            return End::Stopped(why);
        }
        let model = match loaded {
            Ok(model) => model,
            Err(end) => return end,
        };
        let device = model.worker().device();
        told.maker = Some(Maker {
            device: device.name.clone(),
            version: device.version.clone(),
            load: model.load.as_secs_f64(),
            text_encoder_offloaded: model.offloads,
        });
        let draft = match self.draft(&held.job().id).await {
            Ok(draft) => draft,
            Err(error) => return End::Failed(Fault::from(error)),
        };
        let end = self.ordered(&mut vigil, &model, told, &draft).await;
        match end {
            Ok(done) => film(draft, done).await,
            Err(end) => end,
        }
    }

    /// The model, in memory. A load is broken off by letting its worker go: at once where nothing else is lost with it, else
    /// when it takes too long.
    async fn loaded(&self, vigil: &mut Vigil<'_>, told: &Told) -> Result<InUse, End> {
        let (alive, started) = (!self.workshop.is_dead(), self.workshop.started());
        let mut loading = std::pin::pin!(self.acquired(&told.plan.order));
        let silence = self.config.worker_silence.get();
        let (mut patience, mut parting) = (Instant::now() + silence, false);
        let loaded = loop {
            tokio::select! {
                loaded = &mut loading => break loaded,
                why = vigil.next() => {
                    patience = Instant::now() + self.config.cancel_timeout.get();
                    parting = why == Why::Parting || self.models.in_memory().is_empty();
                    if parting {
                        self.workshop.part(Worker::stop);
                    }
                }
                // A load that had no worker yet has started one since.
                () = sleep(AGAIN), if parting => self.workshop.part(Worker::stop),
                () = sleep_until(patience) => {
                    tracing::warn!(job = vigil.held().job().id, "a model is not loaded in time, and its worker is killed");
                    patience = Instant::now() + silence;
                    self.workshop.part(Worker::kill);
                }
            }
        };
        loaded.map_err(|error| match error {
            error if self.workshop.check().is_err() => {
                tracing::warn!(error = %polyphony_error::chain(&error), "a video waits for a worker");
                End::NoWorker
            }
            Error::Died(reason) => End::Died(reason),
            // What a loader says comes as text; whether the worker outlived it, if there was one, tells what it was.
            error if self.workshop.is_dead() && (alive || self.workshop.started() > started) => {
                End::Died(polyphony_error::chain(&error).to_string())
            }
            error => End::Failed(Fault::from(error)),
        })
    }

    /// The model in memory, its parts taking turns if the order does not fit otherwise. That is said by the device as it is
    /// now, not as it was when the order came.
    async fn acquired(&self, order: &Order) -> Result<InUse, Error> {
        let device = self.workshop.device().await?;
        // What is no model is refused below.
        let model = catalogue::find(&order.model).ok();
        let order = Order {
            offload_text_encoder: model.is_some_and(|model| self.staged(order, model, &device).0),
            ..order.clone()
        };
        self.models.acquire(&order).await
    }

    async fn draft(&self, id: &str) -> Result<Draft, Error> {
        let (artifacts, id) = (self.queue.artifacts().clone(), id.to_owned());
        let begun = task::spawn_blocking(move || artifacts.begin(&id, FILE)).await;
        Ok(begun.map_err(Fault::internal)??)
    }

    /// The order with the worker, until one of its events ends it.
    async fn ordered(
        &self,
        vigil: &mut Vigil<'_>,
        model: &InUse,
        told: &mut Told,
        draft: &Draft,
    ) -> Result<Done, End> {
        let worker = model.worker();
        let id = vigil.held().job().id.clone();
        let previews = tempfile::tempdir().map_err(|error| End::Failed(Fault::internal(error)))?;
        let mut events = worker.generate(Order {
            id: id.clone(),
            weights: model.weights().clone(),
            offload_text_encoder: model.offloads,
            preview_every_steps: self.config.preview_every_steps,
            preview_folder: Some(previews.path().to_owned()),
            output: draft.path().to_owned(),
            ..told.plan.order.clone()
        });
        let silence = self.config.worker_silence.get();
        let mut patience = Instant::now() + silence;
        let end = loop {
            tokio::select! {
                event = events.recv() => {
                    let Some(event) = event else {
                        break Err(End::Died(worker.died().await.to_string()));
                    };
                    if vigil.why().is_none() {
                        patience = Instant::now() + silence;
                    }
                    if let Some(end) = self.heard(vigil, told, event).await {
                        break end;
                    }
                }
                _ = vigil.next() => {
                    worker.cancel(&id);
                    patience = Instant::now() + self.config.cancel_timeout.get();
                }
                () = sleep_until(patience) => {
                    let what = if vigil.why().is_some() { "did not let go" } else { "said nothing" };
                    tracing::warn!(job = id, "the video worker {what} in time, and is killed");
                    worker.kill();
                    let _killed = worker.died().await;
                    break Err(match vigil.why() {
                        // Killing it has freed the device.
                        Some(why) => End::Stopped(why),
                        None => End::Died(format!("it said nothing for {silence:?}")),
                    });
                }
            }
        };
        worker.forget(&id);
        match (end, vigil.why()) {
            // It died while it was to let go: the device is free, and the job is not to blame.
            (Err(End::Died(_)), Some(why)) => Err(End::Stopped(why)),
            (end, _) => end,
        }
    }

    /// One event; what ends the order, if it does.
    async fn heard(&self, vigil: &Vigil<'_>, told: &mut Told, event: Event) -> Option<Result<Done, End>> {
        let held = vigil.held();
        let progress = told.progress.get_or_insert(Progress {
            stage: Stage::TextEncoding,
            step: 0,
            decoded: (0, 0),
            step_seconds: 0.0,
            memory_bytes: 0,
        });
        match event {
            Event::Stage { stage, .. } => {
                progress.stage = stage;
                // The first tells that it was taken up; it is said again with the others, should it not have been written.
                if let Err(error) = held.advance(State::Running).await {
                    tracing::warn!(error = %polyphony_error::chain(&error), "a video that is made is not told as such");
                }
            }
            Event::PartLoaded {
                part, bytes, seconds, ..
            } => {
                tracing::info!(
                    job = held.job().id,
                    ?part,
                    bytes,
                    seconds,
                    "a part of the model was loaded for a video"
                );
                if let Some(maker) = &mut told.maker {
                    maker.load += seconds;
                }
            }
            Event::Step {
                step,
                seconds,
                memory_bytes,
                ..
            } => {
                progress.step = step;
                progress.step_seconds = seconds;
                progress.memory_bytes = memory_bytes;
                metrics::step(&told.plan.order.model, seconds, memory_bytes);
            }
            Event::Decoded { part, of, .. } => progress.decoded = (part, of),
            Event::Preview {
                step, frame, path, ..
            } => {
                let image = taken(path).await?;
                self.previews.put(&held.job().id, Preview { step, frame, image });
                told.preview_step = step;
            }
            Event::Done {
                sha256,
                peak_memory_bytes,
                timings,
                ..
            } => {
                return Some(Ok(Done {
                    sha256,
                    peak_memory_bytes,
                    timings,
                }));
            }
            Event::Cancelled { .. } => {
                let why = vigil.why().unwrap_or(Why::Cancelled);
                return Some(Err(End::Stopped(why)));
            }
            Event::Failed { kind, message, .. } => {
                if kind == FailureKind::Internal {
                    tracing::error!(job = held.job().id, message, "the video worker failed");
                }
                return Some(Err(End::Failed(Error::Refused { kind, message }.into())));
            }
            Event::Ready { .. } | Event::Loading { .. } | Event::Loaded { .. } | Event::Unloaded { .. } => {}
        }
        told_of(held, told);
        None
    }
}

/// What the worker said at the end.
struct Done {
    sha256: String,
    peak_memory_bytes: u64,
    timings: Timings,
}

/// The file gets its name, when it is what the worker said.
async fn film(draft: Draft, done: Done) -> End {
    let Done {
        sha256,
        peak_memory_bytes,
        timings,
    } = done;
    let published = match task::spawn_blocking(move || draft.publish()).await {
        Ok(Ok(artifact)) => artifact,
        Ok(Err(error)) => return End::Failed(error.into()),
        Err(error) => return End::Failed(Fault::internal(error)),
    };
    if published.digest.strip_prefix("sha256:") != Some(sha256.as_str()) {
        let text = "the file of a video is not what its worker wrote";
        return End::Failed(Fault::internal(std::io::Error::other(text)));
    }
    let Timings {
        load: _,
        text_encoding,
        denoising,
        decoding,
        encoding,
    } = timings;
    End::Made(Film {
        size_bytes: published.size,
        digest: published.digest,
        peak_memory_bytes,
        seconds: text_encoding + denoising + decoding + encoding,
    })
}

/// The image of a preview, whose file is deleted.
async fn taken(path: PathBuf) -> Option<Vec<u8>> {
    let length = fs::metadata(&path).await.ok()?.len();
    let image = if length <= MOST_BYTES {
        fs::read(&path).await.ok()
    } else {
        None
    };
    // What is left goes with its folder.
    drop(fs::remove_file(&path).await);
    image
}

/// Tells how far it is.
fn told_of(held: &Held, told: &Told) {
    if let Some(progress) = &told.progress {
        held.reached(u64::from(progress.step) + u64::from(progress.decoded.0));
    }
    let text = serde_json::to_vec(told).map_err(|error| Error::from(Fault::internal(error)));
    if let Err(error) = text.and_then(|text| Ok(held.say(text)?)) {
        tracing::warn!(error = %polyphony_error::chain(&error), "a video's progress is not told");
    }
}

/// What became of a job, for the log and the metrics.
fn report(ended: Result<Job, JobsError>, model: &str) {
    match ended {
        Ok(job) => {
            let state = match job.state {
                State::Succeeded => "succeeded",
                State::Failed => "failed",
                State::Cancelled => "cancelled",
                State::Queued | State::Loading | State::Running => "requeued",
            };
            metrics::ended(model, state);
            tracing::info!(job = job.id, state, "a video came to its end");
        }
        Err(JobsError::Lost) => tracing::warn!("a video was taken over by another process, or deleted"),
        Err(error) => {
            tracing::error!(error = %polyphony_error::chain(&error), "the end of a video is not written; its lease will lapse");
        }
    }
}
