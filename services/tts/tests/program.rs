//! The real program, with the store and the models that the set-up installs.

use std::fs;
use std::path::Path;
use std::time::Duration;

use polyphony_chassis::accept::Ended;
use polyphony_chassis::{Admission, Program, Readiness, Runtime, Shutdown, Trigger};
use polyphony_config::{Layers, Sources};
use polyphony_proto::models::v1 as models;
use polyphony_proto::models::v1::model_service_client::ModelServiceClient;
use polyphony_proto::tts::v1 as pb;
use polyphony_proto::tts::v1::tts_service_client::TtsServiceClient;
use polyphony_tts::{Config, Tts};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::transport::Channel;

use crate::support::{PATIENCE, assert_words, heard, loudness, text, time, words};

fn layers(settings: &[&str]) -> Layers {
    let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
    let sources = Sources {
        search: Vec::new(),
        ..Sources::of_process(None, settings)
    };
    Layers::load(sources).expect("layers")
}

/// The real program.
struct Running {
    channel: Channel,
    trigger: Trigger,
    ended: JoinHandle<Ended>,
}

async fn run(settings: &[&str]) -> Running {
    let config = Config::read(&layers(settings)).expect("a config");
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
    let channel = Channel::from_shared(uri).expect("a uri").connect().await;
    Running {
        channel: channel.expect("connects"),
        trigger,
        ended,
    }
}

#[tokio::test]
async fn the_program_speaks_with_what_the_set_up_installs() {
    // Of whatever engine; without espeak-ng there would be nothing on a fresh machine.
    let running = run(&["tts.engine=espeak", "tts.preload=true"]).await;
    let mut client = TtsServiceClient::new(running.channel.clone());
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
    let mut store = ModelServiceClient::new(running.channel);
    let listed = store
        .list_models(models::ListModelsRequest {
            task: "tts".to_owned(),
            installed_only: true,
            ..Default::default()
        })
        .await
        .expect("listed")
        .into_inner();
    let is_there = listed
        .models
        .iter()
        .any(|model| model.model.starts_with("espeak-ng"));
    assert!(is_there, "{listed:?}");
    running.trigger.now();
    running.ended.await.expect("ends");
}

/// A Piper voice of random weights goes before espeak-ng where it is on disk, and espeak-ng still speaks the languages that
/// it does not. What is said is babble, in time.
#[tokio::test]
async fn a_neural_voice_on_disk_goes_first_where_it_speaks_the_language() {
    let store = tempfile::tempdir().expect("a folder");
    let voices = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/voices");
    let entry = |id: &str, folder: &str| {
        let path = voices.join(folder);
        format!(
            r#"
            [[model]]
            id = "{id}"
            task = "tts"
            engine = "piper"
            description = "random weights"
            licence = "CC0-1.0"
            source = {{ kind = "folder", path = {path:?} }}
            variant = [{{ name = "default", memory_bytes = 1, files = [{{ path = "voice.onnx" }}, {{ path = "voice.onnx.json" }}] }}]
            "#
        )
    };
    fs::create_dir(store.path().join("catalogue.d")).expect("a folder");
    let catalogue = entry("tiny/en_US-one", "one") + &entry("tiny/en_US-many", "many");
    fs::write(store.path().join("catalogue.d/tiny.toml"), catalogue).expect("written");
    let models = format!("models.dir={}", store.path().display());
    let running = run(&[&models, "inference.device=cpu", "inference.sessions=1"]).await;
    let mut client = TtsServiceClient::new(running.channel.clone());
    let mut say = async |language: &str, voice: &str| {
        let request = pb::SynthesizeRequest {
            config: Some(words(pb::SynthesisConfig {
                language_code: language.to_owned(),
                voice: voice.to_owned(),
                ..Default::default()
            })),
            input: Some(text("One, two and three.")),
        };
        client.synthesize(request).await.expect("speaks").into_inner()
    };
    let neural = say("", "").await;
    let receipt = neural.receipt.clone().expect("a receipt");
    assert_eq!((receipt.engine.as_str(), receipt.degraded), ("piper", None));
    assert_eq!(
        heard(&neural.audio_content).duration(),
        time(neural.audio_duration)
    );
    assert_eq!(neural.words.len(), 4);
    assert_words(&neural.words, "One, two and three.", time(neural.audio_duration));
    let german = say("de", "").await.receipt.expect("a receipt");
    assert_eq!(german.engine, "espeak");
    let chosen = say("", "voices/en_US-many-p1")
        .await
        .effective_config
        .expect("told");
    assert_eq!(
        (chosen.model.as_str(), chosen.voice.as_str()),
        ("tiny/en_US-many", "voices/en_US-many-p1")
    );
    running.trigger.now();
    running.ended.await.expect("ends");
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
