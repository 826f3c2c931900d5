//! What a stream tells, and in which order.

use std::time::Duration;

use polyphony_proto::asr::v1 as pb;
use polyphony_proto::asr::v1::streaming_recognize_response::Event;

use crate::support::{
    audio, config, ended, finals, first, flush, linear16, marker, pieces, results, served, sound, streaming,
};

#[tokio::test]
async fn ready_comes_first_and_ended_last() {
    let served = served(config(), Duration::ZERO).await;
    let mut all = vec![first(streaming(linear16()))];
    all.extend(pieces(&sound(&[0.5, 2.0, 1.5]), 6_400));
    let (replies, status) = served.stream(all).await;
    status.expect("ends well");
    let Some(Event::Ready(ready)) = &replies[0].event else {
        panic!("{:?}", replies[0])
    };
    let effective = ready.effective_config.as_ref().expect("an effective config");
    assert_eq!(
        effective.config.as_ref().map(|config| config.model.as_str()),
        Some("counter")
    );
    assert_eq!(
        effective
            .endpointing
            .and_then(|endpointing| endpointing.stop_threshold),
        Some(0.98)
    );
    let ended = ended(&replies).expect("ended");
    assert_eq!(
        (ended.reason(), ended.utterance_count),
        (pb::EndReason::ClientClosed, 1)
    );
    assert_eq!(
        ended.audio_duration.map(|length| (length.seconds, length.nanos)),
        Some((4, 0))
    );
    let sequence: Vec<u64> = replies.iter().map(|reply| reply.sequence).collect();
    assert_eq!(sequence, (1..=replies.len() as u64).collect::<Vec<_>>());
    assert_eq!(finals(&replies), ["w0 w1 w2 w3"]);
    assert_eq!(served.open_streams().await, 0);
}

#[tokio::test]
async fn headers_come_before_the_first_message() {
    let served = served(config(), Duration::ZERO).await;
    // A client that waits for headers before it sends anything is not left waiting.
    let mut open = tokio::time::timeout(Duration::from_secs(5), served.open())
        .await
        .expect("headers")
        .expect("opens");
    open.requests
        .send(first(streaming(linear16())))
        .await
        .expect("sends");
    let ready = open.replies.message().await.expect("ok").expect("a reply");
    assert!(matches!(ready.event, Some(Event::Ready(_))));
}

#[tokio::test]
async fn the_final_text_does_not_depend_on_the_cut_nor_on_the_container() {
    let served = served(config(), Duration::ZERO).await;
    let raw = sound(&[0.3, 2.2, 1.1, 1.4, 1.0]);
    let mut wav = polyphony_audio::write::wav_stream_header(
        polyphony_audio::pcm::Spec::SPEECH,
        polyphony_audio::write::WavFormat::S16,
    )
    .to_vec();
    wav.extend_from_slice(&raw);
    let mut texts = Vec::new();
    for size in [7, 999, 32_768] {
        let mut all = vec![first(streaming(linear16()))];
        all.extend(pieces(&raw, size));
        let (replies, status) = served.stream(all).await;
        status.expect("ends well");
        texts.push(finals(&replies));
        let mut all = vec![first(pb::StreamingRecognitionConfig::default())];
        all.extend(pieces(&wav, size));
        let (replies, status) = served.stream(all).await;
        status.expect("ends well");
        texts.push(finals(&replies));
    }
    assert_eq!(texts[0].len(), 2);
    assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
}

#[tokio::test]
async fn interim_results_grow_and_keep_what_is_stable() {
    let served = served(config(), Duration::ZERO).await;
    let asked = pb::StreamingRecognitionConfig {
        interim_results: Some(true),
        ..streaming(linear16())
    };
    let mut all = vec![first(asked)];
    all.extend(pieces(&sound(&[0.5, 4.0, 1.5]), 3_200));
    let (replies, status) = served.stream(all).await;
    status.expect("ends well");
    let told = results(&replies);
    assert!(told.len() > 4);
    let mut stable = String::new();
    for result in told {
        let text = &result.alternatives[0].transcript;
        assert!(text.starts_with(&stable), "{text:?} takes back {stable:?}");
        stable = text[..result.stable_prefix_len as usize].to_owned();
    }
}

#[tokio::test]
async fn markers_come_back_in_their_place_and_a_flush_ends_the_utterance() {
    let served = served(config(), Duration::ZERO).await;
    let mut open = served.open().await.expect("opens");
    open.requests
        .send(first(streaming(linear16())))
        .await
        .expect("sends");
    for piece in pieces(&sound(&[0.5, 1.5]), 8_000) {
        open.requests.send(piece).await.expect("sends");
    }
    open.requests.send(flush()).await.expect("sends");
    open.requests
        .send(marker("after the flush"))
        .await
        .expect("sends");
    let mut order = Vec::new();
    while let Some(reply) = open.replies.message().await.expect("ok") {
        match reply.event {
            Some(Event::Result(result)) if result.is_final => order.push("final".to_owned()),
            Some(Event::Marker(marker)) => {
                order.push(marker.id);
                break;
            }
            _ => {}
        }
    }
    assert_eq!(order, ["final", "after the flush"]);
    // The stream is still open.
    open.requests.send(audio(&sound(&[0.5]))).await.expect("sends");
    drop(open.requests);
    let mut last = None;
    while let Some(reply) = open.replies.message().await.expect("ok") {
        last = Some(reply);
    }
    assert!(matches!(
        last.and_then(|reply| reply.event),
        Some(Event::Ended(_))
    ));
}

#[tokio::test]
async fn a_single_utterance_ends_the_stream_though_the_client_goes_on() {
    let served = served(config(), Duration::ZERO).await;
    let asked = pb::StreamingRecognitionConfig {
        single_utterance: Some(true),
        enable_voice_activity_events: Some(true),
        start_time: Some(prost_types::Timestamp {
            seconds: 1_700_000_000,
            nanos: 0,
        }),
        ..streaming(linear16())
    };
    let mut open = served.open().await.expect("opens");
    open.requests.send(first(asked)).await.expect("sends");
    for piece in pieces(&sound(&[1.0, 1.0, 2.0]), 32_000) {
        open.requests.send(piece).await.expect("sends");
    }
    let mut replies = Vec::new();
    while let Some(reply) = open.replies.message().await.expect("ok") {
        replies.push(reply);
    }
    assert_eq!(
        ended(&replies).map(pb::StreamEnded::reason),
        Some(pb::EndReason::SingleUtterance)
    );
    let mut speech = Vec::new();
    for reply in &replies {
        if let Some(Event::SpeechEvent(event)) = &reply.event {
            speech.push((
                event.r#type(),
                event.time.expect("a time").seconds - 1_700_000_000,
            ));
        }
    }
    use pb::SpeechEventType::{EndOfSingleUtterance, SpeechActivityBegin, SpeechActivityEnd};
    assert_eq!(
        speech.iter().map(|event| event.0).collect::<Vec<_>>(),
        [SpeechActivityBegin, SpeechActivityEnd, EndOfSingleUtterance]
    );
    assert!(speech[0].1 <= 1 && speech[1].1 >= 2, "{speech:?}");
}

#[tokio::test]
async fn timeouts_end_the_stream_with_their_reason() {
    let served = served(config(), Duration::ZERO).await;
    let second = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    let timeouts = pb::VoiceActivityTimeout {
        speech_start_timeout: second,
        speech_end_timeout: second,
    };
    let asked = pb::StreamingRecognitionConfig {
        voice_activity_timeout: Some(timeouts),
        ..streaming(linear16())
    };
    for (turns, reason) in [
        (vec![3.0], pb::EndReason::SpeechStartTimeout),
        (vec![0.5, 1.0, 3.0], pb::EndReason::SpeechEndTimeout),
    ] {
        let mut all = vec![first(asked.clone())];
        all.extend(pieces(&sound(&turns), 16_000));
        let (replies, status) = served.stream(all).await;
        status.expect("ends well");
        assert_eq!(ended(&replies).map(pb::StreamEnded::reason), Some(reason));
    }
}
