//! The worker of batches: takes one from the queue, and its files one after another.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use polyphony_chassis::operations;
use polyphony_chassis::places::Places;
use polyphony_error::Fault;
use polyphony_jobs::{Error as JobsError, Held, Queue, State, Vigil, Why};
use polyphony_proto::asr::v1 as pb;
use polyphony_proto::types::v1::JobState;
use prost::Message;
use tokio::pin;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::submit;
use super::wanted::{Wanted, WantedFile};
use super::{FileState, told};
use crate::domain::{Cancel, Transcript};
use crate::recognizers::Recognizers;
use crate::render::{self, Cue};
use crate::whole::{self, Outcome, Stage};

/// What every batch needs. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Tools {
    pub(crate) recognizers: Recognizers,
    pub(crate) places: Places,
    /// The longest recording.
    pub(crate) longest: Duration,
}

/// A batch that is worked on.
struct Working<'a> {
    vigil: Vigil<'a>,
    tools: &'a Tools,
    call: String,
    files: Vec<FileState>,
    running: bool,
}

/// Works on batches, one at a time, until it is told to stop.
pub(crate) async fn work(queue: Queue, tools: Tools, stop: CancellationToken) {
    while let Some(held) = queue.next(&stop).await {
        // Boxed, for it holds all of the work.
        if let Err(error) = Box::pin(one(held, &queue, &tools, &stop)).await {
            tracing::warn!(error = %polyphony_error::chain(&error), "the end of a batch is not written");
        }
    }
}

async fn one(held: Held, queue: &Queue, tools: &Tools, stop: &CancellationToken) -> Result<(), JobsError> {
    let (wanted, call) = match submit::read(held.payload(), tools.longest) {
        Ok(read) => read,
        Err(fault) => {
            tracing::error!(job = held.job().id, error = %polyphony_error::chain(&fault), "a batch cannot be read");
            return held.fail(fault).await.map(drop);
        }
    };
    let ended = match results(&held, wanted, call, tools, stop).await {
        Ok(response) => {
            let (result, most) = (response.encode_to_vec(), queue.terms().max_result);
            if result.len() > most {
                let size = result.len();
                let text = format!(
                    "its results take {size} bytes, and one message holds {most} (asr.server.limits.max_send_message); \
                     send fewer recordings at once"
                );
                let key = "asr.server.limits.max_send_message";
                held.fail(Fault::exhausted("RESULT_TOO_LARGE", key, text, None))
                    .await
            } else {
                held.succeed(&result).await
            }
        }
        Err(why) => held.let_go(why).await,
    };
    ended.map(drop)
}

async fn results(
    held: &Held,
    wanted: Wanted,
    call: String,
    tools: &Tools,
    stop: &CancellationToken,
) -> Result<pb::BatchRecognizeResponse, Why> {
    let Wanted { files, formats, .. } = wanted;
    let mut working = Working {
        vigil: Vigil::new(held, stop),
        tools,
        call,
        files: files.iter().map(FileState::of).collect(),
        running: false,
    };
    let mut results = Vec::with_capacity(files.len());
    for (at, file) in files.into_iter().enumerate() {
        let name = file.name.clone();
        let outcome = working.recognise(at, file).await?;
        let state = if outcome.is_ok() {
            JobState::Succeeded
        } else {
            JobState::Failed
        };
        working.hear(at, state).await;
        results.push(result(name, outcome, &formats));
    }
    Ok(pb::BatchRecognizeResponse { files: results })
}

fn result(
    name: String,
    outcome: Result<Outcome, Fault>,
    formats: &[pb::OutputFormat],
) -> pb::BatchRecognizeFileResult {
    match outcome {
        Ok(Outcome { response, transcript }) => {
            let rendered = formats
                .iter()
                .map(|format| render(*format, &transcript))
                .collect();
            pb::BatchRecognizeFileResult {
                name,
                error: None,
                response: Some(response),
                rendered,
            }
        }
        Err(fault) => pb::BatchRecognizeFileResult {
            name,
            error: Some(operations::status(fault, "a file of a batch")),
            response: None,
            rendered: Vec::new(),
        },
    }
}

// === impl Working ===

impl Working<'_> {
    /// One file; when there is a reason to stop, ends when the worker has.
    async fn recognise(&mut self, at: usize, file: WantedFile) -> Result<Result<Outcome, Fault>, Why> {
        let cancel = Cancel::default();
        let working = AtomicBool::new(false);
        let (tell, mut heard) = mpsc::unbounded_channel();
        let (
            Tools {
                recognizers, places, ..
            },
            call,
        ) = (self.tools, self.call.clone());
        // Whoever no longer hears needs not be told.
        let stage = |stage| match stage {
            Stage::Decoding => working.store(true, Ordering::Relaxed),
            Stage::Loading => tell.send(JobState::Loading).unwrap_or_default(),
            Stage::Running => tell.send(JobState::Running).unwrap_or_default(),
        };
        let work = whole::recognise(file.recording, recognizers, places, &call, &cancel, stage);
        pin!(work);
        let outcome = loop {
            tokio::select! {
                // What was told before its end is heard before it.
                biased;
                Some(state) = heard.recv() => self.hear(at, state).await,
                outcome = &mut work => break outcome,
                why = self.vigil.next() => {
                    cancel.cancel();
                    // Nothing has begun for who still waits for a worker.
                    if !working.load(Ordering::Relaxed) {
                        return Err(why);
                    }
                }
            }
        };
        self.vigil.why().map_or(Ok(outcome), Err)
    }

    /// The file is in this state now; once one is at work, so is the batch.
    async fn hear(&mut self, at: usize, state: JobState) {
        if let Some(file) = self.files.get_mut(at) {
            file.state = state;
        }
        let held = self.vigil.held();
        if let Err(error) = held.say(told(&self.files)) {
            tracing::warn!(%error, "the progress of a batch is not told");
        }
        if !self.running && state != JobState::Loading {
            self.running = true;
            if let Err(error) = held.advance(State::Running).await {
                tracing::warn!(%error, "a batch at work is not told as such");
            }
        }
    }
}

fn render(format: pb::OutputFormat, transcript: &Transcript) -> pb::RenderedTranscript {
    let cues = transcript.segments.iter().map(|segment| Cue {
        start: segment.start,
        end: segment.end,
        text: &segment.text,
    });
    let content = match format {
        pb::OutputFormat::Srt => render::render(render::Format::Srt, cues),
        pb::OutputFormat::Vtt => render::render(render::Format::Vtt, cues),
        pb::OutputFormat::Unspecified => String::new(),
    };
    pb::RenderedTranscript {
        format: format.into(),
        content,
    }
}
