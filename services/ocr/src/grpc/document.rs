//! `StreamDocument`: page by page, in order. A page that fails is told and does not end the stream.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;
use polyphony_chassis::operations;
use polyphony_chassis::places::StreamPlace;
use polyphony_error::{Fault, Kind};
use polyphony_inference::{Cancel, CancelOnDrop};
use polyphony_proto::ocr::v1 as pb;
use polyphony_proto::ocr::v1::stream_document_response::Event;
use tokio::sync::mpsc;
use tokio::task;
use tonic::Status;

use super::told;
use crate::convert::response;
use crate::job::{Job, Running, Tools};

/// What the client reads. When it goes away, the work stops.
#[derive(Debug)]
pub(crate) struct Replies {
    replies: mpsc::Receiver<Result<pb::StreamDocumentResponse, Status>>,
    _abandon: CancelOnDrop,
}

type Outbox = mpsc::Sender<Result<pb::StreamDocumentResponse, Status>>;

/// Pages that are read ahead of a client who is slow to take them.
const AHEAD: usize = 2;

/// Why a stream ends before its end.
enum Stop {
    /// Nobody reads any more.
    Gone,
    /// The client is told.
    Failed(Fault),
}

/// Reads a document.
pub(super) fn stream(job: Job, tools: Tools, place: StreamPlace) -> Replies {
    let (outbox, replies) = mpsc::channel(AHEAD);
    let cancel = Cancel::default();
    let abandon = cancel.on_drop();
    task::spawn_blocking(move || {
        let _place = place;
        match serve(job, &tools, &outbox, &cancel) {
            Ok(()) | Err(Stop::Gone) => {}
            // If nobody reads any more, nobody needs to know.
            Err(Stop::Failed(fault)) => drop(outbox.blocking_send(Err(told(fault)))),
        }
    });
    Replies {
        replies,
        _abandon: abandon,
    }
}

fn serve(job: Job, tools: &Tools, outbox: &Outbox, cancel: &Cancel) -> Result<(), Stop> {
    let mut running = job
        .start(tools, cancel, |_| Ok(()), &|_| {})
        .map_err(Stop::Failed)?;
    send(
        outbox,
        Event::Opened(pb::DocumentOpened {
            page_count: u32::try_from(running.pages.len()).unwrap_or(u32::MAX),
            media_type: running.media_type().mime().to_owned(),
            effective_config: Some(running.plan.effective.clone()),
            receipt: Some(running.receipt()),
        }),
    )?;
    let (mut succeeded, mut failed) = (0, 0);
    for number in running.pages.clone() {
        let result = page(&mut running, number, tools)?;
        if result.error.is_none() {
            succeeded += 1;
        } else {
            failed += 1;
        }
        send(outbox, Event::Page(result))?;
    }
    send(
        outbox,
        Event::Completed(pb::DocumentCompleted {
            succeeded_pages: succeeded,
            failed_pages: failed,
            receipt: Some(running.receipt()),
        }),
    )
}

fn page(running: &mut Running, number: u32, tools: &Tools) -> Result<pb::PageResult, Stop> {
    match running.page_in_turn(number, &tools.places) {
        Ok(page) => Ok(pb::PageResult {
            page_number: number,
            error: None,
            text: page.reading.text(),
            rendered: response::rendered(&running.plan.formats, &[&page]),
            page: Some(response::page(&page, 0)),
        }),
        Err(fault) if fault.kind == Kind::Cancelled => Err(Stop::Gone),
        Err(fault) => Ok(pb::PageResult {
            page_number: number,
            error: Some(operations::status(fault, "a page")),
            ..pb::PageResult::default()
        }),
    }
}

fn send(outbox: &Outbox, event: Event) -> Result<(), Stop> {
    let reply = pb::StreamDocumentResponse { event: Some(event) };
    outbox.blocking_send(Ok(reply)).map_err(|_| Stop::Gone)
}

impl Stream for Replies {
    type Item = Result<pb::StreamDocumentResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.replies.poll_recv(context)
    }
}
