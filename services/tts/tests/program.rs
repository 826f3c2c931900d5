//! The real program, with the store and the models that the set-up installs.

use std::time::Duration;

use polyphony_chassis::{Admission, Program, Readiness, Runtime, Shutdown};
use polyphony_config::{Layers, Sources};
use polyphony_proto::models::v1 as models;
use polyphony_proto::models::v1::model_service_client::ModelServiceClient;
use polyphony_proto::tts::v1 as pb;
use polyphony_proto::tts::v1::tts_service_client::TtsServiceClient;
use polyphony_tts::{Config, Tts};
use tokio::net::TcpListener;
use tonic::transport::Channel;

use crate::support::{PATIENCE, heard, loudness, text};

fn layers(settings: &[&str]) -> Layers {
    let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
    let sources = Sources {
        search: Vec::new(),
        ..Sources::of_process(None, settings)
    };
    Layers::load(sources).expect("layers")
}

#[tokio::test]
async fn the_program_speaks_with_what_the_set_up_installs() {
    // Of whatever engine; without espeak-ng there would be nothing on a fresh machine.
    let config = Config::read(&layers(&["tts.engine=espeak", "tts.preload=true"])).expect("a config");
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
    let ended = tokio::spawn(async move { Tts::run(config, runtime, listener).await.expect("runs") });
    let ready = async {
        while readiness.is_serving("polyphony.tts.v1.TtsService") != Some(true) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    if tokio::time::timeout(PATIENCE, ready).await.is_err() {
        panic!(
            "not ready: {:?}; `make setup` installs what is missing",
            readiness.not_ready()
        );
    }
    let channel = Channel::from_shared(uri)
        .expect("a uri")
        .connect()
        .await
        .expect("connects");
    let mut client = TtsServiceClient::new(channel.clone());
    let answer = client
        .synthesize(pb::SynthesizeRequest {
            config: None,
            input: Some(text("It works from the first minute.")),
        })
        .await
        .expect("speaks")
        .into_inner();
    assert!(loudness(&heard(&answer.audio_content)) > 0.01);
    let receipt = answer.receipt.expect("a receipt");
    assert!(
        receipt.model_digest.starts_with("sha256:"),
        "{}",
        receipt.model_digest
    );
    let voices = client
        .list_voices(pb::ListVoicesRequest::default())
        .await
        .expect("listed");
    assert_eq!(voices.into_inner().voices.len(), 100);
    // The model is there to be seen and unloaded like every other.
    let mut store = ModelServiceClient::new(channel);
    let listed = store
        .list_models(models::ListModelsRequest {
            task: "tts".to_owned(),
            installed_only: true,
            ..Default::default()
        })
        .await
        .expect("listed")
        .into_inner();
    assert!(
        listed
            .models
            .iter()
            .any(|model| model.model.starts_with("espeak-ng")),
        "{listed:?}"
    );
    trigger.now();
    ended.await.expect("ends");
}

#[test]
fn keys_that_cannot_be_used_are_named() {
    for (setting, told) in [
        ("tts.max_characters=0", "tts.max_characters"),
        ("tts.stream_idle=10ms", "tts.stream_idle"),
        ("tts.model=/", "tts.model"),
        ("tts.engine=festival", "tts.engine"),
        ("tts.max_streams=10000", "tts.max_streams"),
        ("tts.voices.bucket=b", "tts.voices"),
    ] {
        let error = Config::read(&layers(&[setting])).expect_err(setting);
        let chain = polyphony_error::chain(&error).to_string();
        assert!(chain.contains(told), "{setting}: {chain}");
    }
}
