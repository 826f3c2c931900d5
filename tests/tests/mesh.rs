//! The whole mesh as one process: stopping under load, and hostile input beside a healthy stream.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::{FutureExt, StreamExt};
use polyphony_proto::asr::v1 as pb;
use polyphony_proto::asr::v1::asr_service_client::AsrServiceClient;
use polyphony_proto::asr::v1::streaming_recognize_request::Request as Message;
use polyphony_proto::asr::v1::streaming_recognize_response::Event;
use polyphony_proto::types::v1::{AudioEncoding, ExplicitDecoding, Media, media};
use polyphony_testing::Meters;
use polyphony_tests::{Mesh, speech, speech_bytes, wav};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// `gateway.drain.deadline` here, long enough for the calls in flight on a busy machine.
const DRAIN: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_under_load_loses_no_call_and_ends_streams_with_a_reason() {
    let mut mesh = Mesh::start_with(&["gateway.drain.deadline=10s"]);
    let channel = mesh.channel().await;
    let bare = tokio::net::TcpStream::connect(mesh.address())
        .await
        .expect("the gateway accepts");
    // The first call loads the model; what follows is in flight while the process is told to stop.
    recognize(AsrServiceClient::new(channel.clone()))
        .await
        .expect("recognised");

    let mut endless = endless_stream(AsrServiceClient::new(channel.clone())).await;
    let mut unary: Vec<_> = (0..3)
        .map(|_| Box::pin(recognize(AsrServiceClient::new(channel.clone()))))
        .collect();
    for call in &mut unary {
        // Looked at once, a call is on its way.
        assert!(call.now_or_never().is_none());
    }
    // It was sent after them on the same connection, so once it is answered the mesh has them.
    AsrServiceClient::new(channel.clone())
        .get_capabilities(pb::GetCapabilitiesRequest {})
        .await
        .expect("answered");
    let unary: Vec<_> = unary.into_iter().map(tokio::spawn).collect();

    let told = Instant::now();
    mesh.terminate();
    for call in join_all(unary).await {
        let text = call.expect("the call ends").expect("no call in flight is lost");
        assert_eq!(text, speech().1);
    }
    let status = loop {
        match endless
            .results
            .next()
            .await
            .expect("a stream does not end without a status")
        {
            Ok(_) => {}
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(
        status.get_error_details().error_info().is_some(),
        "no reason: {status:?}"
    );

    let exit = mesh.wait(DRAIN + Duration::from_secs(2));
    assert!(exit.success(), "exit {exit} after {:?}", told.elapsed());
    drop(bare);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_is_answered_clearly_and_touches_nobody_else() {
    let mesh = Mesh::start();
    let channel = mesh.channel().await;
    let good = speech_bytes();
    recognize(AsrServiceClient::new(channel.clone()))
        .await
        .expect("recognised");
    let mut neighbour = endless_stream(AsrServiceClient::new(channel.clone())).await;
    let before = Meters::of(mesh.pid());

    let lying = {
        let mut wav = wav(&[0; 3_200]);
        wav[40..44].copy_from_slice(&1_000_000_u32.to_le_bytes());
        wav
    };
    let cases: Vec<(&str, pb::RecognizeRequest, Code, &str)> = vec![
        ("no bytes", request(Vec::new()), Code::InvalidArgument, "audio"),
        (
            "not audio",
            request(b"GET / HTTP/1.1\r\n\r\n".repeat(50)),
            Code::InvalidArgument,
            "audio",
        ),
        (
            "truncated",
            request(good[..good.len() / 2].to_vec()),
            Code::InvalidArgument,
            "audio",
        ),
        (
            "a WAV that lies about its length",
            request(lying),
            Code::InvalidArgument,
            "audio",
        ),
        (
            "unsupported language",
            with(|c| c.language_codes = vec!["tlh".into()]),
            Code::InvalidArgument,
            "config.language_codes",
        ),
        (
            "unknown model",
            with(|c| c.model = "whisper-enormous".into()),
            Code::NotFound,
            "",
        ),
    ];
    for (what, request, code, field) in cases {
        let asked = Instant::now();
        let status = AsrServiceClient::new(channel.clone())
            .recognize(request)
            .await
            .expect_err(what);
        assert!(
            asked.elapsed() < Duration::from_secs(5),
            "{what}: answered after {:?}",
            asked.elapsed()
        );
        assert_eq!(status.code(), code, "{what}: {status:?}");
        let details = status.get_error_details();
        assert!(details.error_info().is_some(), "{what}: no ErrorInfo");
        match details.bad_request() {
            Some(bad) => assert!(
                bad.field_violations[0].field.starts_with(field),
                "{what}: {bad:?}"
            ),
            None => assert_eq!(
                details.resource_info().expect(what).resource_name,
                "whisper-enormous"
            ),
        }
    }

    let grown = Meters::of(mesh.pid()).rss_bytes.saturating_sub(before.rss_bytes);
    assert!(grown < 64 << 20, "memory grew by {grown} bytes");
    neighbour
        .audio
        .send(Message::Flush(Default::default()))
        .await
        .expect("the neighbour's stream is open");
    neighbour
        .audio
        .send(marker("still here"))
        .await
        .expect("the neighbour's stream is open");
    loop {
        let response = neighbour.results.next().await.expect("open").expect("healthy");
        if matches!(response.event, Some(Event::Marker(ref marker)) if marker.id == "still here") {
            break;
        }
    }
}

struct Endless {
    audio: mpsc::Sender<Message>,
    results: tonic::Streaming<pb::StreamingRecognizeResponse>,
}

/// A stream that is open, has got some silence, and does not end by itself.
async fn endless_stream(mut asr: AsrServiceClient<tonic::transport::Channel>) -> Endless {
    let (audio, messages) = mpsc::channel(8);
    let raw = ExplicitDecoding {
        encoding: AudioEncoding::Linear16.into(),
        sample_rate_hertz: 16_000,
        audio_channel_count: 1,
    };
    let config = pb::RecognitionConfig {
        decoding: Some(pb::recognition_config::Decoding::ExplicitDecoding(raw)),
        ..Default::default()
    };
    let config = pb::StreamingRecognitionConfig {
        config: Some(config),
        ..Default::default()
    };
    audio.send(Message::StreamingConfig(config)).await.expect("room");
    audio
        .send(Message::Audio(vec![0; 3_200].into()))
        .await
        .expect("room");
    let messages = ReceiverStream::new(messages).map(|request| pb::StreamingRecognizeRequest {
        request: Some(request),
    });
    let mut results = asr
        .streaming_recognize(messages)
        .await
        .expect("the stream opens")
        .into_inner();
    let first = results.next().await.expect("a message").expect("healthy");
    assert!(matches!(first.event, Some(Event::Ready(_))), "{first:?}");
    Endless { audio, results }
}

async fn recognize(mut asr: AsrServiceClient<tonic::transport::Channel>) -> Result<String, Status> {
    let response = asr.recognize(request(speech_bytes())).await?.into_inner();
    let texts = response
        .results
        .into_iter()
        .map(|result| result.alternatives[0].transcript.clone());
    Ok(texts.collect::<Vec<_>>().join(" "))
}

fn request(audio: Vec<u8>) -> pb::RecognizeRequest {
    let audio = Media {
        source: Some(media::Source::Inline(audio.into())),
    };
    pb::RecognizeRequest {
        config: None,
        audio: Some(audio),
    }
}

fn with(change: impl FnOnce(&mut pb::RecognitionConfig)) -> pb::RecognizeRequest {
    let mut request = request(speech_bytes());
    change(request.config.get_or_insert_default());
    request
}

fn marker(id: &str) -> Message {
    Message::Marker(polyphony_proto::types::v1::Marker { id: id.into() })
}
