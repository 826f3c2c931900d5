//! One question to the reflection service of one endpoint.

use std::sync::Arc;
use std::time::Duration;

use polyphony_error::{Fault, Kind};
use polyphony_gateway_proxy::{Endpoint, EndpointChannel};
use tokio::time::timeout;
use tonic::Status;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

/// The longest an endpoint may think about an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The endpoint's answer; `Ok(None)` if it knows no such thing.
pub(super) async fn ask(
    endpoint: &Arc<Endpoint>,
    question: MessageRequest,
) -> Result<Option<MessageResponse>, Status> {
    let mut client = ServerReflectionClient::new(EndpointChannel::new(Arc::clone(endpoint)));
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(question),
    };
    let asking = async {
        let answers = client.server_reflection_info(tokio_stream::once(request)).await?;
        answers.into_inner().message().await
    };
    let late = |_| {
        Status::from(Fault::new(
            Kind::DeadlineExceeded,
            "DEADLINE_EXCEEDED",
            "no answer in time",
        ))
    };
    let answer = timeout(PATIENCE, asking).await.map_err(late)??;
    Ok(match answer.and_then(|answer| answer.message_response) {
        Some(MessageResponse::ErrorResponse(_)) | None => None,
        answer => answer,
    })
}
