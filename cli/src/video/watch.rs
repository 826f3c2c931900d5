//! Watching a video being made: a bar on a terminal, a line for each change in JSON.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use polyphony_proto::types::v1::JobState;
use polyphony_proto::video::v1 as pb;
use tonic::Code;

use super::{Client, print};
use crate::output;
use crate::wire::duration;

/// A watch that broke is taken up again, for the video goes on; so often in a row without a word.
const RETRIES: u32 = 5;

/// The video when it is over.
pub(super) async fn to_the_end(
    client: &mut Client,
    json: bool,
    name: &str,
    preview: Option<&Path>,
) -> anyhow::Result<pb::Video> {
    let bar = bar(json);
    let mut broken = 0;
    loop {
        match once(client, json, name, preview, &bar, &mut broken).await {
            Ok(video) => {
                bar.finish_and_clear();
                return Ok(video);
            }
            Err(error) if broken < RETRIES && is_passing(&error) => {
                broken += 1;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            Err(error) => return Err(error),
        }
    }
}

fn is_passing(error: &anyhow::Error) -> bool {
    let status = error.downcast_ref::<tonic::Status>();
    status.is_some_and(|status| matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded))
}

async fn once(
    client: &mut Client,
    json: bool,
    name: &str,
    preview: Option<&Path>,
    bar: &ProgressBar,
    broken: &mut u32,
) -> anyhow::Result<pb::Video> {
    let request = pb::WatchVideoRequest {
        name: name.to_owned(),
        preview_every_steps: Some(u32::from(preview.is_some())),
    };
    let mut changes = client.watch_video(request).await?.into_inner();
    let mut last = None;
    while let Some(change) = changes.message().await? {
        *broken = 0;
        if let Some(path) = preview.filter(|_| !change.preview_image.is_empty()) {
            let written = fs::write(path, &change.preview_image);
            written.with_context(|| format!("cannot write {}", path.display()))?;
        }
        let Some(video) = change.video else { continue };
        if json {
            output::object(&print::object(&video))?;
        }
        show(bar, &video);
        last = Some(video);
    }
    last.context("the mesh ended the watch without a word")
}

fn show(bar: &ProgressBar, video: &pb::Video) {
    let state = match video.state() {
        JobState::Queued => video.queue.as_ref().map_or_else(
            || "queued".to_owned(),
            |queue| match queue.estimated_wait_duration {
                Some(wait) => format!("{} before it, some {:.0?}", queue.position, duration(Some(wait))),
                None => format!("{} before it", queue.position),
            },
        ),
        JobState::Loading => "loading the model".to_owned(),
        JobState::Running => match &video.progress {
            Some(progress) => {
                let stage = print::stage(progress.stage());
                match progress.remaining_duration {
                    Some(left) => format!("{stage}, {:.0?} left", duration(Some(left))),
                    None => stage.to_owned(),
                }
            }
            None => "begun".to_owned(),
        },
        state => print::state(state).to_owned(),
    };
    if let Some(progress) = &video.progress {
        bar.set_length(u64::from(progress.total_steps));
        bar.set_position(u64::from(progress.step));
    }
    bar.set_message(state);
}

/// On a terminal; none in a pipe.
fn bar(json: bool) -> ProgressBar {
    if json || !output::is_watched() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{bar:30} step {pos}/{len}  {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
