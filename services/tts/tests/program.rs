//! The real program, with the store and the models that the set-up installs.

use std::fs;
use std::path::Path;

use polyphony_harness::{Running, layers, program};
use polyphony_proto::models::v1 as models;
use polyphony_proto::models::v1::model_service_client::ModelServiceClient;
use polyphony_proto::tts::v1 as pb;
use polyphony_proto::tts::v1::tts_service_client::TtsServiceClient;
use polyphony_proto::tts::v1::tts_service_server::SERVICE_NAME;
use polyphony_tts::{Config, Tts};

use crate::support::{assert_words, heard, loudness, text, time, words};

async fn run(settings: &[&str]) -> Running {
    program::<Tts>(SERVICE_NAME, settings).await
}

#[tokio::test]
async fn the_program_speaks_with_what_the_set_up_installs() {
    // Of whatever engine; without espeak-ng there would be nothing on a fresh machine.
    let running = run(&["tts.engine=espeak", "tts.preload=true"]).await;
    let mut client = TtsServiceClient::new(running.channel().await);
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
    let mut store = ModelServiceClient::new(running.channel().await);
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
    let mut client = TtsServiceClient::new(running.channel().await);
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
