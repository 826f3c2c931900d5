//! OpenAI's API over HTTP: bytes in, bytes out.

use polyphony_config::HumanDuration;
use polyphony_llm_proxy::config::{AliasConfig, Kind};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::*;

fn question(stream: bool) -> Value {
    json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "Hi"}]})
}

#[tokio::test]
async fn a_request_is_passed_on_byte_by_byte_but_for_the_name_of_the_model() {
    let whole = json!({"id": "x", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Yo"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1, "completion_tokens": 1}, "odd": 1.50});
    let upstream = Upstream::giving(whole.clone()).await;
    let mut config = config(&[("one", Kind::Vllm, upstream.address)]);
    config.aliases.push(AliasConfig {
        name: "nick".to_owned(),
        model: "m".to_owned(),
        ..Default::default()
    });
    let served = served(config).await;
    let body = "{ \"messages\" : [ {\"role\":\"user\",\"content\":\"\\u00e9\"} ], \"unknown\": 1.50, \"model\":\"nick\" }";
    let answer = served
        .http("POST", "/v1/chat/completions", "X-Request-Id: abc\r\n", body)
        .await;
    assert_eq!((answer.status, answer.json()), (200, whole));
    assert!(
        answer.head.contains("x-request-id: abc") && answer.head.contains("x-polyphony-upstream: one"),
        "{}",
        answer.head
    );
    let seen = upstream.last();
    assert_eq!(seen.raw, body.replace("nick", "m"));
    assert!(seen.head.contains("x-request-id: abc"), "{}", seen.head);
    served
        .http("POST", "/v1/completions", "", &body.replace("nick", "m"))
        .await;
    assert_eq!(
        (upstream.last().path.as_str(), upstream.last().raw),
        ("/v1/completions", body.replace("nick", "m"))
    );
}

#[tokio::test]
async fn a_stream_is_passed_on_and_the_usage_told_only_to_who_asked() {
    let upstream = Upstream::streaming(answer(&["Hel", "lo"])).await;
    let served = before(Kind::Vllm, &upstream).await;
    let unasked = served.post("/v1/chat/completions", &question(true)).await;
    assert_eq!(
        upstream.last().body["stream_options"],
        json!({"include_usage": true})
    );
    assert!(
        unasked.is_whole && unasked.head.contains("text/event-stream"),
        "{unasked:?}"
    );
    assert!(
        unasked.body.ends_with("data: [DONE]\n\n") && !unasked.body.contains("prompt_tokens"),
        "{unasked:?}"
    );
    let mut asked = question(true);
    asked["stream_options"] = json!({"include_usage": true});
    let told = served.post("/v1/chat/completions", &asked).await;
    assert_eq!(told.body, answer(&["Hel", "lo"]));
}

#[tokio::test]
async fn a_whole_answer_is_whole_also_of_a_server_that_only_streams() {
    let upstream = Upstream::streaming(answer(&["Hel", "lo"])).await;
    let served = before(Kind::Openai, &upstream).await;
    let whole = served.post("/v1/chat/completions", &question(false)).await;
    let json = whole.json();
    assert_eq!(json["object"], "chat.completion");
    assert_eq!(
        json["choices"],
        json!([{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop", "logprobs": null}])
    );
    assert_eq!(json["usage"]["total_tokens"], 7);
    let cut = Upstream::streaming(piece(json!({"content": "Hel"}))).await;
    let served = before(Kind::Openai, &cut).await;
    assert_eq!(
        served.post("/v1/chat/completions", &question(false)).await.status,
        503
    );
}

#[tokio::test]
async fn models_and_health_are_told_in_openais_shape() {
    let upstream = Upstream::with_models(&["org/m"], |_, mut wire| async move {
        wire.sse(&answer(&["x"])).await
    })
    .await;
    let served = before(Kind::Vllm, &upstream).await;
    let list = served.http("GET", "/v1/models", "", "").await.json();
    assert_eq!(
        (&list["object"], &list["data"][0]["id"]),
        (&json!("list"), &json!("org/m"))
    );
    for path in ["/v1/models/org/m", "/v1/models/org%2Fm"] {
        assert_eq!(served.http("GET", path, "", "").await.json()["id"], "org/m");
    }
    let missing = served.http("GET", "/v1/models/none", "", "").await;
    assert_eq!(
        (missing.status, &missing.json()["error"]["code"]),
        (404, &json!("model_not_found"))
    );
    assert_eq!(served.http("GET", "/health", "", "").await.status, 200);
    assert_eq!(served.http("GET", "/v2/models", "", "").await.status, 404);
    assert_eq!(
        served
            .http("POST", "/v1/chat/completions", "", "[1]")
            .await
            .status,
        400
    );
    let unknown = served
        .post("/v1/chat/completions", &json!({"model": "none", "messages": []}))
        .await;
    assert_eq!(
        (unknown.status, &unknown.json()["error"]["code"]),
        (404, &json!("model_not_found"))
    );
}

#[tokio::test]
async fn what_the_upstream_has_is_passed_on_and_what_it_lacks_is_said() {
    let upstream = Upstream::start(|seen, mut wire| async move {
        let known = json!({"object": seen.path, "usage": {"total_tokens": 3}});
        match seen.path.as_str() {
            "/v1/responses" => wire.json(404, &json!({"detail": "Not Found"})).await,
            _ => wire.json(200, &known).await,
        }
    })
    .await;
    let served = served(config(&[("one", Kind::Vllm, upstream.address)])).await;
    for path in ["/v1/embeddings", "/v1/rerank"] {
        assert_eq!(
            served
                .post(path, &json!({"model": "m", "input": "x"}))
                .await
                .json()["object"],
            path
        );
    }
    let lacks = served
        .post("/v1/responses", &json!({"model": "m", "input": "x"}))
        .await;
    assert_eq!(lacks.status, 404);
    assert!(
        lacks.json()["error"]["message"]
            .as_str()
            .is_some_and(|text| text.contains("one")),
        "{lacks:?}"
    );
}

#[tokio::test]
async fn keys_are_asked_for_and_budgets_kept() {
    let upstream = Upstream::streaming(answer(&["x"])).await;
    let folder = tempfile::tempdir().expect("a folder");
    let digest: String = Sha256::digest(b"sk-books")
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let keys = folder.path().join("keys.toml");
    std::fs::write(
        &keys,
        format!("[[key]]\nname = \"books\"\nsha256 = \"{digest}\"\ntokens_per_day = 10\n"),
    )
    .expect("written");
    let mut config = config(&[("one", Kind::Vllm, upstream.address)]);
    config.keys.file = Some(keys);
    let usage_file = folder.path().join("usage.json");
    config.keys.usage_file = Some(usage_file.clone());
    let served = served(config).await;
    let body = question(true).to_string();
    for headers in [
        "",
        "Authorization: Bearer sk-guess\r\n",
        "Authorization: Basic x\r\n",
    ] {
        let refused = served.http("POST", "/v1/chat/completions", headers, &body).await;
        assert_eq!((refused.status, upstream.count()), (401, 0), "{headers}");
    }
    assert_eq!(served.http("GET", "/health", "", "").await.status, 200);
    let own = "Authorization: Bearer sk-books\r\n";
    // Seven tokens each: the second goes over, the third is refused.
    for expected in [200, 200, 429] {
        let answer = served.http("POST", "/v1/chat/completions", own, &body).await;
        assert_eq!(answer.status, expected, "{answer:?}");
        if expected == 429 {
            assert_eq!(answer.json()["error"]["type"], "insufficient_quota");
            assert!(answer.head.contains("retry-after: "), "{}", answer.head);
        }
    }
    served.trigger.drain();
    served.ended.await.expect("ends");
    let usage: Value = serde_json::from_slice(&std::fs::read(usage_file).expect("written")).expect("JSON");
    assert_eq!(
        (&usage["books"]["day_tokens"], &usage["books"]["requests"]),
        (&json!(14), &json!(2))
    );
    assert!(
        !upstream.last().head.contains("sk-books"),
        "the caller's key stays here"
    );
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_before_it_is_read() {
    let upstream = Upstream::streaming(answer(&["x"])).await;
    let mut config = config(&[("one", Kind::Vllm, upstream.address)]);
    config.http.max_body = polyphony_config::ByteSize::kib(1);
    config.timeout = HumanDuration::from_secs(5);
    let served = served(config).await;
    let large = json!({"model": "m", "messages": [], "x": "y".repeat(2_000)});
    assert_eq!(served.post("/v1/chat/completions", &large).await.status, 413);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_waited_for_no_longer_than_an_answer() {
    let upstream = Upstream::giving(json!({})).await;
    let mut config = config(&[("one", Kind::Openai, upstream.address)]);
    config.timeout = HumanDuration::from_millis(200);
    let served = served(config).await;
    let mut stream = tokio::net::TcpStream::connect(served.door)
        .await
        .expect("connects");
    let begun = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{\"model\"";
    stream.write_all(begun.as_bytes()).await.expect("sent");
    let mut all = [0; 12];
    let read = tokio::time::timeout(PATIENCE, stream.read_exact(&mut all)).await;
    read.expect("in time").expect("a reply");
    assert_eq!(&all, b"HTTP/1.1 504");
}

#[tokio::test]
async fn who_leaves_before_the_end_has_used_what_came() {
    let upstream = Upstream::start(|_, mut wire| async move {
        wire.head().await;
        for _ in 0..10 {
            let piece = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n";
            wire.chunk(piece).await;
        }
        wire.gone().await;
    })
    .await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keys.toml");
    let digest: String = Sha256::digest(b"secret")
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let text = format!("[[key]]\nname = \"books\"\nsha256 = \"{digest}\"\ntokens_per_day = 5\n");
    std::fs::write(&file, text).expect("written");
    let mut config = config(&[("one", Kind::Openai, upstream.address)]);
    config.keys.file = Some(file);
    config.keys.usage_file = Some(folder.path().join("usage.json"));
    let served = served(config).await;
    let body = question(true).to_string();
    let mut stream = tokio::net::TcpStream::connect(served.door)
        .await
        .expect("connects");
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut all = String::new();
    while all.matches("content\":\"a\"").count() < 10 {
        let mut some = [0; 1024];
        let read = stream.read(&mut some).await.expect("more");
        all += std::str::from_utf8(&some[..read]).expect("text");
    }
    drop(stream);
    // It is counted when the proxy has seen that nobody reads.
    let key = "Authorization: Bearer secret\r\n";
    let refused = async {
        loop {
            let answer = served
                .http("POST", "/v1/embeddings", key, "{\"model\":\"none\"}")
                .await;
            if answer.status == 429 {
                return answer;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let refused = tokio::time::timeout(PATIENCE, refused).await.expect("counted");
    assert_eq!(refused.json()["error"]["code"], "tokens_spent");
}
