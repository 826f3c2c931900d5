//! `polyphony video`: make videos, watch them, cancel them, fetch them.

mod download;
mod print;
mod spec;
mod watch;

use std::process::ExitCode;

use anyhow::{Context, bail};
use polyphony_proto::google::longrunning::Operation;
use polyphony_proto::types::v1::JobState;
use polyphony_proto::video::v1 as pb;
use polyphony_proto::video::v1::video_service_client::VideoServiceClient;
use prost::Message;
use serde_json::json;
use tonic::transport::Channel;

use crate::args::{Generate, Mesh, Video, VideoCommand, VideoPriority, VideoState};
use crate::{client, output};

type Client = VideoServiceClient<Channel>;

/// Videos asked for at once.
const PAGE: u32 = 1_000;

pub(crate) async fn run(mesh: &Mesh, json: bool, args: Video) -> anyhow::Result<ExitCode> {
    let mut client = Client::new(client::connect(mesh).await?);
    match args.command {
        VideoCommand::Generate(args) => return generate(&mut client, json, *args).await,
        VideoCommand::Watch { video, preview } => {
            let video = watch::to_the_end(&mut client, json, &name(&video), preview.as_deref()).await?;
            return ended(&video);
        }
        VideoCommand::Cancel { videos } => {
            for video in videos {
                let request = pb::CancelVideoRequest { name: name(&video) };
                let cancelled = client.cancel_video(request).await?.into_inner();
                print::video(&cancelled.video.unwrap_or_default(), json)?;
            }
        }
        VideoCommand::List { state, model } => list(&mut client, json, state, model).await?,
        VideoCommand::Queue => {
            let queue = client.get_queue(pb::GetQueueRequest {}).await?.into_inner();
            print::queue(&queue, json)?;
        }
        VideoCommand::Estimate(args) => {
            let spec = spec::wire(&args);
            let request = |spec| pb::EstimateVideoRequest { spec: Some(spec) };
            let estimated = match client.estimate_video(request(spec.clone())).await {
                Err(status) if spec::may_be_dummy(&args, &status) => {
                    client.estimate_video(request(spec::dummy(spec))).await?
                }
                estimated => estimated?,
            };
            print::estimate(&estimated.into_inner(), json)?;
        }
        VideoCommand::Download { video, output } => {
            download::to_file(&mut client, json, &name(&video), &output).await?;
        }
        VideoCommand::Delete { videos } => {
            for video in videos {
                let name = name(&video);
                client
                    .delete_video(pb::DeleteVideoRequest { name: name.clone() })
                    .await?;
                if json {
                    output::object(&json!({ "deleted": name }))?;
                } else {
                    output::line(&format!("deleted {name}"))?;
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn generate(client: &mut Client, json: bool, args: Generate) -> anyhow::Result<ExitCode> {
    let priority = match args.priority {
        VideoPriority::Low => pb::Priority::Low,
        VideoPriority::Normal => pb::Priority::Normal,
        VideoPriority::High => pb::Priority::High,
    };
    let request = |spec| pb::GenerateVideoRequest {
        spec: Some(spec),
        request_id: args.request_id.clone().unwrap_or_default(),
        priority: priority.into(),
        deadline_duration: args.deadline.map(polyphony_proto::time::to_wire),
        validate_only: false,
        continue_from: None,
    };
    let spec = spec::wire(&args.spec);
    let begun = match client.generate_video(request(spec.clone())).await {
        Err(status) if spec::may_be_dummy(&args.spec, &status) => {
            client.generate_video(request(spec::dummy(spec))).await?
        }
        begun => begun?,
    };
    let video = video_of(begun.get_ref())?;
    if args.no_wait {
        print::video(&video, json)?;
        return Ok(ExitCode::SUCCESS);
    }
    output::remark(&format!(
        "{}; `polyphony video watch {0}` goes on with it if this is interrupted",
        video.name
    ));
    let video = watch::to_the_end(client, json, &video.name, args.preview.as_deref()).await?;
    if video.state() == JobState::Succeeded {
        download::to_file(client, json, &video.name, &args.output).await?;
        if video.dummy_weights {
            output::remark("note: the weights are random, so the picture means nothing");
        }
    }
    ended(&video)
}

/// The video that an operation makes.
fn video_of(operation: &Operation) -> anyhow::Result<pb::Video> {
    let metadata = operation
        .metadata
        .as_ref()
        .context("the mesh told nothing of the video")?;
    let metadata = pb::GenerateVideoMetadata::decode(metadata.value.as_slice())?;
    metadata.video.context("the mesh told nothing of the video")
}

async fn list(
    client: &mut Client,
    json: bool,
    state: Option<VideoState>,
    model: Option<String>,
) -> anyhow::Result<()> {
    let state = state.map_or(JobState::Unspecified, |state| match state {
        VideoState::Queued => JobState::Queued,
        VideoState::Loading => JobState::Loading,
        VideoState::Running => JobState::Running,
        VideoState::Succeeded => JobState::Succeeded,
        VideoState::Failed => JobState::Failed,
        VideoState::Cancelled => JobState::Cancelled,
    });
    let mut request = pb::ListVideosRequest {
        state: state.into(),
        model: model.unwrap_or_default(),
        page_size: PAGE,
        page_token: String::new(),
    };
    loop {
        let page = client.list_videos(request.clone()).await?.into_inner();
        page.videos
            .iter()
            .try_for_each(|video| print::video(video, json))?;
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return Ok(());
        }
    }
}

/// Success, or why there is none.
fn ended(video: &pb::Video) -> anyhow::Result<ExitCode> {
    match video.state() {
        JobState::Succeeded => Ok(ExitCode::SUCCESS),
        JobState::Cancelled => bail!("{} was cancelled", video.name),
        _ => {
            let why = video
                .error
                .as_ref()
                .map_or("no reason is told", |error| &error.message);
            bail!("{} failed: {why}", video.name)
        }
    }
}

/// A video by its name or by the id in it.
fn name(video: &str) -> String {
    if video.starts_with("videos/") {
        video.to_owned()
    } else {
        format!("videos/{video}")
    }
}
