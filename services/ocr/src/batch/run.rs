//! The worker of batches: takes one from the queue, and its documents one after another.

use polyphony_chassis::operations;
use polyphony_config::ByteSize;
use polyphony_error::{Fault, Kind};
use polyphony_inference::Cancel;
use polyphony_jobs::{Held, Queue, State, Vigil, Why};
use polyphony_proto::ocr::v1 as pb;
use polyphony_proto::types::v1::JobState;
use prost::Message;
use tokio::sync::mpsc;
use tokio::task;
use tokio_util::sync::CancellationToken;

use super::submit;
use super::wanted::{Wanted, WantedDocument};
use super::{DocumentState, told};
use crate::convert::response;
use crate::job::{Job, Stage, Tools};

/// Of the largest message, what the operation needs besides its results.
const MARGIN: u64 = 64 << 10;

/// What the thread that reads tells of its document.
enum Heard {
    At(JobState),
    Pages(u32),
    Page,
}

/// A batch that is worked on.
struct Working<'a> {
    vigil: Vigil<'a>,
    documents: Vec<DocumentState>,
    running: bool,
}

/// Works on batches, one at a time, until it is told to stop. Results have to fit into a message of `largest` bytes.
pub(crate) async fn work(queue: Queue, tools: Tools, largest: ByteSize, stop: CancellationToken) {
    while let Some(held) = queue.next(&stop).await {
        one(held, &tools, largest, &stop).await;
    }
}

async fn one(held: Held, tools: &Tools, largest: ByteSize, stop: &CancellationToken) {
    let ended = match submit::read(held.payload()) {
        Err(fault) => {
            tracing::error!(job = held.job().id, error = %polyphony_error::chain(&fault), "a batch cannot be read");
            held.fail(fault).await
        }
        Ok(wanted) => match results(&held, wanted, tools, largest, stop).await {
            Ok(response) => held.succeed(&response.encode_to_vec()).await,
            Err(why) => held.let_go(why).await,
        },
    };
    if let Err(error) = ended {
        tracing::warn!(error = %polyphony_error::chain(&error), "the end of a batch is not written");
    }
}

async fn results(
    held: &Held,
    wanted: Wanted,
    tools: &Tools,
    largest: ByteSize,
    stop: &CancellationToken,
) -> Result<pb::BatchProcessResponse, Why> {
    let Wanted { documents, .. } = wanted;
    let state = |document: &WantedDocument| {
        DocumentState::new(document.name.clone(), document.job.bytes.len() as u64)
    };
    let mut working = Working {
        vigil: Vigil::new(held, stop),
        documents: documents.iter().map(state).collect(),
        running: false,
    };
    let mut results = Vec::with_capacity(documents.len());
    let mut room = largest.bytes().saturating_sub(MARGIN);
    for (at, WantedDocument { name, job }) in documents.into_iter().enumerate() {
        let mut result = match working.read(at, job, tools).await? {
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
        working.change(at, |document| document.state = state);
        results.push(pb::BatchDocumentResult { name, ..result });
    }
    Ok(pb::BatchProcessResponse { documents: results })
}

fn failure(fault: Fault) -> pb::BatchDocumentResult {
    pb::BatchDocumentResult {
        error: Some(operations::status(fault, "a document of a batch")),
        ..pb::BatchDocumentResult::default()
    }
}

// === impl Working ===

impl Working<'_> {
    /// One document; when asked to stop, ends when the work has.
    async fn read(
        &mut self,
        at: usize,
        job: Job,
        tools: &Tools,
    ) -> Result<Result<pb::BatchDocumentResult, Fault>, Why> {
        let cancel = Cancel::default();
        let (tell, mut heard) = mpsc::unbounded_channel();
        let (tools, flag) = (tools.clone(), cancel.clone());
        let mut work = task::spawn_blocking(move || read_pages(job, &tools, &flag, &tell));
        let ended = loop {
            tokio::select! {
                // What was told before its end is heard before it.
                biased;
                Some(news) = heard.recv() => self.hear(at, news).await,
                ended = &mut work => break ended,
                _ = self.vigil.next() => cancel.cancel(),
            }
        };
        // The last of it may have come with the end.
        while let Ok(news) = heard.try_recv() {
            self.hear(at, news).await;
        }
        match self.vigil.why() {
            Some(why) => Err(why),
            None => Ok(ended.map_err(Fault::internal).flatten()),
        }
    }

    async fn hear(&mut self, at: usize, news: Heard) {
        self.change(at, |document| match news {
            Heard::At(state) => document.state = state,
            Heard::Pages(total) => document.total_pages = total,
            Heard::Page => document.done_pages += 1,
        });
        let running = |document: &DocumentState| document.state == JobState::Running;
        if !self.running && self.documents.get(at).is_some_and(running) {
            self.running = true;
            if let Err(error) = self.vigil.held().advance(State::Running).await {
                tracing::warn!(%error, "a batch at work is not told as such");
            }
        }
    }

    /// Something about a document changed.
    fn change(&mut self, at: usize, change: impl FnOnce(&mut DocumentState)) {
        if let Some(document) = self.documents.get_mut(at) {
            change(document);
        }
        if let Err(error) = self.vigil.held().say(told(&self.documents)) {
            tracing::warn!(%error, "the progress of a batch is not told");
        }
    }
}

/// Runs on a thread of its own. Whoever no longer hears needs not be told.
fn read_pages(
    job: Job,
    tools: &Tools,
    cancel: &Cancel,
    tell: &mpsc::UnboundedSender<Heard>,
) -> Result<pb::BatchDocumentResult, Fault> {
    let tell = |news| tell.send(news).unwrap_or_default();
    let stage = |stage| {
        tell(Heard::At(match stage {
            Stage::Loading => JobState::Loading,
            Stage::Running => JobState::Running,
        }));
    };
    let mut running = job.start(tools, cancel, |_| Ok(()), &stage)?;
    tell(Heard::Pages(
        u32::try_from(running.pages.len()).unwrap_or(u32::MAX),
    ));
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
        tell(Heard::Page);
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
