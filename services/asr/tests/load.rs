//! Places, refusals, clients that go away, and the end of the process.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use polyphony_proto::asr::v1 as pb;
use polyphony_proto::asr::v1::streaming_recognize_response::Event;
use polyphony_testing::Rng;
use tonic::Code;
use tonic_types::StatusExt;

use crate::support::{Served, audio, config, first, linear16, served, sound, streaming};

/// Until nothing is held any more.
async fn released(served: &Served) {
    served.until_held(|held| held == 0).await;
    served.until_open(|streams| streams == 0).await;
}

#[tokio::test]
async fn one_stream_too_many_is_refused_when_it_opens() {
    let served = served(config(), Duration::ZERO).await;
    let mut open = Vec::new();
    for _ in 0..4 {
        let mut stream = served.open().await.expect("opens");
        stream
            .requests
            .send(first(streaming(linear16())))
            .await
            .expect("sends");
        stream.replies.message().await.expect("ready");
        open.push(stream);
    }
    let status = served.open().await.err().expect("refused");
    assert_eq!(status.code(), Code::ResourceExhausted);
    let details = status.get_error_details();
    assert!(
        details.retry_info().is_some() && details.quota_failure().is_some(),
        "{status:?}"
    );
    open.pop();
    served.until_open(|streams| streams < 4).await;
    served.open().await.expect("a place again");
}

#[tokio::test]
async fn a_client_that_goes_away_stops_the_engine() {
    // Two minutes of audio are half a minute of work.
    let served = served(config(), Duration::from_millis(250)).await;
    let call = tokio::spawn({
        let mut client = served.client.clone();
        let request = pb::RecognizeRequest {
            config: Some(linear16()),
            audio: crate::support::inline(sound(&[0.0, 120.0])),
        };
        async move { client.recognize(request).await }
    });
    served.until_held(|held| held == 1).await;
    call.abort();
    released(&served).await;
}

#[tokio::test]
async fn two_hundred_streams_cut_at_random_leave_nothing_behind() {
    let served = served(config(), Duration::ZERO).await;
    let mut rng = Rng::new(7);
    let speech = sound(&[0.2, 2.0]);
    for _ in 0..200 {
        // A place may be given back a moment after the client has gone.
        let stream = loop {
            match served.open().await {
                Ok(stream) => break stream,
                Err(status) => assert_eq!(status.code(), Code::ResourceExhausted),
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        let sent = rng.below(8);
        if sent > 0 {
            stream
                .requests
                .send(first(streaming(linear16())))
                .await
                .expect("sends");
        }
        for piece in speech.chunks(8_000).take(sent) {
            if stream.requests.send(audio(piece)).await.is_err() {
                break;
            }
        }
        drop(stream);
    }
    released(&served).await;
}

#[tokio::test]
async fn recordings_wait_their_turn_until_the_queue_is_full() {
    // Each takes half a minute, so that none is done before the last has been refused.
    let served = served(config(), Duration::from_millis(250)).await;
    let mut calls: FuturesUnordered<_> = (0..8)
        .map(|_| {
            let served = &served;
            async move { served.recognize(linear16(), sound(&[0.0, 120.0])).await }
        })
        .collect();
    for _ in 0..4 {
        let status = calls.next().await.expect("an answer").expect_err("full");
        assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
        assert!(status.get_error_details().retry_info().is_some());
    }
    tokio::select! {
        answer = calls.next() => panic!("two workers, two in the queue: {answer:?}"),
        () = served.until_held(|held| held == 2) => {}
    }
    drop(calls);
    released(&served).await;
}

#[tokio::test]
async fn a_drain_ends_streams_with_a_reason() {
    let served = served(config(), Duration::ZERO).await;
    let mut stream = served.open().await.expect("opens");
    stream
        .requests
        .send(first(streaming(linear16())))
        .await
        .expect("sends");
    let ready = stream.replies.message().await.expect("ok").expect("a reply");
    assert!(matches!(ready.event, Some(Event::Ready(_))));
    served.trigger.drain();
    let status = stream.replies.message().await.expect_err("drained");
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    let details = status.get_error_details();
    let reason = details.error_info().map(|info| info.reason.as_str());
    assert_eq!(reason, Some("DRAINING"), "{status:?}");
    drop(stream);
    tokio::time::timeout(Duration::from_secs(5), served.ended)
        .await
        .expect("within its deadline")
        .expect("ends");
}
