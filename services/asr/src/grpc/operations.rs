//! google.longrunning.Operations over the batches of this process.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, Stream};
use polyphony_error::Fault;
use polyphony_proto::asr::v1 as pb;
use polyphony_proto::google::longrunning as lro;
use polyphony_proto::google::longrunning::operations_server::Operations as Service;
use polyphony_proto::types::v1::JobState;
use prost::Message;
use prost_types::Any;
use tonic::{Request, Response, Status};

use crate::batch::{Batches, FileState, Record, Snapshot, State};

/// The service.
#[derive(Debug, Clone)]
pub(crate) struct Operations {
    batches: Batches,
}

const PAGE: usize = 100;
const MOST_PAGE: usize = 1_000;
/// A wait without a timeout; the deadline of the call usually ends it first.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// A watcher hears at least this often.
const REPEAT: Duration = Duration::from_secs(60);

// === impl Operations ===

impl Operations {
    pub(super) const fn new(batches: Batches) -> Self {
        Self { batches }
    }
}

#[tonic::async_trait]
impl Service for Operations {
    async fn list_operations(
        &self,
        request: Request<lro::ListOperationsRequest>,
    ) -> Result<Response<lro::ListOperationsResponse>, Status> {
        // Everything can be reached, so a partial success is a success.
        let lro::ListOperationsRequest {
            name,
            filter,
            page_size,
            page_token,
            return_partial_success: _,
        } = request.into_inner();
        if !matches!(name.as_str(), "" | "operations") {
            return Err(Fault::invalid("name", "must be \"operations\"").into());
        }
        let done = match filter.as_str() {
            "" => None,
            "done=true" | "done = true" | "done" => Some(true),
            "done=false" | "done = false" | "NOT done" => Some(false),
            _ => {
                return Err(
                    Fault::invalid("filter", "must be empty, \"done=true\" or \"done=false\"").into(),
                );
            }
        };
        let most = match usize::try_from(page_size) {
            Ok(0) => PAGE,
            Ok(size) => size.min(MOST_PAGE),
            Err(_) => return Err(Fault::invalid("page_size", "must not be negative").into()),
        };
        let mut found = self.batches.list(&page_token, most + 1, done);
        let more = found.len() > most;
        found.truncate(most);
        let next_page_token = found
            .last()
            .filter(|_| more)
            .map(|record| record.name.clone())
            .unwrap_or_default();
        let operations = found.iter().map(|record| wire(record)).collect();
        Ok(Response::new(lro::ListOperationsResponse {
            operations,
            next_page_token,
            unreachable: Vec::new(),
        }))
    }

    async fn get_operation(
        &self,
        request: Request<lro::GetOperationRequest>,
    ) -> Result<Response<lro::Operation>, Status> {
        let lro::GetOperationRequest { name } = request.into_inner();
        Ok(Response::new(wire(&*self.batches.get(&name)?)))
    }

    async fn delete_operation(
        &self,
        request: Request<lro::DeleteOperationRequest>,
    ) -> Result<Response<()>, Status> {
        let lro::DeleteOperationRequest { name } = request.into_inner();
        self.batches.delete(&name)?;
        Ok(Response::new(()))
    }

    async fn cancel_operation(
        &self,
        request: Request<lro::CancelOperationRequest>,
    ) -> Result<Response<()>, Status> {
        let lro::CancelOperationRequest { name } = request.into_inner();
        self.batches.get(&name)?.cancel();
        Ok(Response::new(()))
    }

    async fn wait_operation(
        &self,
        request: Request<lro::WaitOperationRequest>,
    ) -> Result<Response<lro::Operation>, Status> {
        let lro::WaitOperationRequest { name, timeout } = request.into_inner();
        let timeout = match timeout {
            None => LONGEST_WAIT,
            Some(timeout) => polyphony_wire::duration(timeout)
                .ok_or_else(|| Fault::invalid("timeout", "must not be negative"))?
                .min(LONGEST_WAIT),
        };
        let record = self.batches.get(&name)?;
        // Whether it is done or the time is over, the answer says how far it is.
        drop(tokio::time::timeout(timeout, record.done()).await);
        Ok(Response::new(wire(&record)))
    }
}

/// A batch as an operation.
pub(super) fn wire(record: &Record) -> lro::Operation {
    let now = record.snapshot();
    let metadata = metadata(&now);
    let result = now.result.map(|result| match result {
        Ok(response) => lro::operation::Result::Response(any("BatchRecognizeResponse", &response)),
        Err(error) => lro::operation::Result::Error(error),
    });
    lro::Operation {
        name: record.name.clone(),
        metadata: Some(any("BatchRecognizeMetadata", &metadata)),
        done: result.is_some(),
        result,
    }
}

/// How far a batch is now, then each change until it is done.
pub(super) fn watch(
    record: Arc<Record>,
) -> impl Stream<Item = Result<pb::WatchBatchRecognizeResponse, Status>> {
    let changes = record.changes();
    stream::unfold(Some((record, changes, true)), |state| async move {
        let (record, mut changes, first) = state?;
        if !first {
            // Told again when nothing changes: a stream on which nothing moves is taken for a dead one.
            drop(tokio::time::timeout(REPEAT, changes.changed()).await);
        }
        changes.borrow_and_update();
        let now = record.snapshot();
        let message = pb::WatchBatchRecognizeResponse {
            metadata: Some(metadata(&now)),
        };
        let next = now.result.is_none().then_some((record, changes, false));
        Some((Ok(message), next))
    })
}

fn metadata(now: &Snapshot) -> pb::BatchRecognizeMetadata {
    let file = |file: &FileState| pb::BatchFileProgress {
        name: file.name.clone(),
        state: state(file.state).into(),
        progress_percent: if file.state.is_over() { 100 } else { 0 },
    };
    pb::BatchRecognizeMetadata {
        create_time: Some(now.created.into()),
        update_time: Some(now.updated.into()),
        state: state(now.state).into(),
        progress_percent: now.percent(),
        files: now.files.iter().map(file).collect(),
    }
}

const fn state(state: State) -> JobState {
    match state {
        State::Queued => JobState::Queued,
        State::Loading => JobState::Loading,
        State::Running => JobState::Running,
        State::Succeeded => JobState::Succeeded,
        State::Failed => JobState::Failed,
        State::Cancelled => JobState::Cancelled,
    }
}

fn any(name: &str, message: &impl Message) -> Any {
    Any {
        type_url: format!("type.googleapis.com/polyphony.asr.v1.{name}"),
        value: message.encode_to_vec(),
    }
}
