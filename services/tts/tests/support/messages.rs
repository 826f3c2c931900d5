//! Requests, and what is looked for in replies.

use std::time::Duration;

use polyphony_audio::decode::{Decoder, decode};
use polyphony_audio::limits::{Cancel, Limits};
use polyphony_audio::pcm::{Encoding, Pcm, Spec};
use polyphony_proto::tts::v1 as pb;
use polyphony_proto::tts::v1::streaming_synthesize_response::Event;
use polyphony_proto::types::v1 as types;
use tonic::{Code, Status};
use tonic_types::StatusExt;

pub(crate) fn text(text: impl Into<String>) -> pb::SynthesisInput {
    pb::SynthesisInput {
        input: Some(pb::synthesis_input::Input::Text(text.into())),
        ..Default::default()
    }
}

pub(crate) fn ssml(document: impl Into<String>) -> pb::SynthesisInput {
    pb::SynthesisInput {
        input: Some(pb::synthesis_input::Input::Ssml(document.into())),
        ..Default::default()
    }
}

pub(crate) fn turns(turns: &[(&str, &str)]) -> pb::MultiSpeakerText {
    let turn = |(alias, text): &(&str, &str)| pb::multi_speaker_text::Turn {
        speaker_alias: (*alias).to_owned(),
        text: (*text).to_owned(),
    };
    pb::MultiSpeakerText {
        turns: turns.iter().map(turn).collect(),
    }
}

/// A config with this audio.
pub(crate) fn audio(audio: pb::AudioConfig) -> pb::SynthesisConfig {
    pb::SynthesisConfig {
        audio_config: Some(audio),
        ..Default::default()
    }
}

pub(crate) fn encoding(encoding: pb::OutputEncoding) -> pb::AudioConfig {
    pb::AudioConfig {
        audio_encoding: encoding.into(),
        ..Default::default()
    }
}

pub(crate) fn words(config: pb::SynthesisConfig) -> pb::SynthesisConfig {
    pb::SynthesisConfig {
        enable_word_time_offsets: Some(true),
        ..config
    }
}

/// The first message of a stream.
pub(crate) fn first(config: pb::SynthesisConfig) -> pb::StreamingSynthesizeRequest {
    first_with(pb::StreamingSynthesisConfig {
        config: Some(config),
        ..Default::default()
    })
}

pub(crate) fn first_with(config: pb::StreamingSynthesisConfig) -> pb::StreamingSynthesizeRequest {
    request(pb::streaming_synthesize_request::Request::StreamingConfig(config))
}

pub(crate) fn more(text: impl Into<String>) -> pb::StreamingSynthesizeRequest {
    input(pb::streaming_synthesis_input::Input::Text(text.into()))
}

pub(crate) fn input(input: pb::streaming_synthesis_input::Input) -> pb::StreamingSynthesizeRequest {
    request(pb::streaming_synthesize_request::Request::Input(
        pb::StreamingSynthesisInput {
            input: Some(input),
            ..Default::default()
        },
    ))
}

pub(crate) fn marker(id: impl Into<String>) -> pb::StreamingSynthesizeRequest {
    request(pb::streaming_synthesize_request::Request::Marker(types::Marker {
        id: id.into(),
    }))
}

pub(crate) fn flush() -> pb::StreamingSynthesizeRequest {
    request(pb::streaming_synthesize_request::Request::Flush(types::Flush {}))
}

pub(crate) fn cancel() -> pb::StreamingSynthesizeRequest {
    request(pb::streaming_synthesize_request::Request::Cancel(
        pb::CancelSpeech {},
    ))
}

pub(crate) fn request(request: pb::streaming_synthesize_request::Request) -> pb::StreamingSynthesizeRequest {
    pb::StreamingSynthesizeRequest {
        request: Some(request),
    }
}

/// The audio frames among the replies.
pub(crate) fn frames(replies: &[pb::StreamingSynthesizeResponse]) -> Vec<&pb::AudioFrame> {
    let frames = replies.iter().filter_map(|reply| match &reply.event {
        Some(Event::Audio(frame)) => Some(frame),
        _ => None,
    });
    frames.collect()
}

/// All audio of a stream.
pub(crate) fn joined(replies: &[pb::StreamingSynthesizeResponse]) -> Vec<u8> {
    let frames = frames(replies).into_iter();
    frames.flat_map(|frame| frame.audio_content.to_vec()).collect()
}

/// All words of a stream, in the order in which they came.
pub(crate) fn spoken(replies: &[pb::StreamingSynthesizeResponse]) -> Vec<pb::SpokenWord> {
    let frames = frames(replies).into_iter();
    frames.flat_map(|frame| frame.words.clone()).collect()
}

pub(crate) fn ended(replies: &[pb::StreamingSynthesizeResponse]) -> &pb::StreamingSynthesizeEnded {
    match replies.last().and_then(|reply| reply.event.as_ref()) {
        Some(Event::Ended(ended)) => ended,
        other => panic!("the last message is {other:?}"),
    }
}

pub(crate) fn time(wire: Option<prost_types::Duration>) -> Duration {
    let wire = wire.expect("a time");
    Duration::new(wire.seconds as u64, wire.nanos as u32)
}

/// What is in a file.
pub(crate) fn heard(bytes: &[u8]) -> Pcm {
    decode(bytes, &Limits::default(), &Cancel::new())
        .expect("decodes")
        .pcm
}

/// What is in raw samples.
pub(crate) fn raw(bytes: &[u8], encoding: Encoding, rate: u32) -> Pcm {
    let spec = Spec::new(rate, 1).expect("valid");
    let mut decoder = Decoder::open_raw(bytes, encoding, spec, &Limits::default()).expect("opens");
    let mut samples = Vec::new();
    while let Some(block) = decoder.next_block().expect("decodes") {
        samples.extend_from_slice(block.samples());
    }
    Pcm::new(samples, spec)
}

/// The root mean square of a stretch, full scale 1.
pub(crate) fn loudness(pcm: &Pcm) -> f64 {
    let power: f64 = pcm
        .samples()
        .iter()
        .map(|sample| f64::from(*sample).powi(2))
        .sum();
    (power / pcm.samples().len() as f64).sqrt()
}

/// That words stand where they say, in order, within the audio, and with beginnings where they are spoken.
#[track_caller]
pub(crate) fn assert_words(words: &[pb::SpokenWord], text: &str, length: Duration) {
    let (mut clock, mut place) = (Duration::ZERO, 0);
    for word in words {
        let range = word.source_text_range.expect("a place");
        let (start, end) = (range.start_byte as usize, range.end_byte as usize);
        assert_eq!(&text[start..end], word.word, "where it says it stands");
        assert!(start >= place, "{word:?} is behind {place}");
        place = end;
        let (start, end) = (time(word.start_offset), time(word.end_offset));
        assert!(
            start >= clock && end >= start && end <= length + Duration::from_millis(1),
            "{word:?}"
        );
        clock = start;
    }
}

/// That a status has this code, a reason, and if it is named this field among its violations.
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
        field.is_empty() || fields.iter().any(|found| found == field),
        "{field} is not among {fields:?}: {}",
        status.message()
    );
}

/// That a status has this code and reason.
#[track_caller]
pub(crate) fn assert_status(status: &Status, code: Code, reason: &str) {
    let details = status.get_error_details();
    let info = details.error_info().map(|info| info.reason.as_str());
    assert_eq!((status.code(), info), (code, Some(reason)), "{status:?}");
}
