//! `google.longrunning.Operations` over the operations of this process.

use std::time::Duration;

use polyphony_error::Fault;
use polyphony_proto::google::longrunning as lro;
use polyphony_proto::google::longrunning::operations_server::Operations as Service;
use tonic::{Request, Response, Status};

use super::{Listed, Operations};
use crate::Caller;

const PAGE: usize = 100;
const MOST_PAGE: usize = 1_000;
/// A wait without a timeout; the deadline of the call usually ends it first.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

#[tonic::async_trait]
impl Service for Operations {
    async fn list_operations(
        &self,
        request: Request<lro::ListOperationsRequest>,
    ) -> Result<Response<lro::ListOperationsResponse>, Status> {
        let caller = Caller::of(&request);
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
        let mut operations: Vec<lro::Operation> = Vec::new();
        // Beyond the end of one that was cut nothing is told, or what was left out would never be.
        let mut end: Option<String> = None;
        for source in self.sources() {
            let Listed {
                operations: found,
                cut,
            } = source.list(&caller, &page_token, most + 1, done).await?;
            if let Some(last) = found.last().filter(|_| cut) {
                end = Some(end.map_or_else(|| last.name.clone(), |end| end.min(last.name.clone())));
            }
            operations.extend(found);
        }
        if let Some(end) = &end {
            operations.retain(|operation| operation.name <= *end);
        }
        operations.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        let more = operations.len() > most || end.is_some();
        operations.truncate(most);
        let next_page_token = operations
            .last()
            .filter(|_| more)
            .map(|last| last.name.clone())
            .unwrap_or_default();
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
        let caller = Caller::of(&request);
        let lro::GetOperationRequest { name } = request.into_inner();
        Ok(Response::new(self.source(&name)?.get(&name, &caller).await?))
    }

    async fn delete_operation(
        &self,
        request: Request<lro::DeleteOperationRequest>,
    ) -> Result<Response<()>, Status> {
        let caller = Caller::of(&request);
        let lro::DeleteOperationRequest { name } = request.into_inner();
        Ok(Response::new(self.source(&name)?.delete(&name, &caller).await?))
    }

    async fn cancel_operation(
        &self,
        request: Request<lro::CancelOperationRequest>,
    ) -> Result<Response<()>, Status> {
        let caller = Caller::of(&request);
        let lro::CancelOperationRequest { name } = request.into_inner();
        Ok(Response::new(self.source(&name)?.cancel(&name, &caller).await?))
    }

    async fn wait_operation(
        &self,
        request: Request<lro::WaitOperationRequest>,
    ) -> Result<Response<lro::Operation>, Status> {
        let caller = Caller::of(&request);
        let lro::WaitOperationRequest { name, timeout } = request.into_inner();
        let timeout = match timeout {
            None => LONGEST_WAIT,
            Some(timeout) => polyphony_proto::time::from_wire(&timeout)
                .map_err(|error| Fault::invalid("timeout", error.to_string()))?
                .min(LONGEST_WAIT),
        };
        let source = self.source(&name)?;
        Ok(Response::new(source.wait(&name, &caller, timeout).await?))
    }
}
