//! Places, refusals, clients that go away, and the end of the process.

use std::time::{Duration, Instant};

use polyphony_proto::analysis::v1 as pb;
use polyphony_proto::analysis::v1::FeatureKind as Kind;
use polyphony_proto::analysis::v1::streaming_features_request::Request;
use polyphony_proto::analysis::v1::streaming_features_response::Event;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt;

use crate::support::{SOON, Served, features, served, sine, tiny, wav_of};

/// An open stream that has its place and its worker.
struct Open {
    requests: mpsc::Sender<pb::StreamingFeaturesRequest>,
    replies: Streaming<pb::StreamingFeaturesResponse>,
}

async fn open(served: &Served) -> Result<Open, Status> {
    let (requests, outgoing) = mpsc::channel(4);
    let config = Request::Config(features(&[Kind::Rms]));
    let first = pb::StreamingFeaturesRequest {
        request: Some(config),
    };
    requests.send(first).await.expect("room");
    let outgoing = ReceiverStream::new(outgoing);
    let mut replies = served
        .client
        .clone()
        .streaming_features(outgoing)
        .await?
        .into_inner();
    let ready = replies.message().await?.expect("a reply");
    assert!(matches!(ready.event, Some(Event::Ready(_))));
    Ok(Open { requests, replies })
}

/// Begins work on ten minutes of sound, which take a while, and waits until it holds the only worker.
async fn long_work(served: &Served) -> JoinHandle<Result<pb::PitchResponse, Status>> {
    let call = tokio::spawn({
        let mut client = served.client.clone();
        let request = pb::PitchRequest {
            config: Some(tiny()),
            audio: crate::support::inline(wav_of(sine(220.0, 590.0, 8_000), 8_000, 1)),
        };
        async move { client.pitch(request).await.map(tonic::Response::into_inner) }
    });
    let began = Instant::now();
    // As long as a quick question is answered at once, the worker is free.
    while timeout(Duration::from_millis(500), quick(served)).await.is_ok() {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "the work does not begin"
        );
    }
    call
}

async fn quick(served: &Served) -> Result<pb::FeaturesResponse, Status> {
    let bytes = wav_of(sine(220.0, 0.1, 8_000), 8_000, 1);
    served.features(features(&[Kind::Rms]), bytes).await
}

#[tokio::test]
async fn one_stream_too_many_is_refused_until_one_ends() {
    let served = served(&["analysis.max_streams=2"]).await;
    let mut streams = vec![
        open(&served).await.expect("opens"),
        open(&served).await.expect("opens"),
    ];
    let status = open(&served).await.err().expect("refused");
    assert_eq!(status.code(), Code::ResourceExhausted);
    let details = status.get_error_details();
    assert!(
        details.retry_info().is_some() && details.quota_failure().is_some(),
        "{status:?}"
    );
    streams.pop();
    let again = async {
        while open(&served).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, again).await.expect("a place again");
}

#[tokio::test]
async fn a_client_that_goes_away_frees_its_worker() {
    let served = served(&["analysis.workers=1", "analysis.max_queue=4"]).await;
    let call = long_work(&served).await;
    assert!(!call.is_finished());
    call.abort();
    let answer = timeout(SOON, quick(&served)).await.expect("the worker is free");
    answer.expect("measured");
}

#[tokio::test]
async fn recordings_wait_their_turn_until_the_queue_is_full() {
    let served = served(&["analysis.workers=1", "analysis.max_queue=1"]).await;
    let call = long_work(&served).await;
    let (first, second) = tokio::join!(
        timeout(Duration::from_secs(1), quick(&served)),
        timeout(Duration::from_secs(1), quick(&served))
    );
    // One waits, one is refused.
    let mut answers = [first, second].into_iter().filter_map(Result::ok);
    let status = answers.next().expect("one is answered").expect_err("refused");
    assert!(answers.next().is_none(), "the other waits");
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert!(status.get_error_details().retry_info().is_some());
    call.abort();
}

#[tokio::test]
async fn a_stream_whose_client_is_silent_is_ended() {
    let served = served(&["analysis.stream_idle=1s"]).await;
    let mut stream = open(&served).await.expect("opens");
    let status = timeout(SOON, stream.replies.message())
        .await
        .expect("soon")
        .expect_err("too long a silence");
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    assert!(status.message().contains("analysis.stream_idle"));
    drop(stream.requests);
}

#[tokio::test]
async fn a_drain_ends_streams_with_a_reason() {
    let served = served(&["analysis.server.drain.deadline=300ms"]).await;
    let mut stream = open(&served).await.expect("opens");
    served.trigger.drain();
    let status = stream.replies.message().await.expect_err("drained");
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    let details = status.get_error_details();
    let reason = details.error_info().map(|info| info.reason.as_str());
    assert_eq!(reason, Some("DRAINING"), "{status:?}");
    drop(stream);
    timeout(SOON, served.ended)
        .await
        .expect("within its deadline")
        .expect("ends");
}
