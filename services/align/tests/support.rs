//! The real program on port 0, with espeak-ng as the set-up installs it, and what is sent to it.

use std::time::{Duration, Instant};

use polyphony_align::Align;
use polyphony_proto::align::v1 as pb;
use polyphony_proto::align::v1::align_service_client::AlignServiceClient;
use polyphony_proto::align::v1::align_service_server::SERVICE_NAME;
use polyphony_proto::types::v1 as types;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

pub(crate) type Client = AlignServiceClient<Channel>;

/// "go forward ten meters", 3.3 s, another synthesiser's voice between two silences.
pub(crate) const SPEECH: &[u8] = include_bytes!("../../asr/tests/fixtures/go_forward.flac");
pub(crate) const WORDS: &str = "Go forward, ten meters!";
/// A client is told within this.
pub(crate) const SOON: Duration = Duration::from_secs(5);

/// Serves with these settings, as flags would set them, above those of the environment.
pub(crate) async fn program(settings: &[&str]) -> Client {
    let running = polyphony_harness::program::<Align>(SERVICE_NAME, settings).await;
    AlignServiceClient::new(running.channel().await).max_decoding_message_size(64 << 20)
}

pub(crate) fn inline(bytes: impl Into<Vec<u8>>) -> Option<types::Media> {
    let bytes: Vec<u8> = bytes.into();
    Some(types::Media {
        source: Some(types::media::Source::Inline(bytes.into())),
    })
}

pub(crate) fn english() -> pb::AlignmentConfig {
    pb::AlignmentConfig {
        language_code: "en-US".to_owned(),
        ..Default::default()
    }
}

pub(crate) fn request(
    config: pb::AlignmentConfig,
    audio: impl Into<Vec<u8>>,
    text: impl Into<String>,
) -> pb::AlignRequest {
    pb::AlignRequest {
        config: Some(config),
        audio: inline(audio),
        transcript: Some(pb::align_request::Transcript::Text(text.into())),
    }
}

pub(crate) async fn align(client: &Client, request: pb::AlignRequest) -> Result<pb::AlignResponse, Status> {
    client
        .clone()
        .align(request)
        .await
        .map(tonic::Response::into_inner)
}

/// Refused with this code, soon, and with what programs match on. Gives the reason and the fields at fault.
pub(crate) async fn refused(client: &Client, request: pb::AlignRequest, code: Code) -> (String, Vec<String>) {
    let began = Instant::now();
    let status = align(client, request).await.expect_err("is refused");
    assert!(began.elapsed() < SOON, "{:?} for {status:?}", began.elapsed());
    assert_eq!(status.code(), code, "{status:?}");
    told(&status)
}

/// The reason and the fields of a status.
pub(crate) fn told(status: &Status) -> (String, Vec<String>) {
    let details = status.get_error_details();
    let reason = details.error_info().expect("ErrorInfo").reason.clone();
    let fields = details.bad_request().map(|bad| {
        bad.field_violations
            .iter()
            .map(|field| field.field.clone())
            .collect()
    });
    (reason, fields.unwrap_or_default())
}

/// Seconds.
pub(crate) fn seconds(offset: Option<prost_types::Duration>) -> f64 {
    let offset = offset.expect("a time");
    offset.seconds as f64 + f64::from(offset.nanos) / 1e9
}

/// A WAV of silence.
pub(crate) fn silence(length: f32) -> Vec<u8> {
    use polyphony_audio::pcm::{Pcm, SampleRate};
    let pcm = Pcm::mono(vec![0.0; (length * 16_000.0) as usize], SampleRate::SPEECH);
    polyphony_audio::write::wav(&pcm, polyphony_audio::write::WavFormat::S16).expect("small")
}
