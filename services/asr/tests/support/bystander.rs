//! What bad input is made of, and a stream that must not feel it.

use std::time::Duration;

use polyphony_proto::asr::v1::streaming_recognize_response::Event;

use super::{Open, Served, first, linear16, pieces, sound, streaming};

/// A client is told within this.
pub(crate) const SOON: Duration = Duration::from_secs(5);

pub(crate) fn wav(seconds: f32) -> Vec<u8> {
    let pcm = polyphony_audio::pcm::Pcm::mono(
        vec![0.25; (seconds * 16_000.0) as usize],
        polyphony_audio::pcm::SampleRate::SPEECH,
    );
    polyphony_audio::write::wav(&pcm, polyphony_audio::write::WavFormat::S16).expect("small")
}

/// The first half second of a WAV that declares a day, at 8 kHz, where a length still fits into 31 bits.
pub(crate) fn day() -> Vec<u8> {
    let mut day = wav(0.5);
    day[24..28].copy_from_slice(&8_000_u32.to_le_bytes());
    day[28..32].copy_from_slice(&16_000_u32.to_le_bytes());
    day[40..44].copy_from_slice(&(8_000_u32 * 2 * 86_400).to_le_bytes());
    day
}

/// A stream that must not feel what happens beside it.
pub(crate) async fn bystander(served: &Served) -> Open {
    let mut open = served.open().await.expect("opens");
    open.requests
        .send(first(streaming(linear16())))
        .await
        .expect("sends");
    let ready = open.replies.message().await.expect("ok").expect("a reply");
    assert!(matches!(ready.event, Some(Event::Ready(_))));
    open
}

pub(crate) async fn assert_untouched(mut open: Open) {
    for piece in pieces(&sound(&[0.5, 1.0, 1.0]), 16_000) {
        open.requests.send(piece).await.expect("sends");
    }
    drop(open.requests);
    let mut last = None;
    while let Some(reply) = open.replies.message().await.expect("untouched") {
        last = reply.event;
    }
    let Some(Event::Ended(ended)) = last else {
        panic!("{last:?}")
    };
    assert_eq!(ended.utterance_count, 1);
}
