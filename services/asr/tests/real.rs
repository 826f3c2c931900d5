//! CMU Sphinx and Silero as the set-up installs them, on a synthetic voice.

use polyphony_proto::asr::v1 as pb;
use polyphony_proto::asr::v1::asr_service_client::AsrServiceClient;
use polyphony_proto::asr::v1::streaming_recognize_response::Event;
use tonic::transport::Channel;

use crate::support::{audio, ended, finals, first, inline, program, results};

const SPEECH: &[u8] = include_bytes!("fixtures/go_forward.flac");
const WORDS: &str = "go forward ten meters";

/// The real program, with CMU Sphinx whatever else is on disk.
async fn real() -> AsrServiceClient<Channel> {
    program(vec!["asr.engine=pocketsphinx".to_owned()]).await
}

async fn stream(
    client: &AsrServiceClient<Channel>,
    interim: bool,
    cut: usize,
) -> Vec<pb::StreamingRecognizeResponse> {
    let features = pb::RecognitionFeatures {
        enable_word_time_offsets: Some(true),
        ..Default::default()
    };
    let config = pb::StreamingRecognitionConfig {
        config: Some(pb::RecognitionConfig {
            features: Some(features),
            ..Default::default()
        }),
        interim_results: Some(interim),
        ..Default::default()
    };
    let mut all = vec![first(config)];
    all.extend(SPEECH.chunks(cut).map(audio));
    let mut replies = client
        .clone()
        .streaming_recognize(tokio_stream::iter(all))
        .await
        .expect("opens")
        .into_inner();
    let mut seen = Vec::new();
    while let Some(reply) = replies.message().await.expect("ok") {
        seen.push(reply);
    }
    seen
}

#[tokio::test]
async fn speech_becomes_words_with_times_whole_and_streamed() {
    let client = real().await;
    let features = pb::RecognitionFeatures {
        enable_word_time_offsets: Some(true),
        ..Default::default()
    };
    let request = pb::RecognizeRequest {
        config: Some(pb::RecognitionConfig {
            features: Some(features),
            language_codes: vec!["en".to_owned()],
            ..Default::default()
        }),
        audio: inline(SPEECH.to_vec()),
    };
    let response = client
        .clone()
        .recognize(request)
        .await
        .expect("recognises")
        .into_inner();
    let alternative = &response.results[0].alternatives[0];
    assert_eq!(alternative.transcript, WORDS);
    let starts: Vec<_> = alternative
        .words
        .iter()
        .map(|word| word.start_offset.expect("a time"))
        .collect();
    let starts: Vec<f64> = starts
        .iter()
        .map(|at| at.seconds as f64 + f64::from(at.nanos) / 1e9)
        .collect();
    assert!(
        starts.is_sorted() && (0.4..0.8).contains(&starts[0]),
        "{starts:?}"
    );
    let receipt = response.receipt.expect("a receipt");
    assert_eq!(
        (receipt.engine.as_str(), receipt.model.as_str()),
        ("pocketsphinx", "pocketsphinx-en-us")
    );
    assert_eq!(
        receipt.degraded.map(|degraded| degraded.reason).as_deref(),
        Some("NO_NEURAL_MODEL")
    );
    assert!(receipt.model_digest.starts_with("sha256:") && receipt.timings.is_some());

    let replies = stream(&client, true, 4_000).await;
    assert_eq!(finals(&replies), [WORDS]);
    assert!(
        results(&replies).iter().any(|result| !result.is_final),
        "no interim result"
    );
    let words = &results(&replies).last().expect("a result").alternatives[0].words;
    let streamed = words[0].start_offset.expect("a time");
    assert!(
        (streamed.seconds as f64 + f64::from(streamed.nanos) / 1e9 - starts[0]).abs() < 0.2,
        "{streamed:?}"
    );
    let Some(Event::Ready(ready)) = &replies[0].event else {
        panic!("{:?}", replies[0])
    };
    assert!(
        ready
            .receipt
            .as_ref()
            .is_some_and(|receipt| receipt.degraded.is_some())
    );
    assert!(ended(&replies).is_some());

    // The same sound gives the same words, however it is cut and whoever spoke before.
    let again: Vec<_> = [
        stream(&client, true, 700).await,
        stream(&client, true, 20_000).await,
    ]
    .iter()
    .map(|replies| results(replies).into_iter().cloned().collect::<Vec<_>>())
    .collect();
    let told: Vec<_> = results(&replies).into_iter().cloned().collect();
    assert!(again.iter().all(|other| *other == told), "{again:#?}");
}

#[tokio::test]
async fn capabilities_are_told_before_anything_is_loaded() {
    let client = real().await;
    let capabilities = client
        .clone()
        .get_capabilities(pb::GetCapabilitiesRequest {})
        .await
        .expect("capabilities");
    let model = &capabilities.get_ref().models[0];
    assert_eq!(
        (model.model.as_str(), model.language_codes.as_slice()),
        ("pocketsphinx-en-us", ["en-US".to_owned()].as_slice())
    );
    assert!(model.degraded.is_some() && model.supported_fields.contains(&"interim_results".to_owned()));
}

#[tokio::test]
async fn silence_has_no_words() {
    let client = real().await;
    let quiet = polyphony_audio::pcm::Pcm::mono(vec![0.0; 64_000], polyphony_audio::pcm::SampleRate::SPEECH);
    let quiet = polyphony_audio::write::wav(&quiet, polyphony_audio::write::WavFormat::S16).expect("small");
    let request = pb::RecognizeRequest {
        config: None,
        audio: inline(quiet),
    };
    let response = client
        .clone()
        .recognize(request)
        .await
        .expect("recognises")
        .into_inner();
    assert!(response.results.is_empty(), "{response:?}");
}
