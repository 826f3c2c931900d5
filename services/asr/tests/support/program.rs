//! The real program, with the libraries and models that the set-up installs.

use polyphony_asr::Asr;
use polyphony_proto::asr::v1::asr_service_client::AsrServiceClient;
use polyphony_proto::asr::v1::asr_service_server::SERVICE_NAME;
use tonic::transport::Channel;

/// Serves with these settings, as flags would set them, above those of the environment.
pub(crate) async fn program(settings: Vec<String>) -> AsrServiceClient<Channel> {
    let running = polyphony_harness::program::<Asr>(SERVICE_NAME, &settings).await;
    AsrServiceClient::new(running.channel().await)
}
