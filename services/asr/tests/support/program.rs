//! The real program, with the libraries and models that the set-up installs.

use polyphony_asr::Asr;
use polyphony_proto::asr::v1::asr_service_client::AsrServiceClient;
use polyphony_proto::asr::v1::asr_service_server::SERVICE_NAME;
use tonic::transport::Channel;

/// Serves with these settings, as flags would set them, above those of the environment.
pub(crate) async fn program(mut settings: Vec<String>) -> AsrServiceClient<Channel> {
    // It lives as long as the test, which nobody here sees the end of.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .expect("a folder")
        .keep();
    settings.push(format!("jobs.data_dir={}", folder.display()));
    let running = polyphony_harness::program::<Asr>(SERVICE_NAME, &settings).await;
    AsrServiceClient::new(running.channel().await)
}
