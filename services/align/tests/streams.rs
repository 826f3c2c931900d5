//! Text and audio piece by piece, through a real socket.

use std::time::Duration;

use polyphony_proto::align::v1 as pb;
use polyphony_proto::align::v1::streaming_align_request::Request;
use polyphony_proto::align::v1::streaming_align_response::Event;
use polyphony_proto::types::v1 as types;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use crate::support::{Client, SPEECH, english, program, seconds, told};

fn message(request: Request) -> pb::StreamingAlignRequest {
    pb::StreamingAlignRequest {
        request: Some(request),
    }
}

fn first(lookahead: u64) -> pb::StreamingAlignRequest {
    message(Request::StreamingConfig(pb::StreamingAlignmentConfig {
        config: Some(english()),
        lookahead_duration: Some(prost_types::Duration {
            seconds: lookahead as i64,
            nanos: 0,
        }),
    }))
}

fn text(text: &str) -> pb::StreamingAlignRequest {
    message(Request::Transcript(pb::TranscriptSegment {
        text: text.to_owned(),
        ..Default::default()
    }))
}

fn marker(id: &str) -> pb::StreamingAlignRequest {
    message(Request::Marker(types::Marker { id: id.to_owned() }))
}

fn audio(bytes: &[u8]) -> pb::StreamingAlignRequest {
    message(Request::Audio(bytes.to_vec().into()))
}

/// Sends all, closes, and collects the replies and the status.
async fn stream(
    client: &Client,
    all: Vec<pb::StreamingAlignRequest>,
) -> (Vec<pb::StreamingAlignResponse>, Result<(), Status>) {
    let replies = client.clone().streaming_align(tokio_stream::iter(all)).await;
    let mut replies = match replies {
        Ok(replies) => replies.into_inner(),
        Err(status) => return (Vec::new(), Err(status)),
    };
    let mut seen = Vec::new();
    loop {
        match replies.message().await {
            Ok(Some(reply)) => seen.push(reply),
            Ok(None) => return (seen, Ok(())),
            Err(status) => return (seen, Err(status)),
        }
    }
}

fn words(replies: &[pb::StreamingAlignResponse]) -> Vec<pb::AlignedWord> {
    let words = replies.iter().filter_map(|reply| match &reply.event {
        Some(Event::Words(words)) => Some(words.words.clone()),
        _ => None,
    });
    words.flatten().collect()
}

#[tokio::test]
async fn a_stream_tells_ready_words_markers_and_its_end() {
    let client = program(&[]).await;
    let mut all = vec![first(1), text("Go forward,"), marker("half")];
    let (begin, end) = SPEECH.split_at(SPEECH.len() / 3);
    all.extend(begin.chunks(3_000).map(audio));
    all.push(text("ten meters!"));
    all.extend(end.chunks(3_000).map(audio));
    all.push(marker("all"));
    let (replies, ended) = stream(&client, all).await;
    ended.expect("ends well");
    assert!(
        replies
            .iter()
            .zip(1..)
            .all(|(reply, sequence)| reply.sequence == sequence)
    );
    let Some(Event::Ready(ready)) = &replies[0].event else {
        panic!("{:?}", replies[0])
    };
    let effective = ready.effective_config.clone().expect("a config");
    assert_eq!(seconds(effective.lookahead_duration), 1.0);
    assert!(!ready.session_id.is_empty() && ready.receipt.is_some());
    let words = words(&replies);
    let told: Vec<_> = words.iter().map(|word| word.word.as_str()).collect();
    assert_eq!(told, ["Go", "forward,", "ten", "meters!"]);
    for (word, start) in words.iter().zip([0.73, 0.98, 1.41, 1.62]) {
        assert!((seconds(word.start_offset) - start).abs() < 0.25, "{word:?}");
    }
    let last = words[3].source_text_range.expect("a range");
    assert_eq!((last.start_byte, last.end_byte), (16, 23));
    let markers: Vec<_> = replies
        .iter()
        .filter_map(|reply| match &reply.event {
            Some(Event::Marker(marker)) => Some((marker.id.as_str(), reply.sequence)),
            _ => None,
        })
        .collect();
    assert_eq!(
        markers.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
        ["half", "all"]
    );
    let Some(Event::Ended(ended)) = replies.last().and_then(|reply| reply.event.clone()) else {
        panic!("{:?}", replies.last())
    };
    assert_eq!(seconds(ended.audio_duration), 3.349);
    assert!(ended.receipt.is_some());
}

#[tokio::test]
async fn text_and_audio_may_come_in_any_order_within_a_minute() {
    let client = program(&[]).await;
    let pieces = || SPEECH.chunks(4_000).map(audio);
    let whole = || text("Go forward, ten meters!");
    let before: Vec<_> = [first(10), whole()].into_iter().chain(pieces()).collect();
    let behind: Vec<_> = std::iter::once(first(10))
        .chain(pieces())
        .chain([whole()])
        .collect();
    let (before, behind) = (stream(&client, before).await, stream(&client, behind).await);
    assert!(before.1.is_ok() && behind.1.is_ok());
    let starts = |replies: &[pb::StreamingAlignResponse]| -> Vec<f64> {
        words(replies)
            .iter()
            .map(|word| seconds(word.start_offset))
            .collect()
    };
    let (before, behind) = (starts(&before.0), starts(&behind.0));
    assert_eq!((before.len(), behind.len()), (4, 4));
    assert!(
        before
            .iter()
            .zip(&behind)
            .all(|(one, other)| (one - other).abs() < 0.08),
        "{before:?} {behind:?}"
    );
}

#[tokio::test]
async fn a_bad_stream_is_told_what_is_wrong() {
    let client = program(&[]).await;
    let far = message(Request::StreamingConfig(pb::StreamingAlignmentConfig {
        config: Some(english()),
        lookahead_duration: Some(prost_types::Duration {
            seconds: 61,
            nanos: 0,
        }),
    }));
    let unknown = message(Request::StreamingConfig(pb::StreamingAlignmentConfig {
        config: Some(pb::AlignmentConfig {
            language_code: "tlh".to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    }));
    let long = "a".repeat(10_001);
    for (all, code, field) in [
        (vec![], Code::InvalidArgument, "streaming_config"),
        (vec![audio(SPEECH)], Code::InvalidArgument, "streaming_config"),
        (
            vec![far],
            Code::InvalidArgument,
            "streaming_config.lookahead_duration",
        ),
        (
            vec![unknown],
            Code::InvalidArgument,
            "streaming_config.config.language_code",
        ),
        (
            vec![first(5), first(5)],
            Code::InvalidArgument,
            "streaming_config",
        ),
        (
            vec![first(5), audio(&[1; 40_000])],
            Code::InvalidArgument,
            "audio",
        ),
        (
            vec![first(5), text(&long)],
            Code::InvalidArgument,
            "transcript.text",
        ),
        (vec![first(5), marker(&long)], Code::InvalidArgument, "marker.id"),
        (vec![first(5), audio(&[7; 8_000])], Code::InvalidArgument, "audio"),
        (vec![first(5), text("go")], Code::InvalidArgument, "audio"),
    ] {
        let (_, ended) = stream(&client, all).await;
        let status = ended.expect_err("is refused");
        assert_eq!(status.code(), code, "{status:?}");
        assert_eq!(told(&status).1, [field], "{status:?}");
    }
    let mut all = vec![first(5)];
    all.extend((0..60).map(|_| text(&"forward ten meters ".repeat(500))));
    let (_, ended) = stream(&client, all).await;
    assert_eq!(told(&ended.expect_err("too much text")).0, "TEXT_AHEAD");
    let mut all = vec![first(5), text(&"go forward ten meters ".repeat(20))];
    all.extend(SPEECH.chunks(4_000).map(audio));
    let (_, ended) = stream(&client, all).await;
    assert_eq!(told(&ended.expect_err("too little audio")).0, "TEXT_DOES_NOT_FIT");
}

#[tokio::test]
async fn one_stream_too_many_is_refused_until_one_ends() {
    let client = program(&["align.max_streams=1", "align.stream_idle=1s"]).await;
    let (requests, outgoing) = mpsc::channel(4);
    requests.send(first(5)).await.expect("sends");
    let mut replies = client
        .clone()
        .streaming_align(ReceiverStream::new(outgoing))
        .await
        .expect("opens")
        .into_inner();
    replies.message().await.expect("ok").expect("ready");
    let (_, refused) = stream(&client, vec![first(5)]).await;
    assert_eq!(told(&refused.expect_err("no place")).0, "STREAMS_FULL");
    // Who says nothing for too long makes room.
    let status = loop {
        match replies.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("ended without a word"),
            Err(status) => break status,
        }
    };
    assert_eq!(told(&status).0, "STREAM_IDLE");
    drop(requests);
    let mut all = vec![first(5), text("go forward ten meters")];
    all.extend(SPEECH.chunks(4_000).map(audio));
    let again = async {
        loop {
            let (replies, ended) = stream(&client, all.clone()).await;
            if ended.is_ok() {
                return replies;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let replies = tokio::time::timeout(Duration::from_secs(5), again)
        .await
        .expect("a place again");
    assert_eq!(words(&replies).len(), 4);
}
