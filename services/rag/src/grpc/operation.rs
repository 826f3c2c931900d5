//! Ingestions as operations: what is told of one while it goes on, and what became of it.

use std::sync::Arc;

use polyphony_chassis::operations::{Moment, Operation, Work};
use polyphony_error::Fault;
use polyphony_proto::rag::v1 as pb;
use polyphony_proto::types::v1::JobState;
use prost::Message as _;

use crate::convert::{document, ingest, names};
use crate::ingest::{DocumentResult, Ingestion, Outcome, Progress};

/// Documents on their way into a space.
#[derive(Debug)]
pub(super) struct Ingesting;

/// How far an ingestion is, and whose it is.
#[derive(Debug, Clone)]
pub(super) struct State {
    /// The owner of the space.
    pub(super) owner: String,
    /// The space's id.
    pub(super) space: String,
    pub(super) progress: Progress,
}

/// Of the largest message, what an operation needs besides its results.
const MARGIN: usize = 64 << 10;

// === impl Ingesting ===

impl Work for Ingesting {
    type Progress = State;
    type Metadata = pb::IngestMetadata;
    type Response = pb::IngestResponse;
    const METADATA: &'static str = "polyphony.rag.v1.IngestMetadata";
    const RESPONSE: &'static str = "polyphony.rag.v1.IngestResponse";

    fn owner(progress: &State) -> Option<&str> {
        Some(&progress.owner)
    }

    fn metadata(now: &Moment<State>) -> pb::IngestMetadata {
        let State {
            owner: _,
            space,
            progress,
        } = &now.progress;
        let Progress {
            total,
            ready,
            failed,
            current,
            step,
        } = progress;
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        pb::IngestMetadata {
            space: names::of_space(space),
            create_time: Some(now.created.into()),
            update_time: Some(now.updated.into()),
            state: now.state.into(),
            progress_percent: count((ready + failed) * 100 / (*total).max(1)),
            total_documents: count(*total),
            ready_documents: count(*ready),
            failed_documents: count(*failed),
            current_document: current
                .as_ref()
                .map(|id| names::of_document(space, id))
                .unwrap_or_default(),
            stage: step.map_or(pb::IngestStage::Unspecified, ingest::stage).into(),
        }
    }

    fn settle(state: &mut State, _: JobState) {
        state.progress.current = None;
        state.progress.step = None;
    }
}

/// Watches an ingestion to its end, or stops it when somebody wants that. Its result has to fit into a message of `largest`
/// bytes.
pub(super) async fn watch(
    operation: Arc<Operation<Ingesting>>,
    mut ingestion: Ingestion,
    space: String,
    largest: usize,
) -> Result<pb::IngestResponse, Fault> {
    let mut is_stopped = false;
    loop {
        let progress = ingestion.progress();
        let state = if progress.step.is_some() || progress.ready + progress.failed > 0 {
            JobState::Running
        } else {
            JobState::Queued
        };
        operation.advance(state, |now| now.progress = progress);
        if ingestion.is_done() {
            break;
        }
        tokio::select! {
            () = ingestion.changed() => {}
            () = operation.cancelled(), if !is_stopped => {
                is_stopped = true;
                ingestion.cancel().await?;
            }
        }
    }
    let Outcome { results, epoch } = ingestion.finish().await?;
    let mut room = largest.saturating_sub(MARGIN);
    let results = results.into_iter().map(|result| {
        let mut wire = self::result(&space, result);
        // What is said of documents may be more than a message holds; GetDocument has it too.
        if wire.encoded_len() > room {
            wire.document = None;
        }
        room = room.saturating_sub(wire.encoded_len() + 8);
        wire
    });
    Ok(pb::IngestResponse {
        results: results.collect(),
        index_epoch: epoch,
    })
}

fn result(space: &str, result: DocumentResult) -> pb::IngestResult {
    let DocumentResult {
        id,
        failure,
        document,
        unchanged,
    } = result;
    pb::IngestResult {
        name: names::of_document(space, id),
        error: failure.as_ref().map(document::failure),
        document: document.map(|found| document::wire(space, found)),
        unchanged,
    }
}
