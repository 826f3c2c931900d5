//! The real program, with the libraries and models that the set-up installs.

use std::time::Duration;

use polyphony_chassis::{Admission, Program, Readiness, Runtime, Shutdown};
use polyphony_config::{Layers, Sources};
use polyphony_ocr::{Config, Ocr};
use polyphony_proto::ocr::v1::ocr_service_client::OcrServiceClient;
use tokio::net::TcpListener;
use tonic::transport::Channel;

/// Serves with these settings, as flags would set them, above those of the environment.
pub(crate) async fn program(settings: Vec<String>) -> OcrServiceClient<Channel> {
    let sources = Sources {
        search: Vec::new(),
        ..Sources::of_process(None, settings)
    };
    let config = Config::read(&Layers::load(sources).expect("layers")).expect("a config");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let uri = format!("http://{}", listener.local_addr().expect("an address"));
    let (trigger, shutdown) = Shutdown::manual();
    let readiness = Readiness::new();
    let runtime = Runtime {
        shutdown,
        readiness: readiness.clone(),
        admission: Admission::new(64),
        residents: Default::default(),
    };
    tokio::spawn(async move {
        let _trigger = trigger;
        Ocr::run(config, runtime, listener).await.expect("runs")
    });
    let ready = async {
        while readiness.is_serving("polyphony.ocr.v1.OcrService") != Some(true) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(10), ready)
        .await
        .is_err()
    {
        panic!(
            "not ready: {:?}; `make setup` installs what is missing",
            readiness.not_ready()
        );
    }
    let channel = Channel::from_shared(uri).expect("a uri").connect().await;
    OcrServiceClient::new(channel.expect("connects"))
}
