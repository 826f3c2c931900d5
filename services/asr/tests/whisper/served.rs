//! Whisper from a model store to a client: a catalogue with folders, the real program, Silero, gRPC.
//!
//! The weights are random, so what is written down is nonsense, but the same nonsense each time.

use std::fs;
use std::path::Path;
use std::time::Duration;

use polyphony_audio::decode::Decoder;
use polyphony_audio::limits::{Cancel, Limits};
use polyphony_proto::asr::v1 as pb;
use polyphony_proto::asr::v1::asr_service_client::AsrServiceClient;
use polyphony_proto::asr::v1::streaming_recognize_response::Event;
use polyphony_proto::types::v1 as types;
use tempfile::TempDir;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::folder;
use crate::support::{
    RATE, assert_refused, audio, ended, finals, first, inline, linear16, pieces, program, results, streaming,
};

const SPEECH: &[u8] = include_bytes!("../fixtures/go_forward.flac");
const EN: &str = "tiny/en";
const MULTI: &str = "tiny/multi";
const BROKEN: &str = "tiny/broken";

/// A store of three models, of which one is broken, and the program that serves it.
struct Mesh {
    client: AsrServiceClient<Channel>,
    _store: TempDir,
}

impl Mesh {
    async fn new() -> Self {
        let store = tempfile::tempdir().expect("a folder");
        let broken = store.path().join("broken");
        fs::create_dir(&broken).expect("a folder");
        for file in &super::FILES[..6] {
            fs::copy(folder("multi-80").join(file), broken.join(file)).expect("copied");
        }
        fs::write(broken.join("decoder_model_merged.onnx"), b"not a graph").expect("written");
        let entry = |id: &str, path: &Path, memory: u32| {
            let files: Vec<String> = super::FILES[..6]
                .iter()
                .map(|file| format!("{{ path = {file:?} }}"))
                .collect();
            format!(
                r#"
                [[model]]
                id = "{id}"
                task = "asr"
                engine = "whisper"
                description = "random weights"
                licence = "CC0-1.0"
                source = {{ kind = "folder", path = {path:?} }}
                variant = [{{ name = "fp32", memory_bytes = {memory}, files = [{}] }}]
                "#,
                files.join(", ")
            )
        };
        let catalogue = [
            entry(EN, &folder("en-80"), 3),
            entry(MULTI, &folder("multi-80"), 2),
            entry(BROKEN, &broken, 1),
        ];
        fs::create_dir(store.path().join("catalogue.d")).expect("a folder");
        fs::write(store.path().join("catalogue.d/tiny.toml"), catalogue.concat()).expect("written");
        let client = program(vec![
            format!("models.dir={}", store.path().display()),
            "inference.device=cpu".to_owned(),
            "inference.sessions=1".to_owned(),
        ])
        .await;
        Self {
            client,
            _store: store,
        }
    }

    async fn recognize(&self, config: pb::RecognitionConfig) -> Result<pb::RecognizeResponse, Status> {
        self.recognize_audio(config, SPEECH.to_vec()).await
    }

    async fn recognize_audio(
        &self,
        config: pb::RecognitionConfig,
        bytes: Vec<u8>,
    ) -> Result<pb::RecognizeResponse, Status> {
        let request = pb::RecognizeRequest {
            config: Some(config),
            audio: inline(bytes),
        };
        let response = self.client.clone().recognize(request).await;
        response.map(tonic::Response::into_inner)
    }

    async fn stream(
        &self,
        config: pb::StreamingRecognitionConfig,
        audio: Vec<pb::StreamingRecognizeRequest>,
    ) -> Vec<pb::StreamingRecognizeResponse> {
        let all: Vec<_> = std::iter::once(first(config)).chain(audio).collect();
        let replies = self
            .client
            .clone()
            .streaming_recognize(tokio_stream::iter(all))
            .await;
        let mut replies = replies.expect("opens").into_inner();
        let mut seen = Vec::new();
        while let Some(reply) = replies.message().await.expect("ok") {
            seen.push(reply);
        }
        seen
    }

    async fn capabilities(&self) -> Vec<types::ModelCapabilities> {
        let asked = self
            .client
            .clone()
            .get_capabilities(pb::GetCapabilitiesRequest {})
            .await;
        asked.expect("capabilities").into_inner().models
    }
}

fn with(model: &str) -> pb::RecognitionConfig {
    pb::RecognitionConfig {
        model: model.to_owned(),
        features: Some(pb::RecognitionFeatures {
            enable_word_time_offsets: Some(true),
            enable_word_confidence: Some(true),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn text(response: &pb::RecognizeResponse) -> String {
    let parts = response.results.iter();
    let parts: Vec<_> = parts
        .map(|result| result.alternatives[0].transcript.as_str())
        .collect();
    parts.join(" ")
}

fn samples(offset: prost_types::Duration) -> usize {
    let offset = polyphony_proto::time::from_wire(&offset).expect("not negative");
    (offset.as_nanos() * RATE as u128 / 1_000_000_000) as usize
}

/// The recording as 16-bit samples.
fn raw() -> Vec<u8> {
    let (limits, cancel) = (Limits::default(), Cancel::new());
    let decoded = Decoder::open(SPEECH, &limits, &cancel).expect("flac");
    let decoded = decoded.into_speech(&limits, &cancel).expect("decodes");
    let whole = |sample: &f32| ((sample * 32_768.0).round() as i16).to_le_bytes();
    decoded.pcm.samples().iter().flat_map(whole).collect()
}

#[track_caller]
fn assert_receipt(receipt: Option<&types::Receipt>, model: &str) -> types::Receipt {
    let receipt = receipt.expect("a receipt").clone();
    assert_eq!(
        (receipt.engine.as_str(), receipt.model.as_str()),
        ("whisper", model)
    );
    assert!(receipt.engine_version.starts_with("onnxruntime "), "{receipt:?}");
    assert_eq!(receipt.device, "cpu");
    assert!(
        receipt.model_digest.starts_with("sha256:") && receipt.model_digest.len() == 71,
        "{receipt:?}"
    );
    assert_eq!(receipt.degraded, None, "a neural model is no fallback");
    receipt
}

#[track_caller]
fn assert_times(words: &[pb::WordInfo], end: usize) {
    assert!(!words.is_empty());
    let mut before = 0;
    for word in words {
        let (from, to) = (
            samples(word.start_offset.expect("a time")),
            samples(word.end_offset.expect("a time")),
        );
        assert!(before <= from && from <= to && to <= end, "{words:#?}");
        assert!(
            word.confidence.is_some_and(|it| (0.0..=1.0).contains(&it)),
            "{word:?}"
        );
        assert_ne!(word.timing_source(), types::TimingSource::Unspecified);
        before = from;
    }
}

#[tokio::test]
async fn a_neural_model_on_disk_is_the_default_and_needs_no_load_to_be_described() {
    let mesh = Mesh::new().await;
    let before = mesh.capabilities().await;
    let known = |id: &str| {
        let found = before.iter().find(|model| model.model == id);
        found.unwrap_or_else(|| panic!("no {id} in {before:?}")).clone()
    };
    assert_eq!(before[0].model, EN, "the largest is the default");
    assert_eq!(known(EN).language_codes, ["en"]);
    assert_eq!(known(MULTI).language_codes, ["en", "zh", "de", "es"]);
    assert_eq!(known(MULTI).degraded, None);
    assert!(
        known(MULTI)
            .supported_fields
            .contains(&"config.initial_prompt".to_owned())
    );
    assert_eq!(known(BROKEN).language_codes, [""; 0]);

    let response = mesh
        .recognize(pb::RecognitionConfig::default())
        .await
        .expect("recognises");
    let receipt = assert_receipt(response.receipt.as_ref(), EN);
    let timings = receipt.timings.expect("timings");
    assert!(timings.load_duration.is_some(), "it was loaded to be described");
    mesh.recognize(with(MULTI)).await.expect("recognises");
    assert_eq!(mesh.capabilities().await, before, "a load tells nothing new");
}

#[tokio::test]
async fn a_recording_has_words_with_times_and_a_language() {
    let mesh = Mesh::new().await;
    let found = mesh.recognize(with(MULTI)).await.expect("recognises");
    assert_receipt(found.receipt.as_ref(), MULTI);
    assert!(!text(&found).is_empty());
    let length = samples(found.audio_duration.expect("a length"));
    for result in &found.results {
        assert_times(&result.alternatives[0].words, length);
    }
    // The language that was found, when it is named, changes nothing but what is known of it before.
    assert!(
        ["en", "zh", "de", "es"].contains(&found.language_code.as_str()),
        "{found:?}"
    );
    let named = pb::RecognitionConfig {
        language_codes: vec![found.language_code.clone()],
        ..with(MULTI)
    };
    let named = mesh.recognize(named).await.expect("recognises");
    assert_eq!(named.results, found.results);

    let translated = pb::RecognitionConfig {
        task: pb::Task::Translate.into(),
        language_codes: vec![found.language_code.clone()],
        ..with(MULTI)
    };
    let translated = mesh.recognize(translated).await.expect("translates");
    let effective = translated.effective_config.as_ref().expect("a config");
    assert_eq!(effective.task(), pb::Task::Translate);
    assert_ne!(translated.results, found.results, "the task reached the decoder");
}

#[tokio::test]
async fn what_a_model_cannot_do_is_refused_by_field() {
    let mesh = Mesh::new().await;
    let cases = [
        (
            "config.language_codes[0]",
            pb::RecognitionConfig {
                language_codes: vec!["tlh".to_owned()],
                ..with(MULTI)
            },
        ),
        (
            "config.language_codes[0]",
            pb::RecognitionConfig {
                language_codes: vec!["de-DE".to_owned()],
                ..with(EN)
            },
        ),
        (
            "config.task",
            pb::RecognitionConfig {
                task: pb::Task::Translate.into(),
                ..with(EN)
            },
        ),
    ];
    for (field, config) in cases {
        let status = mesh.recognize(config).await.expect_err(field);
        assert_refused(&status, Code::InvalidArgument, field);
    }
}

#[tokio::test]
async fn the_digest_of_a_receipt_holds_the_model_fast() {
    let mesh = Mesh::new().await;
    let response = mesh.recognize(with(EN)).await.expect("recognises");
    let digest = assert_receipt(response.receipt.as_ref(), EN).model_digest;
    let expecting = |digest: &str| pb::RecognitionConfig {
        expected_model_digest: digest.to_owned(),
        ..with(EN)
    };
    mesh.recognize(expecting(&digest)).await.expect("the same model");
    let other = format!("sha256:{}", "0".repeat(64));
    let status = mesh.recognize(expecting(&other)).await.expect_err("another");
    assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
    let details = status.get_error_details();
    assert_eq!(
        details.error_info().map(|info| info.reason.as_str()),
        Some("MODEL_DIGEST_MISMATCH")
    );
    assert!(status.message().contains(&digest), "{status:?}");
}

#[tokio::test]
async fn a_broken_model_says_so_and_the_others_serve() {
    let mesh = Mesh::new().await;
    let status = mesh.recognize(with(BROKEN)).await.expect_err("broken");
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(
        status.message().contains(BROKEN) && status.message().contains("decoder_model_merged.onnx"),
        "{status:?}"
    );
    mesh.recognize(with(EN)).await.expect("recognises");
}

#[tokio::test]
async fn a_stream_takes_nothing_back_and_ends_as_the_recording_does() {
    let mesh = Mesh::new().await;
    for model in [EN, MULTI] {
        let config = |interim| pb::StreamingRecognitionConfig {
            interim_results: Some(interim),
            partial_interval: Some(prost_types::Duration {
                seconds: 0,
                nanos: 200_000_000,
            }),
            start_time: Some(prost_types::Timestamp::default()),
            ..streaming(with(model))
        };
        let speech = || SPEECH.chunks(3_000).map(audio).collect();
        let replies = mesh.stream(config(true), speech()).await;
        let told = results(&replies);
        assert!(
            told.iter().filter(|result| !result.is_final).count() > 1,
            "{told:?}"
        );
        let mut stable = String::new();
        for result in &told {
            let text = &result.alternatives[0].transcript;
            assert!(text.starts_with(&stable), "{text:?} takes back {stable:?}");
            stable = text[..result.stable_prefix_len as usize].to_owned();
            if !text.is_empty() {
                let end = samples(result.result_end_offset.expect("an end"));
                assert_times(&result.alternatives[0].words, end);
            }
        }
        let Some(Event::Ready(ready)) = &replies[0].event else {
            panic!("{:?}", replies[0])
        };
        assert_receipt(ready.receipt.as_ref(), model);
        let ended = ended(&replies).expect("ended");
        assert_receipt(ended.receipt.as_ref(), model);
        assert_eq!(ended.utterance_count, 1);

        // Nothing is committed before the end: the final text is that of the same stretch as a recording.
        let replies = mesh.stream(config(false), speech()).await;
        let [result] = results(&replies)[..] else {
            panic!("{replies:?}")
        };
        let start = result.result_start_time.expect("a time");
        let start = samples(prost_types::Duration {
            seconds: start.seconds,
            nanos: start.nanos,
        });
        let end = samples(result.result_end_offset.expect("an end"));
        let stretch = raw()[2 * start..2 * end].to_vec();
        let whole = pb::RecognitionConfig {
            decoding: linear16().decoding,
            ..with(model)
        };
        let whole = mesh.recognize_audio(whole, stretch).await.expect("recognises");
        assert_eq!(finals(&replies), [text(&whole)]);
        assert_eq!(result.language_code, whole.language_code);
        let words = whole.results.iter().flat_map(|it| &it.alternatives[0].words);
        let words: Vec<_> = words.map(|word| &word.word).collect();
        let streamed: Vec<_> = result.alternatives[0]
            .words
            .iter()
            .map(|word| &word.word)
            .collect();
        assert_eq!(streamed, words);
    }
}

#[tokio::test]
async fn a_stream_without_speech_asks_the_model_nothing() {
    let mesh = Mesh::new().await;
    let quiet = pieces(&vec![0; 2 * RATE * 2], 16_000);
    let replies = mesh
        .stream(
            streaming(pb::RecognitionConfig {
                model: EN.to_owned(),
                ..linear16()
            }),
            quiet,
        )
        .await;
    assert!(results(&replies).is_empty());
    let ended = ended(&replies).expect("ended");
    let length = polyphony_proto::time::from_wire(&ended.audio_duration.expect("a length"));
    assert_eq!(length, Ok(Duration::from_secs(2)));
}
