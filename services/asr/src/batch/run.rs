//! The task of a batch: its turn, its files one after another, its end.

use std::sync::atomic::{AtomicBool, Ordering};

use polyphony_error::{Fault, Kind};
use polyphony_proto::asr::v1 as pb;
use polyphony_proto::google::rpc;
use prost::Message;
use tokio::pin;
use tokio::sync::Semaphore;

use super::record::{Record, State};
use super::wanted::{Wanted, WantedFile};
use crate::domain::{Cancel, Transcript};
use crate::recognizers::Recognizers;
use crate::render::{self, Cue};
use crate::whole::{self, Outcome, Stage};
use polyphony_chassis::places::Places;

/// Ends the record of a task that ends before its work, as by a panic: somebody may wait for it.
struct Unfinished<'a>(&'a Record);

/// Works through a batch.
pub(super) async fn run(
    turns: &Semaphore,
    record: &Record,
    wanted: Wanted,
    recognizers: &Recognizers,
    places: &Places,
    call: &str,
) {
    let _unfinished = Unfinished(record);
    let Wanted { files, formats, .. } = wanted;
    let turn = tokio::select! {
        turn = turns.acquire() => turn,
        () = record.stop.cancelled() => return record.end(State::Cancelled, Err(cancelled())),
    };
    let Ok(_turn) = turn else {
        return record.end(State::Failed, Err(wire(Fault::internal("no more turns"))));
    };
    let mut results = Vec::with_capacity(files.len());
    for (at, file) in files.into_iter().enumerate() {
        let name = file.name.clone();
        let outcome = recognise(record, at, file, recognizers, places, call).await;
        if record.stop.is_cancelled() {
            return record.end(State::Cancelled, Err(cancelled()));
        }
        let result = match outcome {
            Ok(Outcome { response, transcript }) => {
                record.advance(at, State::Succeeded);
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
                record.advance(at, State::Failed);
                pb::BatchRecognizeFileResult {
                    name,
                    error: Some(wire(fault)),
                    response: None,
                    rendered: Vec::new(),
                }
            }
        };
        results.push(result);
    }
    record.end(
        State::Succeeded,
        Ok(pb::BatchRecognizeResponse { files: results }),
    );
}

/// One file; when asked to stop, ends when the worker has.
async fn recognise(
    record: &Record,
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
        Stage::Loading => record.advance(at, State::Loading),
        Stage::Running => record.advance(at, State::Running),
    };
    let work = whole::recognise(file.recording, recognizers, places, call, &cancel, stage);
    pin!(work);
    tokio::select! {
        outcome = &mut work => return outcome,
        () = record.stop.cancelled() => cancel.cancel(),
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

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.0.is_done() {
            let fault = Fault::unavailable("BATCH_ABANDONED", "the work on this batch broke off; ask again");
            self.0.end(State::Failed, Err(wire(fault)));
        }
    }
}

fn cancelled() -> rpc::Status {
    wire(Fault::new(
        Kind::Cancelled,
        "CANCELLED",
        "the batch was cancelled",
    ))
}

/// A fault as it stands in a message.
fn wire(fault: Fault) -> rpc::Status {
    if fault.kind.is_ours() {
        // Nobody above sees it as the status of a call.
        tracing::error!(error = %polyphony_error::chain(&fault), "a file of a batch failed");
    }
    let status = tonic::Status::from(fault);
    rpc::Status::decode(status.details()).unwrap_or_else(|_| rpc::Status {
        code: status.code().into(),
        message: status.message().to_owned(),
        details: Vec::new(),
    })
}
