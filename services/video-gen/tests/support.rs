//! A video service on a free port, with folders of its own.

use std::path::Path;

use polyphony_harness::Running;
use polyphony_proto::google::longrunning::Operation;
use polyphony_proto::types::v1::JobState;
use polyphony_proto::video::v1 as pb;
use polyphony_proto::video::v1::video_service_client::VideoServiceClient;
use polyphony_proto::video::v1::video_service_server::SERVICE_NAME;
use polyphony_video_gen::VideoGen;
use prost::Message;
use tonic::transport::Channel;

use super::stand_in;

pub(crate) type Client = VideoServiceClient<Channel>;

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
    let mut settings = settings(folder.path(), &worker);
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

impl Served {
    pub(crate) async fn generate(&mut self, prompt: &str) -> pb::Video {
        let begun = self.client.generate_video(request(prompt)).await.expect("begins");
        video(begun.get_ref())
    }

    pub(crate) async fn get(&mut self, name: &str) -> pb::Video {
        let request = pb::GetVideoRequest {
            name: name.to_owned(),
        };
        self.client.get_video(request).await.expect("known").into_inner()
    }

    /// What a watcher hears, to the end.
    pub(crate) async fn watch(&mut self, name: &str, previews: u32) -> Vec<pb::WatchVideoResponse> {
        let request = pb::WatchVideoRequest {
            name: name.to_owned(),
            preview_every_steps: Some(previews),
        };
        let mut stream = self
            .client
            .watch_video(request)
            .await
            .expect("known")
            .into_inner();
        let mut heard = Vec::new();
        while let Some(message) = stream.message().await.expect("goes on") {
            heard.push(message);
        }
        heard
    }

    /// The video when it is over.
    pub(crate) async fn ended(&mut self, name: &str) -> pb::Video {
        let heard = self.watch(name, 0).await;
        let last = heard.last().and_then(|message| message.video.clone());
        last.expect("something is told")
    }

    /// Waits until it is in this state.
    pub(crate) async fn until(&mut self, name: &str, state: JobState) -> pb::Video {
        let request = pb::WatchVideoRequest {
            name: name.to_owned(),
            preview_every_steps: None,
        };
        let mut stream = self
            .client
            .watch_video(request)
            .await
            .expect("known")
            .into_inner();
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

/// The reason of a status.
pub(crate) fn reason(status: &tonic::Status) -> String {
    use tonic_types::StatusExt;

    let details = status.get_error_details();
    details
        .error_info()
        .map(|info| info.reason.clone())
        .unwrap_or_default()
}
