//! The real program, with the libraries and models that the set-up installs.

use polyphony_ocr::Ocr;
use polyphony_proto::ocr::v1::ocr_service_client::OcrServiceClient;
use polyphony_proto::ocr::v1::ocr_service_server::SERVICE_NAME;
use tonic::transport::Channel;

/// Serves with these settings, as flags would set them, above those of the environment.
pub(crate) async fn program(mut settings: Vec<String>) -> OcrServiceClient<Channel> {
    // It lives as long as the test, which nobody here sees the end of.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .expect("a folder")
        .keep();
    settings.push(format!("jobs.data_dir={}", folder.display()));
    let running = polyphony_harness::program::<Ocr>(SERVICE_NAME, &settings).await;
    OcrServiceClient::new(running.channel().await)
}
