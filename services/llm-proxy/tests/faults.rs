//! What servers do wrong, each with the status that it becomes. Nothing that is cut short is ever called complete.

use std::time::Duration;

use polyphony_config::HumanDuration;
use polyphony_llm_proxy::config::Kind;
use serde_json::json;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::support::*;

/// What goes wrong.
#[derive(Debug, Clone, Copy)]
enum Wrong {
    Status(u16, &'static str),
    GarbageStatus500,
    Hangs,
    ClosesAtOnce,
    GarbageInsteadOfJson,
    GarbageInsteadOfEvents,
    ErrorAsFirstEvent,
    EndsWithoutAnything,
    ResetsMidStream,
    EndsMidStream,
    GarbageMidStream,
    ErrorMidStream,
    FallsSilentMidStream,
    EventWithoutEnd,
}

async fn act(wrong: Wrong, mut wire: Wire) {
    let first = piece(json!({"content": "Once upon"}));
    let mid_stream = matches!(
        wrong,
        Wrong::ResetsMidStream
            | Wrong::EndsMidStream
            | Wrong::GarbageMidStream
            | Wrong::ErrorMidStream
            | Wrong::FallsSilentMidStream
            | Wrong::EventWithoutEnd
    );
    if mid_stream {
        wire.head().await;
        wire.chunk(&first).await;
        // What comes before a reset may be lost with it, unless it was read.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    match wrong {
        Wrong::Status(429, body) => {
            wire.reply(429, "Retry-After: 7\r\n", "application/json", body)
                .await
        }
        Wrong::Status(status, body) => wire.reply(status, "", "application/json", body).await,
        Wrong::GarbageStatus500 => wire.reply(500, "", "text/html", "<h1>Oh</h1>").await,
        Wrong::Hangs | Wrong::FallsSilentMidStream => wire.gone().await,
        Wrong::ClosesAtOnce => {}
        Wrong::GarbageInsteadOfJson => wire.reply(200, "", "application/json", "{\"choices\": [{").await,
        Wrong::GarbageInsteadOfEvents => {
            wire.head().await;
            wire.chunk("data: {\"choices\": 7}\n\n").await;
            wire.bytes("0\r\n\r\n").await;
        }
        Wrong::ErrorAsFirstEvent => {
            wire.head().await;
            wire.chunk("data: {\"error\": {\"message\": \"too long\", \"code\": 400}}\n\n")
                .await;
            wire.bytes("0\r\n\r\n").await;
        }
        Wrong::EndsWithoutAnything => {
            wire.head().await;
            wire.bytes("0\r\n\r\n").await;
        }
        Wrong::ResetsMidStream => wire.reset(),
        Wrong::EndsMidStream => wire.bytes("0\r\n\r\n").await,
        Wrong::GarbageMidStream => {
            wire.chunk("data: <html>\n\n").await;
            wire.bytes("0\r\n\r\n").await;
        }
        Wrong::ErrorMidStream => {
            wire.chunk("data: {\"error\": {\"message\": \"out of memory\"}}\n\n")
                .await;
            wire.bytes("0\r\n\r\n").await;
        }
        Wrong::EventWithoutEnd => {
            wire.chunk("data: ").await;
            let much = "x".repeat(1 << 20);
            for _ in 0..6 {
                wire.chunk(&much).await;
            }
        }
    }
}

/// The status through gRPC with its reason, whether tokens came before, and the status of the HTTP door without streaming.
const TABLE: [(Wrong, Code, &str, bool); 19] = [
    (
        Wrong::Status(400, r#"{"error":{"message":"bad","param":"temperature"}}"#),
        Code::InvalidArgument,
        "UPSTREAM_REFUSED",
        false,
    ),
    (
        Wrong::Status(401, r#"{"error":{"message":"key sk-123"}}"#),
        Code::FailedPrecondition,
        "UPSTREAM_KEY_REFUSED",
        false,
    ),
    (
        Wrong::Status(404, r#"{"detail":"no such model"}"#),
        Code::NotFound,
        "UPSTREAM_NOT_FOUND",
        false,
    ),
    (
        Wrong::Status(422, r#"{"error":"bad","error_type":"validation"}"#),
        Code::InvalidArgument,
        "UPSTREAM_REFUSED",
        false,
    ),
    (
        Wrong::Status(429, r#"{"error":{"message":"slow down"}}"#),
        Code::ResourceExhausted,
        "UPSTREAM_BUSY",
        false,
    ),
    (
        Wrong::Status(500, r#"{"error":{"message":"boom"}}"#),
        Code::Unavailable,
        "UPSTREAM_FAILED",
        false,
    ),
    (
        Wrong::Status(503, r#"{"error":{"message":"Loading model"}}"#),
        Code::Unavailable,
        "UPSTREAM_UNAVAILABLE",
        false,
    ),
    (
        Wrong::GarbageStatus500,
        Code::Unavailable,
        "UPSTREAM_FAILED",
        false,
    ),
    (Wrong::Hangs, Code::DeadlineExceeded, "DEADLINE_EXCEEDED", false),
    (Wrong::ClosesAtOnce, Code::Unavailable, "UPSTREAM_BROKE", false),
    (
        Wrong::GarbageInsteadOfJson,
        Code::Unavailable,
        "UPSTREAM_GARBAGE",
        false,
    ),
    (
        Wrong::GarbageInsteadOfEvents,
        Code::Unavailable,
        "UPSTREAM_GARBAGE",
        false,
    ),
    (
        Wrong::ErrorAsFirstEvent,
        Code::InvalidArgument,
        "UPSTREAM_REFUSED",
        false,
    ),
    (
        Wrong::EndsWithoutAnything,
        Code::Unavailable,
        "UPSTREAM_BROKE",
        false,
    ),
    (Wrong::ResetsMidStream, Code::Unavailable, "UPSTREAM_BROKE", true),
    (Wrong::EndsMidStream, Code::Unavailable, "UPSTREAM_BROKE", true),
    (Wrong::GarbageMidStream, Code::Aborted, "UPSTREAM_GARBAGE", true),
    (Wrong::ErrorMidStream, Code::Aborted, "UPSTREAM_FAILED", true),
    (
        Wrong::FallsSilentMidStream,
        Code::Unavailable,
        "UPSTREAM_SILENT",
        true,
    ),
];

async fn before_wrong(wrong: Wrong) -> (Upstream, Served) {
    let upstream = Upstream::start(move |_, wire| act(wrong, wire)).await;
    let mut config = config(&[("one", Kind::Vllm, upstream.address)]);
    config.timeout = HumanDuration::from_millis(1_500);
    config.idle_timeout = HumanDuration::from_millis(400);
    config.retry.attempts = 1;
    (upstream, served(config).await)
}

#[tokio::test]
async fn each_fault_becomes_its_status_with_details() {
    for (wrong, code, reason, after_tokens) in TABLE {
        let (_upstream, served) = before_wrong(wrong).await;
        let heard = served.chat(ask("Hi")).await;
        let status = heard.failed();
        let info = status
            .get_error_details()
            .error_info()
            .expect("ErrorInfo")
            .reason
            .clone();
        assert_eq!(
            (status.code(), info.as_str()),
            (code, reason),
            "{wrong:?}: {status:?}"
        );
        assert_eq!(
            heard.text(),
            if after_tokens { "Once upon" } else { "" },
            "{wrong:?}"
        );
        assert_eq!(
            status.message().contains("cut short"),
            after_tokens,
            "{wrong:?}: {}",
            status.message()
        );
        assert!(!status.message().contains("sk-123"), "{}", status.message());
        if let Wrong::Status(429, _) = wrong {
            let after = status
                .get_error_details()
                .retry_info()
                .expect("RetryInfo")
                .retry_delay;
            assert_eq!(
                after,
                Some(Duration::from_secs(7)),
                "the upstream's own Retry-After"
            );
        }
    }
    let (_upstream, served) = before_wrong(Wrong::EventWithoutEnd).await;
    assert_eq!(served.chat(ask("Hi")).await.failed().code(), Code::Aborted);
}

#[tokio::test]
async fn the_http_door_never_ends_a_broken_stream_well() {
    for (wrong, code, _, after_tokens) in TABLE {
        let (_upstream, served) = before_wrong(wrong).await;
        let body = json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "Hi"}]});
        let answer = served.post("/v1/chat/completions", &body).await;
        if after_tokens {
            // Garbage within passes as it is: it is not ours to read. It has no end, though, and so the stream has none.
            assert_eq!(answer.status, 200, "{wrong:?}");
            assert!(!answer.is_whole, "{wrong:?}: {answer:?}");
            assert!(
                answer.body.contains("Once upon") && answer.body.contains("\"error\""),
                "{wrong:?}: {answer:?}"
            );
            assert!(!answer.body.contains("[DONE]"), "{wrong:?}: {answer:?}");
        } else if !matches!(wrong, Wrong::GarbageInsteadOfEvents) {
            let expected = match (wrong, code) {
                (Wrong::Status(401, _), _) => 502,
                (Wrong::Status(status, _), _) => status,
                (Wrong::GarbageStatus500, _) => 500,
                (_, Code::InvalidArgument) => 400,
                (_, Code::DeadlineExceeded) => 504,
                _ => 503,
            };
            assert_eq!(answer.status, expected, "{wrong:?}: {answer:?}");
            assert!(answer.json()["error"].is_object(), "{wrong:?}: {answer:?}");
            assert!(!answer.body.contains("sk-123"), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn another_upstream_is_tried_only_before_the_first_token() {
    for (wrong, is_saved) in [
        (Wrong::ClosesAtOnce, true),
        (Wrong::Status(503, "{}"), true),
        (Wrong::Status(429, "{}"), true),
        (Wrong::EndsWithoutAnything, true),
        (Wrong::Status(400, "{}"), false),
        (Wrong::Status(500, "{}"), false),
        (Wrong::ResetsMidStream, false),
    ] {
        let bad = Upstream::start(move |_, wire| act(wrong, wire)).await;
        let good = Upstream::streaming(answer(&["saved"])).await;
        let mut config = config(&[
            ("bad", Kind::Vllm, bad.address),
            ("good", Kind::Vllm, good.address),
        ]);
        config.policy = polyphony_llm_proxy::config::Policy::RoundRobin;
        let served = served(config).await;
        let mut request = ask("Hi");
        // The first turn is the bad one's.
        request.messages.push(user("again"));
        let heard = served.chat(request).await;
        if is_saved {
            assert_eq!(heard.text(), "saved", "{wrong:?}: {:?}", heard.end);
            let route = heard.completed().route.clone().expect("a route");
            assert_eq!((route.upstream.as_str(), route.attempts), ("good", 2));
        } else {
            heard.failed();
            assert_eq!(good.count(), 0, "{wrong:?}");
        }
        assert_eq!(bad.count(), 1, "{wrong:?}");
    }
}

#[tokio::test]
async fn an_upstream_that_keeps_failing_rests_and_is_tried_again() {
    let is_well = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let told = std::sync::Arc::clone(&is_well);
    let upstream = Upstream::start(move |_, mut wire| {
        let is_well = told.load(std::sync::atomic::Ordering::SeqCst);
        async move {
            match is_well {
                true => wire.sse(&answer(&["well"])).await,
                false => wire.reply(500, "", "application/json", "{}").await,
            }
        }
    })
    .await;
    let mut config = config(&[("one", Kind::Vllm, upstream.address)]);
    config.breaker.failures = 2;
    config.breaker.rest = HumanDuration::from_millis(300);
    let served = served(config).await;
    for _ in 0..2 {
        assert_eq!(served.chat(ask("Hi")).await.failed().code(), Code::Unavailable);
    }
    let rests = served.chat(ask("Hi")).await;
    let reason = rests
        .failed()
        .get_error_details()
        .error_info()
        .expect("ErrorInfo")
        .reason
        .clone();
    assert_eq!(
        (reason.as_str(), upstream.count()),
        ("NO_HEALTHY_UPSTREAM", 2),
        "nothing was sent"
    );
    is_well.store(true, std::sync::atomic::Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert_eq!(served.chat(ask("Hi")).await.text(), "well");
}

#[tokio::test]
async fn one_that_is_gone_is_seen_within_a_few_looks() {
    let upstream = Upstream::streaming(answer(&["there"])).await;
    let served = before(Kind::Vllm, &upstream).await;
    upstream.stop().await;
    let reason = async || {
        let heard = served.chat(ask("Hi")).await;
        let reason = heard.end.err().map(|status| {
            status
                .get_error_details()
                .error_info()
                .expect("ErrorInfo")
                .reason
                .clone()
        });
        reason.unwrap_or_default()
    };
    while reason().await != "NO_HEALTHY_UPSTREAM" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
