//! A video service on a free port, with folders of its own.

use std::path::Path;
use std::time::Duration;

use polyphony_harness::Running;
use polyphony_proto::google::longrunning::Operation;
use polyphony_proto::types::v1::JobState;
use polyphony_proto::video::v1 as pb;
use polyphony_proto::video::v1::video_service_client::VideoServiceClient;
use polyphony_proto::video::v1::video_service_server::SERVICE_NAME;
use polyphony_video_gen::VideoGen;
use prost::Message;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use super::stand_in;

pub(crate) type Client = VideoServiceClient<Channel>;

/// What comes in the end comes before this.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A service whose worker is the stand-in.
pub(crate) struct Served {
    pub(crate) client: Client,
    pub(crate) running: Running,
    pub(crate) folder: tempfile::TempDir,
}

/// Settings of a service in this folder, with this worker.
pub(crate) fn settings(folder: &Path, worker: &Path) -> Vec<String> {
    vec![
        format!("jobs.data_dir={}", folder.join("jobs").display()),
        "jobs.min_free=1MiB".to_owned(),
        format!("models.dir={}", folder.join("models").display()),
        "models.offline=true".to_owned(),
        format!("video-gen.worker={}", worker.display()),
        "video-gen.preview_every_steps=2".to_owned(),
        "video-gen.worker_silence=2s".to_owned(),
        "video-gen.cancel_timeout=1s".to_owned(),
    ]
}

pub(crate) async fn serve(more: &[&str]) -> Served {
    serve_in(tempfile::tempdir().expect("a folder"), more).await
}

/// A service that finds what an earlier one left in this folder.
pub(crate) async fn serve_in(folder: tempfile::TempDir, more: &[&str]) -> Served {
    let worker = stand_in::script(folder.path());
    serve_with(folder, &worker, more).await
}

/// A service with this worker.
pub(crate) async fn serve_with(folder: tempfile::TempDir, worker: &Path, more: &[&str]) -> Served {
    let mut settings = settings(folder.path(), worker);
    settings.extend(more.iter().map(|&setting| setting.to_owned()));
    let running = polyphony_harness::program::<VideoGen>(SERVICE_NAME, &settings).await;
    let client = VideoServiceClient::new(running.channel().await);
    Served {
        client,
        running,
        folder,
    }
}

/// A spec of random weights.
pub(crate) fn spec(prompt: &str) -> pb::VideoSpec {
    pb::VideoSpec {
        prompt: prompt.to_owned(),
        seed: Some(7),
        load_format: pb::LoadFormat::Dummy.into(),
        ..pb::VideoSpec::default()
    }
}

pub(crate) fn request(prompt: &str) -> pb::GenerateVideoRequest {
    pb::GenerateVideoRequest {
        spec: Some(spec(prompt)),
        ..pb::GenerateVideoRequest::default()
    }
}

/// The video of an operation, as its metadata tells.
pub(crate) fn video(operation: &Operation) -> pb::Video {
    let metadata = operation.metadata.as_ref().expect("metadata");
    assert_eq!(
        metadata.type_url,
        "type.googleapis.com/polyphony.video.v1.GenerateVideoMetadata"
    );
    let metadata = pb::GenerateVideoMetadata::decode(metadata.value.as_slice()).expect("a message");
    metadata.video.expect("a video")
}

/// What a watcher hears of a video, to the end.
pub(crate) async fn watch(client: &mut Client, name: &str, previews: u32) -> Vec<pb::WatchVideoResponse> {
    let mut stream = watched(client, name, previews).await;
    let mut heard = Vec::new();
    while let Some(message) = stream.message().await.expect("goes on") {
        heard.push(message);
    }
    heard
}

async fn watched(client: &mut Client, name: &str, previews: u32) -> Streaming<pb::WatchVideoResponse> {
    let request = pb::WatchVideoRequest {
        name: name.to_owned(),
        preview_every_steps: Some(previews),
    };
    client.watch_video(request).await.expect("known").into_inner()
}

/// The video when it is over.
pub(crate) async fn ended(client: &mut Client, name: &str) -> pb::Video {
    let heard = watch(client, name, 0).await;
    let last = heard.last().and_then(|message| message.video.clone());
    last.expect("something is told")
}

impl Served {
    /// Asks for a video.
    pub(crate) async fn begin(&mut self, request: pb::GenerateVideoRequest) -> Result<pb::Video, Status> {
        let begun = self.client.generate_video(request).await?;
        Ok(video(begun.get_ref()))
    }

    pub(crate) async fn generate(&mut self, prompt: &str) -> pb::Video {
        self.begin(request(prompt)).await.expect("begins")
    }

    /// Why a video is not taken in.
    pub(crate) async fn refused(&mut self, request: pb::GenerateVideoRequest) -> Status {
        self.begin(request).await.expect_err("refused")
    }

    pub(crate) async fn estimate(
        &mut self,
        spec: pb::VideoSpec,
    ) -> Result<pb::EstimateVideoResponse, Status> {
        let request = pb::EstimateVideoRequest { spec: Some(spec) };
        Ok(self.client.estimate_video(request).await?.into_inner())
    }

    pub(crate) async fn get(&mut self, name: &str) -> pb::Video {
        let request = pb::GetVideoRequest {
            name: name.to_owned(),
        };
        self.client.get_video(request).await.expect("known").into_inner()
    }

    pub(crate) async fn list(&mut self, request: pb::ListVideosRequest) -> pb::ListVideosResponse {
        self.client
            .list_videos(request)
            .await
            .expect("listed")
            .into_inner()
    }

    pub(crate) async fn queue(&mut self) -> pb::GetQueueResponse {
        let queue = self.client.get_queue(pb::GetQueueRequest {}).await;
        queue.expect("told").into_inner()
    }

    pub(crate) async fn cancel(&mut self, name: &str) -> Result<pb::CancelVideoResponse, Status> {
        let request = pb::CancelVideoRequest {
            name: name.to_owned(),
        };
        Ok(self.client.cancel_video(request).await?.into_inner())
    }

    /// The file of a video from this byte on, in pieces.
    pub(crate) async fn download(&mut self, name: &str, from: u64) -> Vec<pb::DownloadVideoResponse> {
        let request = pb::DownloadVideoRequest {
            name: name.to_owned(),
            start_byte: from,
            expected_digest: String::new(),
        };
        let stream = self.client.download_video(request).await.expect("is there");
        let mut stream = stream.into_inner();
        let mut pieces = Vec::new();
        while let Some(piece) = stream.message().await.expect("goes on") {
            pieces.push(piece);
        }
        pieces
    }

    /// What a watcher hears, to the end.
    pub(crate) async fn watch(&mut self, name: &str, previews: u32) -> Vec<pb::WatchVideoResponse> {
        watch(&mut self.client, name, previews).await
    }

    /// The video when it is over.
    pub(crate) async fn ended(&mut self, name: &str) -> pb::Video {
        ended(&mut self.client, name).await
    }

    /// Waits until it is in this state.
    pub(crate) async fn until(&mut self, name: &str, state: JobState) -> pb::Video {
        let mut stream = watched(&mut self.client, name, 0).await;
        while let Some(message) = stream.message().await.expect("goes on") {
            let video = message.video.expect("a video");
            if video.state() == state {
                return video;
            }
        }
        panic!("{name} never is {state:?}");
    }

    /// Ends it in good order; what it keeps is left.
    pub(crate) async fn stop(self) -> tempfile::TempDir {
        let Self {
            client,
            running,
            folder,
        } = self;
        drop(client);
        running.trigger.drain();
        running.ended.await.expect("ends");
        folder
    }

    pub(crate) fn notes(&self) -> Vec<String> {
        stand_in::notes(self.folder.path())
    }
}

/// What pieces make.
pub(crate) fn joined(pieces: &[pb::DownloadVideoResponse]) -> Vec<u8> {
    pieces.iter().flat_map(|piece| piece.content.to_vec()).collect()
}

/// The reason of a status.
pub(crate) fn reason(status: &tonic::Status) -> String {
    use tonic_types::StatusExt;

    let details = status.get_error_details();
    details
        .error_info()
        .map(|info| info.reason.clone())
        .unwrap_or_default()
}
