//! The task of a batch: its documents one after another.

use std::sync::Arc;

use polyphony_chassis::operations::{self, Operation};
use polyphony_config::ByteSize;
use polyphony_error::{Fault, Kind};
use polyphony_inference::Cancel;
use polyphony_proto::ocr::v1 as pb;
use polyphony_proto::types::v1::JobState;
use prost::Message;
use tokio::task;

use super::wanted::{Wanted, WantedDocument};
use super::{Batch, Batches, DocumentState};
use crate::convert::response;
use crate::job::{Job, Stage, Tools};

/// Of the largest message, what the operation needs besides its results.
const MARGIN: u64 = 64 << 10;

/// Begins a batch, or finds the one that was begun with the same `request_id`. Its results have to fit into a message of
/// `largest` bytes.
pub(crate) fn begin(
    batches: &Batches,
    wanted: Wanted,
    tools: Tools,
    largest: ByteSize,
) -> Result<Arc<Operation<Batch>>, Fault> {
    let Wanted {
        request_id,
        documents,
    } = wanted;
    let states = documents
        .iter()
        .map(|document| DocumentState::new(document.name.clone(), document.job.bytes.len() as u64))
        .collect();
    batches.begin(&request_id, states, async move |operation| {
        let mut results = Vec::with_capacity(documents.len());
        let mut room = largest.bytes().saturating_sub(MARGIN);
        for (at, WantedDocument { name, job }) in documents.into_iter().enumerate() {
            let read = read(Arc::clone(&operation), at, job, tools.clone()).await;
            if operation.is_cancelled() {
                break;
            }
            let mut result = match read {
                Ok(result) => result,
                Err(fault) => failure(fault),
            };
            let size = result.encoded_len() as u64;
            if size > room {
                let text = format!(
                    "its result takes {} more than one message holds (ocr.server.limits.max_send_message is {largest}); StreamDocument gives it page by page",
                    ByteSize::kib((size - room).div_ceil(1024)),
                );
                result = failure(Fault::exhausted(
                    "RESULT_TOO_LARGE",
                    "ocr.server.limits.max_send_message",
                    text,
                    None,
                ));
            }
            room = room.saturating_sub(result.encoded_len() as u64);
            let state = if result.error.is_none() {
                JobState::Succeeded
            } else {
                JobState::Failed
            };
            change(&operation, at, |document| document.state = state);
            results.push(pb::BatchDocumentResult { name, ..result });
        }
        Ok(pb::BatchProcessResponse { documents: results })
    })
}

fn failure(fault: Fault) -> pb::BatchDocumentResult {
    pb::BatchDocumentResult {
        error: Some(operations::status(fault, "a document of a batch")),
        ..pb::BatchDocumentResult::default()
    }
}

/// One document; when asked to stop, ends when the work has.
async fn read(
    operation: Arc<Operation<Batch>>,
    at: usize,
    job: Job,
    tools: Tools,
) -> Result<pb::BatchDocumentResult, Fault> {
    let cancel = Cancel::default();
    let (flag, reported) = (cancel.clone(), Arc::clone(&operation));
    let mut work = task::spawn_blocking(move || read_pages(&reported, at, job, &tools, &flag));
    let ended = tokio::select! {
        ended = &mut work => ended,
        () = operation.cancelled() => {
            cancel.cancel();
            work.await
        }
    };
    ended.map_err(Fault::internal)?
}

fn read_pages(
    operation: &Operation<Batch>,
    at: usize,
    job: Job,
    tools: &Tools,
    cancel: &Cancel,
) -> Result<pb::BatchDocumentResult, Fault> {
    let stage = |stage| {
        let state = match stage {
            Stage::Loading => JobState::Loading,
            Stage::Running => JobState::Running,
        };
        operation.advance(state, |documents| {
            if let Some(document) = documents.get_mut(at) {
                document.state = state;
            }
        });
    };
    let mut running = job.start(tools, cancel, |_| Ok(()), &stage)?;
    let total = u32::try_from(running.pages.len()).unwrap_or(u32::MAX);
    change(operation, at, |document| document.total_pages = total);
    let (mut pages, mut page_errors) = (Vec::new(), Vec::new());
    for number in running.pages.clone() {
        match running.page_in_turn(number, &tools.places) {
            Ok(page) => pages.push(page),
            Err(fault) if fault.kind == Kind::Cancelled => return Err(fault),
            Err(fault) => page_errors.push(pb::PageError {
                page_number: number,
                error: Some(operations::status(fault, "a page")),
            }),
        }
        change(operation, at, |document| document.done_pages += 1);
    }
    let media_type = running.media_type().mime();
    Ok(pb::BatchDocumentResult {
        name: String::new(),
        error: None,
        document: Some(response::document(
            media_type,
            &pages,
            page_errors,
            &running.plan.formats,
        )),
        receipt: Some(running.receipt()),
    })
}

/// Something about a document changed, while the batch is at work.
fn change(operation: &Operation<Batch>, at: usize, change: impl FnOnce(&mut DocumentState)) {
    operation.advance(JobState::Running, |documents| {
        if let Some(document) = documents.get_mut(at) {
            change(document);
        }
    });
}
