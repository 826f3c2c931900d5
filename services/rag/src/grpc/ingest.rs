//! `Ingest`: documents come in piece by piece and go to the disk as they come; a document is never held in memory.

use polyphony_chassis::Caller;
use polyphony_error::{Fault, chain};
use polyphony_jobs::Job;
use polyphony_proto::rag::v1 as pb;
use polyphony_proto::rag::v1::ingest_request::Request as Message;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tonic::{Status, Streaming};

use super::{Shared, idle, out_of_order};
use crate::Error;
use crate::convert::ingest::{self, Announced, Media};
use crate::domain::Head;
use crate::ingest::Submission;
use crate::ingestions;
use crate::parse::Format;
use crate::staging::Upload;

/// The most bytes of one content message.
const MOST_CONTENT: usize = 32 << 10;

/// A document that is coming in.
struct Incoming {
    head: Head,
    upload: Upload,
    /// It came whole; more bytes are a mistake.
    is_whole: bool,
}

/// Takes documents in.
pub(super) async fn ingest(
    shared: &Shared,
    caller: &Caller,
    mut messages: Streaming<pb::IngestRequest>,
) -> Result<Job, Status> {
    let first = next(shared, &mut messages).await?;
    let Some(Message::Config(config)) = first else {
        let problem = "is missing; the first message says where documents go";
        return Err(out_of_order("config", problem).into());
    };
    let config = ingest::config(config)?;
    let scope = shared
        .store
        .scope(caller, &config.space)
        .await
        .map_err(Fault::from)?;
    let most = shared.config.max_documents;
    let mut taken: Vec<Submission> = Vec::new();
    let mut open: Option<Incoming> = None;
    while let Some(message) = next(shared, &mut messages).await? {
        match message {
            Message::Config(_) => {
                return Err(out_of_order("config", "must be the first message, and only the first").into());
            }
            Message::Document(head) => {
                if taken.len() + usize::from(open.is_some()) >= most {
                    let text = format!(
                        "an ingestion has at most {most} documents (rag.max_documents); begin another"
                    );
                    return Err(
                        Fault::exhausted("TOO_MANY_DOCUMENTS", "rag.max_documents", text, None).into(),
                    );
                }
                taken.extend(finish(open.take()).await?);
                open = Some(announce(shared, head, &config.tags).await?);
            }
            Message::Content(bytes) => {
                let Some(open) = &mut open else {
                    return Err(out_of_order("content", "comes before its document is announced").into());
                };
                if open.is_whole {
                    let problem = "comes after a document that was given as media; begin another document";
                    return Err(out_of_order("content", problem).into());
                }
                if bytes.len() > MOST_CONTENT {
                    return Err(out_of_order("content", "must have at most 32 KiB a message").into());
                }
                open.upload.write(&bytes).map_err(Fault::from)?;
            }
        }
    }
    taken.extend(finish(open.take()).await?);
    if taken.is_empty() {
        return Err(out_of_order("document", "is missing; send at least one document").into());
    }
    let ingest::Config {
        request_id, policy, ..
    } = config;
    let ingestions = shared.ingestions.clone();
    // What is refused here leaves nothing in the ledger.
    let room = ingestions.queue().admits(scope.owner(), &request_id).await;
    room.map_err(Fault::from)?;
    let (of, id) = (scope.clone(), request_id.clone());
    // First the ledger, then the queue: what was told of is in both, and a job's documents are there.
    let watched = async move |documents| {
        crate::fault::point("before_queue");
        let job = ingestions::submit(&ingestions, &of, id, documents).await?;
        crate::fault::point("after_queue");
        Ok::<_, Error>(job)
    };
    let job = shared.store.admit(&scope, taken, policy, &request_id, watched);
    Ok(job.await.map_err(Fault::from)?)
}

/// The next message of the client; none at its end.
async fn next(
    shared: &Shared,
    messages: &mut Streaming<pb::IngestRequest>,
) -> Result<Option<Message>, Status> {
    let patience = shared.config.stream_idle.get();
    let message = timeout(patience, messages.message())
        .await
        .map_err(|_| idle("rag.stream_idle", patience))??;
    let Some(pb::IngestRequest { request }) = message else {
        return Ok(None);
    };
    let request = request.ok_or_else(|| {
        Fault::invalid(
            "request",
            "is empty; set config, document or content in every message",
        )
    })?;
    Ok(Some(request))
}

/// A document begins.
async fn announce(shared: &Shared, head: pb::DocumentHead, tags: &[String]) -> Result<Incoming, Fault> {
    let is_known = |media_type: &str| Format::find(media_type, "", b"").is_ok();
    let Announced { head, media } = ingest::document(head, tags, is_known)?;
    let mut upload = shared.store.upload()?;
    let is_whole = media.is_some();
    match media {
        None => {}
        Some(Media::Inline(bytes)) => upload.write(&bytes)?,
        Some(Media::Uri(uri)) => {
            let write = |bytes: &[u8]| upload.write(bytes).map_err(Fault::from);
            let fetched = shared.fetcher.fetch(&uri, write).await;
            if let Err(fault) = &fetched {
                tracing::info!(error = %chain(fault), "a document was not fetched");
            }
            fetched?;
        }
    }
    Ok(Incoming {
        head,
        upload,
        is_whole,
    })
}

/// A document is complete.
async fn finish(open: Option<Incoming>) -> Result<Option<Submission>, Fault> {
    let Some(Incoming { head, upload, .. }) = open else {
        return Ok(None);
    };
    if upload.size() == 0 {
        return Err(out_of_order(
            "content",
            "is missing; a document has at least one byte",
        ));
    }
    let kept = spawn_blocking(move || upload.finish())
        .await
        .map_err(Fault::internal)??;
    Ok(Some(Submission { head, kept }))
}
