//! `ExportSpace` and `ImportSpace`: an archive in pieces, out and in. Neither is held in memory.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use polyphony_chassis::Caller;
use polyphony_chassis::places::StreamPlace;
use polyphony_error::Fault;
use polyphony_proto::google::rpc;
use polyphony_proto::rag::v1 as pb;
use polyphony_proto::rag::v1::export_space_response::Event;
use polyphony_proto::rag::v1::import_space_request::Request as Message;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Code, Status, Streaming};

use super::{Shared, idle, out_of_order, told};
use crate::archive::{ArchiveEnd, Piece};
use crate::convert::archive;
use crate::domain::Space;
use crate::{Scope, Store};

/// What the client reads. When it goes away, the work stops.
#[derive(Debug)]
pub(crate) struct Replies {
    pieces: mpsc::Receiver<Result<pb::ExportSpaceResponse, Status>>,
    _work: AbortOnDropHandle<()>,
}

/// Pieces that wait for a client who is slow to take them.
const AHEAD: usize = 16;
/// The most bytes of one content message.
const MOST_CONTENT: usize = 32 << 10;

/// Sends a space as an archive. A client that takes nothing for `patience` loses it, for it holds a reader of the ledger; what
/// it has then breaks off, and is not valid.
pub(super) async fn export(
    store: Store,
    scope: Scope,
    with_vectors: bool,
    patience: Duration,
    place: StreamPlace,
) -> Result<Replies, Fault> {
    let mut export = store.export(&scope, !with_vectors).await?;
    let (outbox, pieces) = mpsc::channel(AHEAD);
    let work = tokio::spawn(async move {
        let _place = place;
        loop {
            let (event, is_last) = match export.next().await {
                Ok(Some(Piece::Bytes(bytes))) => (Ok(Event::Content(bytes.into())), false),
                Ok(Some(Piece::End(end))) => (Ok(Event::End(wire(end))), false),
                Ok(None) => return,
                // An archive that breaks off is not valid, and says so.
                Err(error) => (Err(told(error.into())), true),
            };
            let message = event.map(|event| pb::ExportSpaceResponse { event: Some(event) });
            let sent = timeout(patience, outbox.send(message)).await;
            if is_last || !matches!(sent, Ok(Ok(()))) {
                return;
            }
        }
    });
    Ok(Replies {
        pieces,
        _work: AbortOnDropHandle::new(work),
    })
}

/// Makes a space of an archive.
pub(super) async fn import(
    shared: &Shared,
    caller: &Caller,
    mut messages: Streaming<pb::ImportSpaceRequest>,
) -> Result<Space, Status> {
    let Some(Message::Config(config)) = next(shared, &mut messages).await? else {
        return Err(out_of_order("config", "is missing; the first message says how to import").into());
    };
    let wanted = archive::import(config)?;
    let mut upload = shared.store.upload_archive().map_err(Fault::from)?;
    let end = loop {
        match next(shared, &mut messages).await? {
            Some(Message::Content(bytes)) if bytes.len() > MOST_CONTENT => {
                return Err(out_of_order("content", "must have at most 32 KiB a message").into());
            }
            Some(Message::Content(bytes)) => upload.write(&bytes).map_err(Fault::from)?,
            Some(Message::End(end)) => break end,
            Some(Message::Config(_)) => {
                let problem = "must be the first message, and only the first";
                return Err(out_of_order("config", problem).into());
            }
            None => return Err(out_of_order("end", "is missing; the archive broke off").into()),
        }
    };
    if next(shared, &mut messages).await?.is_some() {
        return Err(out_of_order("end", "must be the last message").into());
    }
    let finished = spawn_blocking(move || upload.finish())
        .await
        .map_err(Fault::internal)?;
    let kept = finished.map_err(Fault::from)?;
    let pb::ArchiveEnd { size_bytes, digest } = end;
    let made = shared
        .store
        .import(
            caller,
            wanted.space.as_deref(),
            &wanted.request_id,
            kept,
            &ArchiveEnd { size_bytes, digest },
        )
        .await;
    made.map_err(|error| refused(error.into()))
}

/// An archive that is not what was sent is DATA_LOSS, as the contract says. Our faults know no such kind, for nothing else
/// is.
fn refused(fault: Fault) -> Status {
    let is_lost = fault.reason == "ARCHIVE_DIFFERS";
    let status = Status::from(fault);
    if !is_lost {
        return status;
    }
    let mut details = rpc::Status::decode(status.details()).unwrap_or_default();
    details.code = Code::DataLoss.into();
    let message = status.message().to_owned();
    Status::with_details(Code::DataLoss, message, details.encode_to_vec().into())
}

/// The next message of the client; none at its end.
async fn next(
    shared: &Shared,
    messages: &mut Streaming<pb::ImportSpaceRequest>,
) -> Result<Option<Message>, Status> {
    let patience = shared.config.stream_idle.get();
    let message = timeout(patience, messages.message())
        .await
        .map_err(|_| idle("rag.stream_idle", patience))??;
    let Some(pb::ImportSpaceRequest { request }) = message else {
        return Ok(None);
    };
    let empty = || Fault::invalid("request", "is empty; set config, content or end in every message");
    Ok(Some(request.ok_or_else(empty)?))
}

fn wire(end: ArchiveEnd) -> pb::ArchiveEnd {
    let ArchiveEnd { size_bytes, digest } = end;
    pb::ArchiveEnd { size_bytes, digest }
}

// === impl Replies ===

impl Stream for Replies {
    type Item = Result<pb::ExportSpaceResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.pieces.poll_recv(cx)
    }
}
