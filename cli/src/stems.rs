//! `polyphony stems`: a mix taken apart into files, a stem a file.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use polyphony_proto::analysis::v1 as pb;
use polyphony_proto::analysis::v1::analysis_service_client::AnalysisServiceClient;
use polyphony_proto::analysis::v1::separate_response::Event;
use serde_json::json;
use tokio_stream::{Stream, StreamExt};
use tonic::Status;

use crate::args::{Mesh, Stems};
use crate::source::{self, Input};
use crate::whole_file::WholeFile;
use crate::{client, output, wire};

/// The files of the stems; they appear when all are complete.
struct Files {
    folder: PathBuf,
    open: BTreeMap<String, WholeFile>,
}

pub(crate) async fn run(mesh: &Mesh, json: bool, args: Stems) -> anyhow::Result<ExitCode> {
    let audio = source::open(&args.audio, source::MOST_WHOLE)?;
    fs::create_dir_all(&args.output).with_context(|| format!("cannot make {}", args.output.display()))?;
    client::within(args.timeout, async {
        let mut analysis = AnalysisServiceClient::new(client::connect(mesh).await?);
        let config = config(&args);
        let mut files = Files::new(&args.output);
        match audio {
            Input::Whole(bytes) => {
                let request = pb::SeparateRequest {
                    config: Some(config),
                    audio: source::inline(bytes),
                };
                let events = analysis
                    .separate(client::request(request, args.timeout))
                    .await?
                    .into_inner();
                files
                    .receive(events.map(|response| response.map(Some)), json)
                    .await?;
            }
            Input::Pieces(pieces) => {
                use pb::streaming_separate_request::Request as Message;
                let (messages, failure) = source::messages(vec![Message::Config(config)], pieces, |bytes| {
                    Message::Audio(bytes.into())
                });
                let messages = messages.map(|request| pb::StreamingSeparateRequest {
                    request: Some(request),
                });
                let streamed = async {
                    let request = client::request(messages, args.timeout);
                    let events = analysis.streaming_separate(request).await?.into_inner();
                    files
                        .receive(events.map(|response| response.map(|it| it.response)), json)
                        .await
                };
                failure.explain(streamed.await)?;
            }
        }
        files.keep(json)?;
        Ok(ExitCode::SUCCESS)
    })
    .await
}

fn config(args: &Stems) -> pb::SeparationConfig {
    pb::SeparationConfig {
        model: args.model.clone().unwrap_or_default(),
        explicit_decoding: args.raw.decoding(),
        stems: args.stems.clone(),
        include_rest: args.rest.then_some(true),
        overlap: args.overlap,
        shifts: args.shifts,
        stem_encoding: pb::StemEncoding::Flac.into(),
        ..Default::default()
    }
}

fn progress_bar(json: bool) -> ProgressBar {
    let target = if json {
        ProgressDrawTarget::hidden()
    } else {
        ProgressDrawTarget::stderr()
    };
    let bar = ProgressBar::with_draw_target(None, target);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} s") {
        bar.set_style(style);
    }
    bar
}

// === impl Files ===

impl Files {
    fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            open: BTreeMap::new(),
        }
    }

    async fn receive(
        &mut self,
        mut events: impl Stream<Item = Result<Option<pb::SeparateResponse>, Status>> + Unpin,
        json: bool,
    ) -> anyhow::Result<()> {
        let bar = progress_bar(json);
        let mut ended = false;
        while let Some(response) = events.next().await {
            match response?.and_then(|response| response.event) {
                Some(Event::Ready(ready)) => {
                    for stem in ready.stems {
                        self.begin(stem)?;
                    }
                    if let Some(remark) = ready.receipt.and_then(wire::degraded) {
                        output::remark(&remark);
                    }
                }
                Some(Event::Chunk(chunk)) => {
                    let file = self.open.get_mut(&chunk.stem).with_context(|| {
                        format!("the mesh sent a stem that it did not name: {}", chunk.stem)
                    })?;
                    file.write_all(&chunk.audio_content)
                        .with_context(|| format!("cannot write {}", file.place().display()))?;
                }
                Some(Event::Progress(progress)) => {
                    if let Some(total) = progress.total_duration {
                        bar.set_length(wire::duration(Some(total)).as_secs());
                    }
                    bar.set_position(wire::duration(progress.done_duration).as_secs());
                }
                Some(Event::Ended(_)) => ended = true,
                None => {}
            }
        }
        bar.finish_and_clear();
        if !ended {
            bail!("the separation broke off: the mesh ended it without saying how");
        }
        Ok(())
    }

    fn begin(&mut self, stem: String) -> anyhow::Result<()> {
        // The name comes from elsewhere; it must not leave the folder.
        let plain = !stem.is_empty()
            && stem
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
        if !plain {
            bail!("the mesh named a stem that cannot be a file: {stem:?}");
        }
        let file = WholeFile::create(&self.folder.join(format!("{stem}.flac")))?;
        self.open.insert(stem, file);
        Ok(())
    }

    /// Puts them into their places and says where.
    fn keep(self, json: bool) -> anyhow::Result<()> {
        for (stem, file) in self.open {
            let place = file.place().to_owned();
            file.keep()?;
            if json {
                output::object(&json!({ "stem": stem, "file": place }))?;
            } else {
                output::line(&place.display().to_string())?;
            }
        }
        Ok(())
    }
}
