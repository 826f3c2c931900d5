//! Streams with espeak-ng: audio while the text is written, words in order, flush, cancel, markers, and clients that go.

use std::time::Duration;

use pb::OutputEncoding as Wire;
use pb::streaming_synthesize_response::Event;
use polyphony_audio::pcm::Encoding;
use polyphony_proto::tts::v1 as pb;
use polyphony_proto::types::v1 as types;
use polyphony_testing::eventually_some;
use tonic::Code;

use crate::support::{
    Open, PATIENCE, assert_status, assert_words, audio, cancel, config, encoding, ended, first, first_with,
    flush, frames, heard, input, joined, loudness, marker, more, raw, served, spoken, time, turns, words,
};

const TEXT: &str = "Well, to be honest, I do not know. Ask Dr. Smith, who paid $3.50 for it! \
                    She will be here tomorrow at nine, or so they say.";

/// A long text, of many minutes.
fn long() -> String {
    "She sells sea shells by the sea shore, and the shells that she sells are sea shells, surely. ".repeat(50)
}

async fn ready(open: &mut Open, config: pb::SynthesisConfig) -> pb::StreamingSynthesizeReady {
    open.send(first(config)).await;
    match open.next().await {
        Some(Event::Ready(ready)) => ready,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_stream_speaks_as_it_is_written_with_words_in_order() {
    let served = served(config()).await;
    for cut in [1, 7, 1_000] {
        let mut all = vec![first(words(pb::SynthesisConfig::default()))];
        let letters: Vec<char> = TEXT.chars().collect();
        all.extend(
            letters
                .chunks(cut)
                .map(|piece| more(piece.iter().collect::<String>())),
        );
        let (replies, end) = served.stream(all).await;
        end.expect("ends well");
        let sequence: Vec<u64> = replies.iter().map(|reply| reply.sequence).collect();
        assert_eq!(sequence, (1..=replies.len() as u64).collect::<Vec<_>>());
        assert!(matches!(&replies[0].event, Some(Event::Ready(ready)) if !ready.session_id.is_empty()));
        let pcm = raw(&joined(&replies), Encoding::S16, 22_050);
        let length = time(ended(&replies).audio_duration);
        assert_eq!(length, pcm.duration());
        assert!(loudness(&pcm) > 0.01 && length > Duration::from_secs(4));
        assert_words(&spoken(&replies), TEXT, length);
        assert_eq!(spoken(&replies).len(), 27, "in pieces of {cut}");
        // Frames follow one another, and each word comes with the audio in which it begins.
        let mut clock = Duration::ZERO;
        for frame in frames(&replies) {
            assert!(frame.audio_content.len() <= 32 << 10);
            assert_eq!(time(frame.audio_offset), clock);
            let samples = frame.audio_content.len() as u64 / 2;
            let end = clock + pcm.spec().rate.duration(samples);
            for word in &frame.words {
                let start = time(word.start_offset);
                assert!(
                    clock <= start + Duration::from_micros(100) && start < end,
                    "{word:?} in {clock:?}..{end:?}"
                );
            }
            clock = pcm.spec().rate.duration(pcm.spec().rate.frames(end));
        }
        let characters: usize = TEXT.split("  ").map(|part| part.chars().count()).sum();
        let told = ended(&replies).character_count as usize;
        assert!(
            told <= characters && told + 5 >= characters,
            "{told} of {characters}"
        );
        assert!(ended(&replies).receipt.is_some());
    }
}

#[tokio::test]
async fn every_encoding_of_streams_can_be_decoded() {
    let served = served(config()).await;
    for (wire, expand, rate) in [
        (Wire::Unspecified, Some(Encoding::S16), 22_050),
        (Wire::Linear16, Some(Encoding::S16), 16_000),
        (Wire::Float32, Some(Encoding::F32), 48_000),
        (Wire::Mulaw, Some(Encoding::MuLaw), 8_000),
        (Wire::Alaw, Some(Encoding::ALaw), 8_000),
        (Wire::OggOpus, None, 48_000),
    ] {
        let asked = words(audio(pb::AudioConfig {
            sample_rate_hertz: Some(rate),
            ..encoding(wire)
        }));
        let (replies, end) = served.stream(vec![first(asked), more(TEXT)]).await;
        end.expect("ends well");
        let bytes = joined(&replies);
        let pcm = match expand {
            Some(encoding) => raw(&bytes, encoding, rate),
            None => heard(&bytes),
        };
        let length = time(ended(&replies).audio_duration);
        assert_eq!(pcm.duration(), length, "{wire:?}");
        assert!(loudness(&pcm) > 0.01, "{wire:?}");
        assert_words(&spoken(&replies), TEXT, length);
        // A word is never told after the audio of its beginning.
        let offsets: Vec<Duration> = frames(&replies)
            .iter()
            .map(|frame| time(frame.audio_offset))
            .collect();
        assert!(offsets.is_sorted(), "{wire:?}");
        for pair in frames(&replies).windows(2) {
            let next = time(pair[1].audio_offset);
            for word in &pair[1].words {
                assert!(
                    time(word.start_offset) + Duration::from_millis(1) >= next,
                    "{wire:?}: {word:?} is late"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_clause_is_heard_before_the_text_is_over() {
    let served = served(config()).await;
    let mut open = served.open().await.expect("opens");
    ready(&mut open, pb::SynthesisConfig::default()).await;
    open.send(more("This is the first clause. And this is not o"))
        .await;
    assert!(matches!(open.next().await, Some(Event::Audio(_))));
    open.send(marker("after")).await;
    open.send(more("ver yet")).await;
    open.send(flush()).await;
    loop {
        match open.next().await {
            Some(Event::Audio(_)) => {}
            Some(Event::Marker(types::Marker { id })) => break assert_eq!(id, "after"),
            other => panic!("{other:?}"),
        }
    }
    drop(open.requests);
    let Some(Event::Ended(ended)) = open
        .replies
        .message()
        .await
        .expect("ends")
        .and_then(|reply| reply.event)
    else {
        panic!("the end")
    };
    assert_eq!(ended.character_count, 25 + 24);
}

#[tokio::test]
async fn words_wait_no_longer_than_they_may() {
    let served = served(config()).await;
    let mut open = served.open().await.expect("opens");
    let asked = pb::StreamingSynthesisConfig {
        config: Some(words(pb::SynthesisConfig::default())),
        max_buffer_duration: Some(prost_types::Duration {
            seconds: 0,
            nanos: 100_000_000,
        }),
    };
    open.send(first_with(asked.clone())).await;
    let Some(Event::Ready(ready)) = open.next().await else {
        panic!("ready")
    };
    let effective = ready.effective_config.expect("told");
    assert_eq!(effective.max_buffer_duration, asked.max_buffer_duration);
    open.send(more("no end of a clause here")).await;
    // Without a flush, and with the stream open.
    let mut told = Vec::new();
    while told.len() < 5 {
        match open.next().await {
            Some(Event::Audio(frame)) => told.extend(frame.words.into_iter().map(|word| word.word)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(told, ["no", "end", "of", "a", "clause"]);
}

#[tokio::test]
async fn a_cancel_stops_what_is_spoken_and_the_stream_goes_on() {
    let served = served(config()).await;
    let mut open = served.open().await.expect("opens");
    ready(&mut open, words(pb::SynthesisConfig::default())).await;
    open.send(more(long())).await;
    open.send(marker("never")).await;
    let mut sent = Duration::ZERO;
    let mut last = 0;
    let mut cancelled = None;
    let mut after = Duration::ZERO;
    for n in 0.. {
        if n == 10 {
            open.send(cancel()).await;
        }
        match open.next().await {
            Some(Event::Audio(frame)) => {
                sent += raw(&frame.audio_content, Encoding::S16, 22_050).duration();
                let ends = frame.words.iter().filter_map(|word| word.source_text_range);
                last = ends.map(|range| range.end_byte).next_back().unwrap_or(last);
            }
            Some(Event::Cancelled(told)) => {
                after = time(told.audio_offset);
                cancelled = Some(told);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    let cancelled = cancelled.expect("told");
    // Minutes were asked for; what was on its way is some seconds.
    assert!(sent < Duration::from_secs(60), "{sent:?}");
    assert!(
        after.abs_diff(sent) < Duration::from_millis(1),
        "{after:?} is not {sent:?}"
    );
    // By whole words, with the punctuation behind them where a clause is over.
    let all = long();
    let (part, rest) = all.split_at(cancelled.spoken_bytes as usize);
    let words = part.trim_end_matches(|c: char| !c.is_alphanumeric());
    assert!(
        !words.is_empty() && words.len() as u64 <= last,
        "{part:?}, told up to {last}"
    );
    assert!(
        !rest.starts_with(char::is_alphanumeric),
        "{part:?} ends within a word"
    );
    // The stream goes on, after the end of all that came.
    open.send(more("Here I am again.")).await;
    open.send(flush()).await;
    open.send(marker("now")).await;
    let mut told = Vec::new();
    loop {
        match open.next().await {
            Some(Event::Audio(frame)) => told.extend(frame.words),
            Some(Event::Marker(types::Marker { id })) => break assert_eq!(id, "now"),
            other => panic!("{other:?}"),
        }
    }
    let names: Vec<&str> = told.iter().map(|word| word.word.as_str()).collect();
    assert_eq!(names, ["Here", "I", "am", "again"]);
    let place = told[0].source_text_range.expect("a place").start_byte;
    assert_eq!(place, long().len() as u64);
    assert!(time(told[0].start_offset) >= after);
    // A cancel with nothing to cancel is told all the same.
    open.send(cancel()).await;
    let Some(Event::Cancelled(again)) = open.next().await else {
        panic!("told")
    };
    assert_eq!(again.spoken_bytes, long().len() as u64 + 16);
}

#[tokio::test]
async fn documents_and_turns_are_spoken_between_texts() {
    let served = served(config()).await;
    let mut asked = words(pb::SynthesisConfig::default());
    asked.speaker_voices = vec![pb::SpeakerVoice {
        speaker_alias: "B".to_owned(),
        voice: "voices/espeak-en-us-f".to_owned(),
    }];
    let document = "<speak>two <mark name=\"m\"/> three</speak>";
    let (replies, end) = served
        .stream(vec![
            first(asked),
            more("One, "),
            input(pb::streaming_synthesis_input::Input::Ssml(document.to_owned())),
            input(pb::streaming_synthesis_input::Input::MultiSpeaker(turns(&[(
                "B", "Four.",
            )]))),
            more("Five."),
        ])
        .await;
    end.expect("ends well");
    let all = format!("One, {document}Four.Five.");
    assert_words(&spoken(&replies), &all, time(ended(&replies).audio_duration));
    let told: Vec<String> = spoken(&replies).into_iter().map(|word| word.word).collect();
    assert_eq!(told, ["One", "two", "three", "Four", "Five"]);
    let marks = frames(&replies).into_iter().flat_map(|frame| &frame.timepoints);
    assert_eq!(
        marks.map(|mark| mark.mark_name.as_str()).collect::<Vec<_>>(),
        ["m"]
    );
}

#[tokio::test]
async fn a_stream_may_end_without_a_word() {
    let served = served(config()).await;
    for all in [
        vec![first(pb::SynthesisConfig::default())],
        vec![
            first(pb::SynthesisConfig::default()),
            more(""),
            flush(),
            more("  \n "),
        ],
    ] {
        let (replies, end) = served.stream(all).await;
        end.expect("ends well");
        assert_eq!(replies.len(), 2);
        assert_eq!(time(ended(&replies).audio_duration), Duration::ZERO);
    }
}

#[tokio::test]
async fn a_place_returns_when_the_client_goes() {
    let mut few = config();
    few.max_streams = 1;
    let served = served(few).await;
    let mut open = served.open().await.expect("opens");
    ready(&mut open, pb::SynthesisConfig::default()).await;
    open.send(more(long())).await;
    assert!(matches!(open.next().await, Some(Event::Audio(_))));
    let refused = served.open().await.err().expect("no place");
    assert_status(&refused, Code::ResourceExhausted, "STREAMS_FULL");
    drop(open);
    eventually_some(PATIENCE, "a place", async || served.open().await.ok()).await;
}

#[tokio::test]
async fn a_silent_client_is_told_to_go_after_what_it_said() {
    let mut impatient = config();
    impatient.stream_idle = polyphony_config::HumanDuration::from_secs(1);
    let served = served(impatient).await;
    let mut open = served.open().await.expect("opens");
    ready(&mut open, pb::SynthesisConfig::default()).await;
    open.send(more("Some words without an end")).await;
    let mut heard = 0;
    let status = loop {
        match open.replies.message().await {
            Ok(Some(reply)) => heard += usize::from(matches!(reply.event, Some(Event::Audio(_)))),
            Ok(None) => panic!("an end"),
            Err(status) => break status,
        }
    };
    assert!(heard > 0);
    assert_status(&status, Code::DeadlineExceeded, "STREAM_IDLE");
}

#[tokio::test]
async fn a_drain_ends_open_streams_and_the_process() {
    let served = served(config()).await;
    let mut open = served.open().await.expect("opens");
    ready(&mut open, pb::SynthesisConfig::default()).await;
    served.trigger.drain();
    let status = loop {
        match open.replies.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("an end"),
            Err(status) => break status,
        }
    };
    assert_status(&status, Code::Unavailable, "DRAINING");
    tokio::time::timeout(Duration::from_secs(5), served.ended)
        .await
        .expect("soon")
        .expect("ends");
}
