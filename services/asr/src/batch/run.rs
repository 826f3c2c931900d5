//! The task of a batch: its files one after another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use polyphony_chassis::operations::{self, Operation};
use polyphony_chassis::places::Places;
use polyphony_error::Fault;
use polyphony_proto::asr::v1 as pb;
use polyphony_proto::types::v1::JobState;
use tokio::pin;

use super::wanted::{Wanted, WantedFile};
use super::{Batch, Batches, FileState};
use crate::domain::{Cancel, Transcript};
use crate::recognizers::Recognizers;
use crate::render::{self, Cue};
use crate::whole::{self, Outcome, Stage};

/// Begins a batch, or finds the one that was begun with the same `request_id`.
pub(crate) fn begin(
    batches: &Batches,
    wanted: Wanted,
    recognizers: Recognizers,
    places: Places,
    call: String,
) -> Result<Arc<Operation<Batch>>, Fault> {
    let Wanted {
        request_id,
        files,
        formats,
    } = wanted;
    let states = files
        .iter()
        .map(|file| FileState::new(file.name.clone(), file.recording.bytes.len() as u64))
        .collect();
    batches.begin(&request_id, states, async move |operation| {
        let mut results = Vec::with_capacity(files.len());
        for (at, file) in files.into_iter().enumerate() {
            let name = file.name.clone();
            let outcome = recognise(&operation, at, file, &recognizers, &places, &call).await;
            if operation.is_cancelled() {
                break;
            }
            results.push(result(&operation, at, name, outcome, &formats));
        }
        Ok(pb::BatchRecognizeResponse { files: results })
    })
}

fn result(
    operation: &Operation<Batch>,
    at: usize,
    name: String,
    outcome: Result<Outcome, Fault>,
    formats: &[pb::OutputFormat],
) -> pb::BatchRecognizeFileResult {
    match outcome {
        Ok(Outcome { response, transcript }) => {
            advance(operation, at, JobState::Succeeded);
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
        Err(fault) => {
            advance(operation, at, JobState::Failed);
            pb::BatchRecognizeFileResult {
                name,
                error: Some(operations::status(fault, "a file of a batch")),
                response: None,
                rendered: Vec::new(),
            }
        }
    }
}

/// The file is in this state now; where it is at work, so is the batch.
fn advance(operation: &Operation<Batch>, at: usize, state: JobState) {
    let of_batch = match state {
        JobState::Loading => JobState::Loading,
        _ => JobState::Running,
    };
    operation.advance(of_batch, |files| {
        if let Some(file) = files.get_mut(at) {
            file.state = state;
        }
    });
}

/// One file; when asked to stop, ends when the worker has.
async fn recognise(
    operation: &Operation<Batch>,
    at: usize,
    file: WantedFile,
    recognizers: &Recognizers,
    places: &Places,
    call: &str,
) -> Result<Outcome, Fault> {
    let cancel = Cancel::default();
    let working = AtomicBool::new(false);
    let stage = |stage| match stage {
        Stage::Decoding => working.store(true, Ordering::Relaxed),
        Stage::Loading => advance(operation, at, JobState::Loading),
        Stage::Running => advance(operation, at, JobState::Running),
    };
    let work = whole::recognise(file.recording, recognizers, places, call, &cancel, stage);
    pin!(work);
    tokio::select! {
        outcome = &mut work => return outcome,
        () = operation.cancelled() => cancel.cancel(),
    }
    // Nothing has begun for who still waits for a worker.
    if working.load(Ordering::Relaxed) {
        work.await
    } else {
        Err(crate::Error::Cancelled.into())
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
