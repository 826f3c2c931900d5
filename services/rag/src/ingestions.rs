//! Ingestions in the background: jobs of a queue that outlives the process; what is told of one, and the task that watches
//! it.
//!
//! The work itself is the ledger's ([`crate::ingest`]), which knows every document on its way and takes up what a crash has
//! left. A job says which documents were asked for together, and by whom; it ends when the last of them is done. So after a
//! restart the operation of an ingestion is there under its old name, and goes on.

mod run;
mod submit;

use polyphony_chassis::operations::{Lasting, LastingWork, lasting};
use polyphony_error::Fault;
use polyphony_jobs::{Job, State};
use polyphony_proto::rag::v1 as pb;
use polyphony_proto::types::v1::JobState;
use prost::Message;

use crate::convert::{ingest, names};
use crate::ingest::Progress;

pub(crate) use run::{MOST_WATCHED, work};
pub(crate) use submit::{most_payload, submit};

/// The ingestions of a service.
pub(crate) type Ingestions = Lasting<Ingesting>;

/// Documents on their way into a space.
#[derive(Debug)]
pub(crate) struct Ingesting;

// === impl Ingesting ===

impl LastingWork for Ingesting {
    type Metadata = pb::IngestMetadata;
    const METADATA: &'static str = "polyphony.rag.v1.IngestMetadata";
    const RESPONSE: &'static str = "polyphony.rag.v1.IngestResponse";

    fn metadata(job: &Job) -> pb::IngestMetadata {
        // What was said of it last; the queue knows the rest.
        let mut metadata = pb::IngestMetadata::decode(job.progress.as_slice()).unwrap_or_default();
        metadata.create_time = Some(job.created.into());
        metadata.update_time = Some(job.updated.into());
        metadata.state = state(job.state).into();
        if job.state != State::Running {
            metadata.current_document.clear();
            metadata.set_stage(pb::IngestStage::Unspecified);
        }
        metadata
    }
}

/// What a watcher is told of an ingestion now.
pub(crate) async fn news(ingestions: &Ingestions, job: &Job) -> Result<pb::WatchIngestResponse, Fault> {
    use pb::watch_ingest_response::Result as Ended;

    let ended = match job.state {
        State::Succeeded => {
            let result = ingestions.queue().result(&job.id).await?;
            let response = pb::IngestResponse::decode(result.as_slice()).map_err(Fault::internal)?;
            Some(Ended::Response(response))
        }
        State::Failed | State::Cancelled => lasting::failure(job).map(Ended::Error),
        State::Queued | State::Loading | State::Running => None,
    };
    Ok(pb::WatchIngestResponse {
        metadata: Some(Ingesting::metadata(job)),
        result: ended,
    })
}

/// One that is watched and of which nothing is worked on yet waits for the workers: nothing is loaded for it.
const fn state(state: State) -> JobState {
    match state {
        State::Loading => JobState::Queued,
        state => lasting::state(state),
    }
}

/// How far an ingestion into this space is, as its job's progress.
fn told(space: &str, progress: &Progress) -> Vec<u8> {
    let Progress {
        total,
        ready,
        failed,
        current,
        step,
    } = progress;
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let current_document = current.as_ref().map(|id| names::of_document(space, id));
    let metadata = pb::IngestMetadata {
        space: names::of_space(space),
        progress_percent: count((ready + failed) * 100 / (*total).max(1)),
        total_documents: count(*total),
        ready_documents: count(*ready),
        failed_documents: count(*failed),
        current_document: current_document.unwrap_or_default(),
        stage: step.map_or(pb::IngestStage::Unspecified, ingest::stage).into(),
        ..pb::IngestMetadata::default()
    };
    metadata.encode_to_vec()
}
