//! The adapter: convert, call, convert. What happens to a video is in [`engine`](crate::engine).

mod download;
mod submit;
mod watch;

use std::sync::Arc;

use polyphony_chassis::operations::{Lasting, LastingWork};
use polyphony_chassis::{Caller, RequestId};
use polyphony_error::{Fault, Kind};
use polyphony_jobs::{Filter, Job, Order, Priority, Queue, State};
use polyphony_proto::google::longrunning::Operation;
use polyphony_proto::time::to_wire;
use polyphony_proto::video::v1 as pb;
use polyphony_proto::video::v1::video_service_server::VideoService;
use polyphony_video_worker::catalogue;
use prost::Message;
use tonic::{Request, Response, Status};

use crate::convert;
use crate::domain::Told;
use crate::engine::Engine;
use crate::error::Error;

/// The service. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    engine: Arc<Engine>,
    making: Lasting<Making>,
}

/// Videos as operations.
#[derive(Debug)]
pub(crate) struct Making;

impl LastingWork for Making {
    type Metadata = pb::GenerateVideoMetadata;
    const METADATA: &'static str = "polyphony.video.v1.GenerateVideoMetadata";
    const RESPONSE: &'static str = "polyphony.video.v1.Video";

    fn metadata(job: &Job) -> pb::GenerateVideoMetadata {
        pb::GenerateVideoMetadata {
            video: Some(convert::video(job)),
        }
    }

    fn response(job: &Job, _result: Vec<u8>) -> Vec<u8> {
        convert::video(job).encode_to_vec()
    }
}

/// Processes that share a queue.
const MOST_DEVICES: usize = 256;
/// Jobs of a list in memory at once.
const READ_AT_ONCE: usize = 32;
/// A page of videos has at most so many bytes, for prompts may be long and messages may not.
const MOST_LISTED: usize = 1 << 20;

// === impl Service ===

impl Service {
    pub(crate) fn new(engine: Engine, making: Lasting<Making>) -> Self {
        Self {
            engine: Arc::new(engine),
            making,
        }
    }

    fn queue(&self) -> &Queue {
        self.engine.queue()
    }

    /// A page of at most so many videos, and of as many as a message takes. Jobs are read a few at a time, for the prompts of
    /// a thousand are more than need be in memory.
    async fn page(&self, mut filter: Filter, most: usize) -> Result<pb::ListVideosResponse, Fault> {
        let (mut page, mut room) = (pb::ListVideosResponse::default(), MOST_LISTED);
        loop {
            let jobs = self.queue().list(&filter).await?;
            for job in &jobs {
                let video = convert::video(job);
                let size = video.encoded_len();
                let full = page.videos.len() >= most || size > room && !page.videos.is_empty();
                if full {
                    page.next_page_token.clone_from(&filter.after);
                    return Ok(page);
                }
                room = room.saturating_sub(size);
                page.videos.push(video);
                filter.after.clone_from(&job.id);
            }
            if jobs.len() < filter.most {
                return Ok(page);
            }
        }
    }

    /// One of the caller's videos.
    async fn job(&self, name: &str, caller: &Caller) -> Result<Job, Fault> {
        let owners: Vec<&str> = caller.names().collect();
        let job = self.queue().get(convert::job_id(name)?, &owners).await;
        job.map_err(|error| Error::from(error).into())
    }
}

#[tonic::async_trait]
impl VideoService for Service {
    async fn generate_video(
        &self,
        request: Request<pb::GenerateVideoRequest>,
    ) -> Result<Response<Operation>, Status> {
        let (caller, call) = (Caller::of(&request), RequestId::of_call(&request));
        let operation = self
            .submit(request.into_inner(), &caller, call.to_string())
            .await?;
        Ok(Response::new(operation))
    }

    async fn estimate_video(
        &self,
        request: Request<pb::EstimateVideoRequest>,
    ) -> Result<Response<pb::EstimateVideoResponse>, Status> {
        let caller = Caller::of(&request);
        let pb::EstimateVideoRequest { spec } = request.into_inner();
        let (plan, taken) = self.planned(spec, String::new()).await?;
        let owner = caller.owner().unwrap_or_default();
        let next = self.queue().place_of_next(owner, Priority::Normal).await;
        let next = next.map_err(Fault::from)?;
        let basis = if taken.measured {
            pb::EstimateBasis::Measured
        } else {
            pb::EstimateBasis::Calculated
        };
        Ok(Response::new(pb::EstimateVideoResponse {
            peak_memory_bytes: taken.peak_memory_bytes,
            available_memory_bytes: taken.available_memory_bytes,
            inference_duration: Some(to_wire(taken.inference)),
            load_duration: Some(to_wire(taken.load)),
            queue: Some(polyphony_proto::types::v1::QueueStatus {
                position: next.position,
                depth: next.depth,
                estimated_wait_duration: next.ahead.map(to_wire),
            }),
            basis: basis.into(),
            effective_spec: Some(convert::effective(&plan.order)),
            text_encoder_offloaded: taken.text_encoder_offloaded,
        }))
    }

    type WatchVideoStream = watch::Watching;

    async fn watch_video(
        &self,
        request: Request<pb::WatchVideoRequest>,
    ) -> Result<Response<Self::WatchVideoStream>, Status> {
        let caller = Caller::of(&request);
        let pb::WatchVideoRequest {
            name,
            preview_every_steps,
        } = request.into_inner();
        let owners: Vec<&str> = caller.names().collect();
        let watched = self.queue().watch(convert::job_id(&name)?, &owners).await;
        let watched = watched.map_err(|error| Fault::from(Error::from(error)))?;
        let previews = self.engine.previews().clone();
        Ok(Response::new(watch::stream(
            watched,
            previews,
            preview_every_steps.unwrap_or(0),
        )))
    }

    async fn get_video(&self, request: Request<pb::GetVideoRequest>) -> Result<Response<pb::Video>, Status> {
        let caller = Caller::of(&request);
        let job = self.job(&request.into_inner().name, &caller).await?;
        Ok(Response::new(convert::video(&job)))
    }

    async fn list_videos(
        &self,
        request: Request<pb::ListVideosRequest>,
    ) -> Result<Response<pb::ListVideosResponse>, Status> {
        let caller = Caller::of(&request);
        let pb::ListVideosRequest {
            state,
            model,
            page_size,
            page_token,
        } = request.into_inner();
        let (most, after) = convert::page(page_size, &page_token)?;
        let filter = Filter {
            owners: Some(caller.names().map(str::to_owned).collect()),
            states: convert::wanted_states(state)?,
            label: convert::label(&model)?,
            after,
            most: READ_AT_ONCE,
            order: Order::Newest,
        };
        Ok(Response::new(self.page(filter, most).await?))
    }

    async fn get_queue(
        &self,
        request: Request<pb::GetQueueRequest>,
    ) -> Result<Response<pb::GetQueueResponse>, Status> {
        let caller = Caller::of(&request);
        let pb::GetQueueRequest {} = request.into_inner();
        let filter = Filter {
            states: vec![State::Loading, State::Running],
            most: MOST_DEVICES,
            ..Filter::default()
        };
        // Of processes that share the queue each has a device of its own.
        let mut held = self.queue().list(&filter).await.map_err(Fault::from)?;
        held.retain(|job| self.queue().holds(&job.id));
        let held = held.pop();
        let told = held
            .as_ref()
            .and_then(|job| serde_json::from_slice::<Told>(&job.progress).ok());
        let known = self.engine.known_device();
        let device = pb::DeviceQueue {
            device: known.map(|device| device.name).unwrap_or_default(),
            model: self.engine.models().in_memory().join(", "),
            video: held
                .as_ref()
                .filter(|job| caller.is(&job.owner))
                .map(|job| format!("videos/{}", job.id))
                .unwrap_or_default(),
            busy: held.is_some(),
            estimated_free_duration: told
                .and_then(|told| convert::progress(&told))
                .and_then(|progress| progress.remaining_duration),
        };
        let depth = self.queue().depth().await.map_err(Fault::from)?;
        Ok(Response::new(pb::GetQueueResponse {
            devices: vec![device],
            depth,
            max_depth: u32::try_from(self.engine.config().max_queue).unwrap_or(u32::MAX),
        }))
    }

    async fn cancel_video(
        &self,
        request: Request<pb::CancelVideoRequest>,
    ) -> Result<Response<pb::CancelVideoResponse>, Status> {
        let caller = Caller::of(&request);
        let before = self.job(&request.into_inner().name, &caller).await?;
        let owners: Vec<&str> = caller.names().collect();
        match before.state {
            // A second call does nothing.
            State::Cancelled => {
                return Ok(Response::new(pb::CancelVideoResponse {
                    video: Some(convert::video(&before)),
                    freed_memory_bytes: 0,
                }));
            }
            State::Succeeded | State::Failed => return Err(over().into()),
            State::Queued | State::Loading | State::Running => {}
        }
        let mut watched = self
            .queue()
            .watch(&before.id, &owners)
            .await
            .map_err(Error::from)
            .map_err(Fault::from)?;
        match self.queue().cancel(&before.id, &owners).await {
            Ok(_) | Err(polyphony_jobs::Error::Over) => {}
            Err(error) => return Err(Fault::from(Error::from(error)).into()),
        }
        let mut memory = 0;
        let mut last = before;
        // It is over when the worker has said that the device is free.
        while let Some(job) = watched.next().await.map_err(Error::from).map_err(Fault::from)? {
            // Of one that waits, what is told may be of an attempt before.
            if job.state.is_held()
                && let Ok(told) = serde_json::from_slice::<Told>(&job.progress)
            {
                memory = told.progress.map_or(memory, |progress| progress.memory_bytes);
            }
            last = job;
        }
        if last.state != State::Cancelled {
            return Err(over().into());
        }
        let base = self
            .engine
            .known_device()
            .map_or(0, |device| device.base_memory_bytes);
        let stays = base + self.engine.models().memory_bytes();
        Ok(Response::new(pb::CancelVideoResponse {
            video: Some(convert::video(&last)),
            freed_memory_bytes: memory.saturating_sub(stays),
        }))
    }

    async fn delete_video(&self, request: Request<pb::DeleteVideoRequest>) -> Result<Response<()>, Status> {
        let caller = Caller::of(&request);
        let name = request.into_inner().name;
        let owners: Vec<&str> = caller.names().collect();
        let deleted = self.queue().delete(convert::job_id(&name)?, &owners).await;
        deleted.map_err(|error| Fault::from(Error::from(error)))?;
        Ok(Response::new(()))
    }

    type DownloadVideoStream = download::Pieces;

    async fn download_video(
        &self,
        request: Request<pb::DownloadVideoRequest>,
    ) -> Result<Response<Self::DownloadVideoStream>, Status> {
        let caller = Caller::of(&request);
        let pb::DownloadVideoRequest {
            name,
            start_byte,
            expected_digest,
        } = request.into_inner();
        let job = self.job(&name, &caller).await?;
        let path = self.queue().artifacts().path(&job.id, crate::engine::FILE);
        match download::open(&job, &path, start_byte, &expected_digest).await {
            Ok(pieces) => Ok(Response::new(pieces)),
            Err(status) => {
                // What was deleted meanwhile is not there, and that is all.
                self.job(&name, &caller).await?;
                Err(status)
            }
        }
    }

    async fn get_capabilities(
        &self,
        _: Request<pb::GetCapabilitiesRequest>,
    ) -> Result<Response<pb::GetCapabilitiesResponse>, Status> {
        let mut models = Vec::new();
        for model in catalogue::models() {
            let on_disk = self.engine.models().on_disk(model).await.map_err(Fault::from)?;
            models.push((model, on_disk.is_some()));
        }
        // The default is the best that is on disk; the sort keeps the order of the rest.
        models.sort_by_key(|(_, on_disk)| !on_disk);
        let max_queue = self.engine.config().max_queue;
        let lacking = self.engine.check_worker().err().map(Fault::from);
        Ok(Response::new(convert::capabilities(&models, lacking, max_queue)))
    }
}

fn over() -> Fault {
    Fault::new(
        Kind::FailedPrecondition,
        "VIDEO_OVER",
        "it is done already; DeleteVideo forgets it",
    )
}
