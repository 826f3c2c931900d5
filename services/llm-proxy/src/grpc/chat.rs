//! One answer as a stream of messages: on its own, or joined by its request id.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use polyphony_error::Fault;
use polyphony_proto::llm::v1 as pb;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;

use super::{Call, Llm};
use crate::cache::Key;
use crate::chat::{self, Job, Told};
use crate::convert::request::Asked;
use crate::convert::response;

/// What the client reads. Dropping it ends the work, and with it the connection to the upstream.
#[derive(Debug)]
pub(crate) struct Replies<T> {
    inbox: mpsc::Receiver<Result<T, Status>>,
    _work: AbortOnDropHandle<()>,
}

/// Messages held for a client that is behind; then the upstream is read no more.
pub(super) const OUTBOX: usize = 32;

/// Begins an answer, or joins it.
pub(super) fn open(
    llm: &Llm,
    call: Call,
    request: pb::ChatRequest,
) -> Result<Replies<pb::ChatResponse>, Fault> {
    let asked = Asked::parse(request, "")?;
    let id = asked.request_id.clone();
    let job = job(&call, asked);
    if id.is_empty() {
        return Ok(alone(llm, job));
    }
    let key = Key::of_ask(&job.who, &job.ask.model, &job.ask);
    let who = job.who.name().to_owned();
    let (tape, is_new) = llm.joins.join(&who, &id, key)?;
    if is_new {
        // The one who writes must not keep it: it is ended when nobody reads.
        let written = Arc::downgrade(&tape);
        let (joins, answer) = (Arc::clone(&llm.joins), alone(llm, job));
        let work = tokio::spawn(async move {
            // All of it: a block takes only the fields that it names.
            let mut answer = answer;
            let mut went_well = true;
            while let Some(event) = answer.inbox.recv().await {
                went_well = event.is_ok();
                let Some(tape) = written.upgrade() else { return };
                tape.push(event);
            }
            if let Some(tape) = written.upgrade() {
                joins.ended(&who, &id, &tape, went_well);
            }
        });
        tape.written_by(AbortOnDropHandle::new(work));
    }
    let (inbox, reading) = tape.read();
    Ok(Replies {
        inbox,
        _work: reading,
    })
}

/// What is to be done for a request.
pub(super) fn job(call: &Call, asked: Asked) -> Job {
    let Asked {
        ask,
        preference,
        cache,
        request_id: _,
        path,
    } = asked;
    Job {
        ask: Arc::new(ask),
        path,
        preference,
        cache,
        who: call.who.clone(),
        id: call.id.clone(),
        deadline: call.deadline,
        cancel: CancellationToken::new(),
    }
}

/// An answer that nobody joins.
fn alone(llm: &Llm, job: Job) -> Replies<pb::ChatResponse> {
    let (outbox, inbox) = mpsc::channel(OUTBOX);
    let proxy = Arc::clone(&llm.proxy);
    let work = tokio::spawn(async move {
        let (out, mut told) = mpsc::channel::<Result<Told, Fault>>(OUTBOX);
        let id = job.id.clone();
        let forward = async {
            while let Some(event) = told.recv().await {
                let event = event.map(|told| response::event(told, &id)).map_err(Status::from);
                if outbox.send(event).await.is_err() {
                    return;
                }
            }
        };
        let answer = async {
            // Moved in, so that the channel closes with the answer.
            let out = out;
            Box::pin(chat::run(&proxy, &job, &out)).await;
        };
        tokio::join!(answer, forward);
    });
    Replies::new(inbox, AbortOnDropHandle::new(work))
}

// === impl Replies ===

impl<T> Replies<T> {
    pub(super) fn new(inbox: mpsc::Receiver<Result<T, Status>>, work: AbortOnDropHandle<()>) -> Self {
        Self { inbox, _work: work }
    }
}

impl<T> Stream for Replies<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.inbox.poll_recv(cx)
    }
}
