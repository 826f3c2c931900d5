//! `StreamingDiarize`: segments as they are spoken, markers in order, and an end that is said.

use polyphony_proto::diar::v1 as pb;
use polyphony_proto::diar::v1::streaming_diarize_request::Request as Message;
use polyphony_proto::diar::v1::streaming_diarize_response::Event;
use polyphony_proto::types::v1 as types;
use tonic::Code;

use super::support::{CONVERSATION, assert_refused, served};

fn raw(samples: &[f32]) -> Vec<u8> {
    let bytes = samples
        .iter()
        .flat_map(|sample| ((sample * 32_767.0) as i16).to_le_bytes());
    bytes.collect()
}

fn config() -> Message {
    Message::StreamingConfig(pb::StreamingDiarizationConfig {
        config: Some(pb::DiarizationConfig {
            explicit_decoding: Some(types::ExplicitDecoding {
                encoding: types::AudioEncoding::Linear16.into(),
                sample_rate_hertz: 16_000,
                audio_channel_count: 1,
            }),
            ..pb::DiarizationConfig::default()
        }),
        ..pb::StreamingDiarizationConfig::default()
    })
}

fn requests(messages: Vec<Message>) -> impl tokio_stream::Stream<Item = pb::StreamingDiarizeRequest> {
    tokio_stream::iter(messages.into_iter().map(|message| pb::StreamingDiarizeRequest {
        request: Some(message),
    }))
}

#[tokio::test]
async fn a_conversation_is_told_while_it_is_spoken() {
    let mut served = served(&[]).await;
    let bytes = raw(&CONVERSATION);
    let mut messages = vec![config()];
    messages.extend(
        bytes
            .chunks(16 << 10)
            .map(|chunk| Message::Audio(chunk.to_vec().into())),
    );
    messages.push(Message::Marker(types::Marker { id: "all".to_owned() }));
    let mut replies = served
        .client
        .streaming_diarize(requests(messages))
        .await
        .expect("opened")
        .into_inner();
    let (mut events, mut sequence) = (Vec::new(), 0);
    while let Some(reply) = replies.message().await.expect("no error") {
        assert_eq!(reply.sequence, sequence + 1);
        sequence = reply.sequence;
        events.push(reply.event.expect("an event"));
    }
    assert!(matches!(events.first(), Some(Event::Ready(_))), "{events:?}");
    let Some(Event::Ended(ended)) = events.last() else {
        panic!("the end is not said: {events:?}");
    };
    assert_eq!(ended.speakers.len(), 2, "{ended:?}");
    let marker = events.iter().position(|event| matches!(event, Event::Marker(_)));
    let before = &events[..marker.expect("the marker is echoed")];
    assert!(
        before.iter().any(|event| matches!(event, Event::Segments(_))),
        "{events:?}"
    );
}

#[tokio::test]
async fn what_is_no_stream_is_refused_by_field() {
    let mut served = served(&[]).await;
    let exclusive = Message::StreamingConfig(pb::StreamingDiarizationConfig {
        config: Some(pb::DiarizationConfig {
            include_exclusive: Some(true),
            ..pb::DiarizationConfig::default()
        }),
        ..pb::StreamingDiarizationConfig::default()
    });
    let slow = Message::StreamingConfig(pb::StreamingDiarizationConfig {
        latency_duration: Some(prost_types::Duration {
            seconds: 11,
            nanos: 0,
        }),
        ..pb::StreamingDiarizationConfig::default()
    });
    let long = Message::Marker(types::Marker { id: "x".repeat(129) });
    for (messages, field) in [
        (vec![Message::Audio(vec![0; 4].into())], "streaming_config"),
        (vec![], "streaming_config"),
        (vec![exclusive], "streaming_config.config.include_exclusive"),
        (vec![slow], "streaming_config.latency_duration"),
        (vec![config(), config()], "streaming_config"),
        (
            vec![config(), Message::Audio(vec![0; (32 << 10) + 1].into())],
            "audio",
        ),
        (vec![config(), long], "marker.id"),
    ] {
        let mut replies = served
            .client
            .streaming_diarize(requests(messages))
            .await
            .expect("opened")
            .into_inner();
        let status = loop {
            match replies.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("{field}: ended without a status"),
                Err(status) => break status,
            }
        };
        assert_refused(&status, Code::InvalidArgument, field);
    }
}
