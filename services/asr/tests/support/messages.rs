//! Requests, and what is looked for in replies.

use polyphony_asr::domain::SAMPLE_RATE;
use polyphony_proto::asr::v1 as pb;
use polyphony_proto::types::v1 as types;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Raw 16-bit samples at 16 kHz.
pub(crate) fn linear16() -> pb::RecognitionConfig {
    pb::RecognitionConfig {
        decoding: Some(pb::recognition_config::Decoding::ExplicitDecoding(
            types::ExplicitDecoding {
                encoding: types::AudioEncoding::Linear16.into(),
                sample_rate_hertz: SAMPLE_RATE,
                audio_channel_count: 1,
            },
        )),
        ..Default::default()
    }
}

pub(crate) fn streaming(config: pb::RecognitionConfig) -> pb::StreamingRecognitionConfig {
    pb::StreamingRecognitionConfig {
        config: Some(config),
        ..Default::default()
    }
}

/// Seconds of silence and sound, by turns, as raw 16-bit samples.
pub(crate) fn sound(turns: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (at, seconds) in turns.iter().enumerate() {
        let sample: i16 = if at % 2 == 0 { 0 } else { 8_000 };
        for _ in 0..(seconds * SAMPLE_RATE as f32) as usize {
            bytes.extend_from_slice(&sample.to_le_bytes());
        }
    }
    bytes
}

pub(crate) fn inline(bytes: impl Into<Vec<u8>>) -> Option<types::Media> {
    let bytes: Vec<u8> = bytes.into();
    Some(types::Media {
        source: Some(types::media::Source::Inline(bytes.into())),
    })
}

pub(crate) fn first(config: pb::StreamingRecognitionConfig) -> pb::StreamingRecognizeRequest {
    request(pb::streaming_recognize_request::Request::StreamingConfig(config))
}

pub(crate) fn audio(bytes: &[u8]) -> pb::StreamingRecognizeRequest {
    request(pb::streaming_recognize_request::Request::Audio(
        bytes.to_vec().into(),
    ))
}

pub(crate) fn marker(id: &str) -> pb::StreamingRecognizeRequest {
    request(pb::streaming_recognize_request::Request::Marker(types::Marker {
        id: id.to_owned(),
    }))
}

pub(crate) fn flush() -> pb::StreamingRecognizeRequest {
    request(pb::streaming_recognize_request::Request::Flush(types::Flush {}))
}

fn request(request: pb::streaming_recognize_request::Request) -> pb::StreamingRecognizeRequest {
    pb::StreamingRecognizeRequest {
        request: Some(request),
    }
}

pub(crate) fn pieces(bytes: &[u8], size: usize) -> Vec<pb::StreamingRecognizeRequest> {
    bytes.chunks(size).map(audio).collect()
}

/// The results among the replies.
pub(crate) fn results(replies: &[pb::StreamingRecognizeResponse]) -> Vec<&pb::StreamingRecognitionResult> {
    let mut found = Vec::new();
    for reply in replies {
        if let Some(pb::streaming_recognize_response::Event::Result(result)) = &reply.event {
            found.push(result);
        }
    }
    found
}

pub(crate) fn finals(replies: &[pb::StreamingRecognizeResponse]) -> Vec<String> {
    let finals = results(replies).into_iter().filter(|result| result.is_final);
    finals
        .map(|result| result.alternatives[0].transcript.clone())
        .collect()
}

pub(crate) fn ended(replies: &[pb::StreamingRecognizeResponse]) -> Option<&pb::StreamEnded> {
    match &replies.last()?.event {
        Some(pb::streaming_recognize_response::Event::Ended(ended)) => Some(ended),
        _ => None,
    }
}

/// That a status has this code, this field among its violations, and a reason.
#[track_caller]
pub(crate) fn assert_refused(status: &Status, code: Code, field: &str) {
    assert_eq!(status.code(), code, "{status:?}");
    let details = status.get_error_details();
    assert!(details.error_info().is_some(), "{status:?}");
    let fields: Vec<String> = details
        .bad_request()
        .map(|bad| bad.field_violations.iter().map(|v| v.field.clone()).collect())
        .unwrap_or_default();
    assert!(
        fields.iter().any(|found| found == field),
        "{field} is not among {fields:?}: {}",
        status.message()
    );
}
