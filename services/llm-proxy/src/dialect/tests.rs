//! How each dialect is told from the others and looked at, before servers that answer as theirs do.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::discover::identify;
use super::{Probe, look};
use crate::config::{Kind, UpstreamConfig};
use crate::upstream::{Health, Model, ModelKind, Sight, Upstream};

/// What a server answers, by path; 404 to all else.
type Pages = HashMap<&'static str, (u16, String)>;

fn pages(pages: &[(&'static str, u16, Value)]) -> Pages {
    let text = |page: &Value| page.as_str().map_or_else(|| page.to_string(), str::to_owned);
    pages
        .iter()
        .map(|(path, status, page)| (*path, (*status, text(page))))
        .collect()
}

/// Serves them, and gives its URL.
async fn serve(pages: Pages) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.windows(4).any(|four| four == b"\r\n\r\n") {
                if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            let text = String::from_utf8_lossy(&request);
            let path = text.split(' ').nth(1).unwrap_or_default();
            let (status, body) = pages.get(path).cloned().unwrap_or_else(|| (404, "{}".to_owned()));
            let length = body.len();
            let reply =
                format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
            // Who goes away goes away.
            drop(stream.write_all(reply.as_bytes()).await);
        }
    });
    url
}

fn models(owner: &str) -> Value {
    json!({"object": "list", "data": [{"id": "m", "object": "model", "owned_by": owner, "max_model_len": 4096}]})
}

async fn seen(kind: Kind, all: &[(&'static str, u16, Value)]) -> Sight {
    let url = serve(pages(all)).await;
    let upstream = Upstream::new("u", UpstreamConfig::new(url, kind), &Default::default()).expect("valid");
    look(Probe {
        upstream: &upstream,
        patience: Duration::from_secs(5),
    })
    .await
}

#[tokio::test]
async fn each_dialect_is_known_by_what_it_answers() {
    let info = json!({"model_id": "m", "max_total_tokens": 10});
    for (kind, all) in [
        (Some(Kind::Vllm), vec![("/v1/models", 200, models("vllm"))]),
        (Some(Kind::Sglang), vec![("/v1/models", 200, models("sglang"))]),
        (
            Some(Kind::LlamaCpp),
            vec![("/v1/models", 200, models("llamacpp"))],
        ),
        (
            Some(Kind::Ollama),
            vec![
                ("/v1/models", 200, models("library")),
                ("/api/version", 200, json!({"version": "0.12"})),
            ],
        ),
        (
            Some(Kind::Tgi),
            vec![("/v1/models", 200, models("org")), ("/info", 200, info.clone())],
        ),
        (Some(Kind::Tgi), vec![("/info", 200, info)]),
        (Some(Kind::Openai), vec![("/v1/models", 200, models("somebody"))]),
        (
            Some(Kind::LlamaCpp),
            vec![(
                "/health",
                503,
                json!({"error": {"code": 503, "message": "Loading model"}}),
            )],
        ),
        (None, vec![("/", 200, json!("<html>a web page</html>"))]),
    ] {
        let url = serve(pages(&all)).await;
        assert_eq!(identify(&url).await, kind, "{all:?}");
    }
    assert_eq!(identify("http://127.0.0.1:1").await, None);
}

#[tokio::test]
async fn vllm_and_sglang_tell_their_lengths_and_loads() {
    let metrics = "vllm:num_requests_running{model_name=\"m\"} 3.0\nvllm:num_requests_waiting{model_name=\"m\"} 2.0\nvllm:kv_cache_usage_perc{} 0.5\n";
    let sight = seen(
        Kind::Vllm,
        &[
            ("/health", 200, json!({})),
            ("/v1/models", 200, models("vllm")),
            ("/version", 200, json!({"version": "0.11.2"})),
            ("/metrics", 200, json!(metrics)),
        ],
    )
    .await;
    assert_eq!(
        (sight.health, sight.version.as_deref()),
        (Health::Healthy, Some("0.11.2"))
    );
    assert_eq!(
        (sight.load.running, sight.load.waiting, sight.load.kv_cache),
        (Some(3.0), Some(2.0), Some(0.5))
    );
    assert_eq!(sight.models[0].context_length, 4096);
    let sight = seen(
        Kind::Sglang,
        &[
            ("/health", 200, json!("")),
            ("/v1/models", 200, models("sglang")),
            (
                "/get_model_info",
                200,
                json!({"is_generation": true, "has_image_understanding": true}),
            ),
            (
                "/get_server_info",
                200,
                json!({"version": "0.5", "max_total_num_tokens": 1000}),
            ),
            (
                "/get_load",
                200,
                json!([{"num_reqs": 3, "num_waiting_reqs": 1, "num_tokens": 250}]),
            ),
        ],
    )
    .await;
    assert_eq!(
        (sight.load.running, sight.load.waiting, sight.load.kv_cache),
        (Some(2.0), Some(1.0), Some(0.25))
    );
    assert_eq!(
        (&sight.models[0].kinds[..], sight.models[0].vision),
        (&[ModelKind::Chat][..], Some(true))
    );
}

#[tokio::test]
async fn ollama_tells_what_each_model_can_and_which_are_loaded() {
    let shown = json!({"capabilities": ["embedding"], "model_info": {"bert.context_length": 512, "bert.embedding_length": 384}});
    let sight = seen(
        Kind::Ollama,
        &[
            ("/api/version", 200, json!({"version": "0.12"})),
            (
                "/api/tags",
                200,
                json!({"models": [{"name": "minilm:latest", "digest": "d"}]}),
            ),
            ("/api/show", 200, shown),
            ("/api/ps", 200, json!({"models": [{"name": "minilm:latest"}]})),
        ],
    )
    .await;
    let expected = Model {
        kinds: vec![ModelKind::Embedding],
        context_length: 512,
        dimensions: 384,
        vision: Some(false),
        tools: Some(false),
        ..Model::new("minilm:latest")
    };
    assert_eq!(sight.models, [expected]);
    assert_eq!(sight.loaded, Some(vec!["minilm:latest".to_owned()]));
}

#[tokio::test]
async fn one_that_loads_is_told_from_one_that_is_down() {
    let loading = json!({"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}});
    let sight = seen(Kind::LlamaCpp, &[("/health", 503, loading)]).await;
    assert_eq!(
        (sight.health, sight.message.as_str()),
        (Health::Loading, "Loading model")
    );
    let ready = seen(
        Kind::LlamaCpp,
        &[
            ("/health", 200, json!({"status": "ok"})),
            ("/v1/models", 200, models("llamacpp")),
            ("/props", 200, json!({"default_generation_settings": {"n_ctx": 2048}, "chat_template": "x", "build_info": "b1"})),
            ("/slots", 200, json!([{"is_processing": true}, {"is_processing": false}])),
        ],
    )
    .await;
    assert_eq!(
        (ready.models[0].context_length, ready.load.running),
        (2048, Some(1.0))
    );
    let refused = seen(
        Kind::Openai,
        &[("/v1/models", 401, json!({"error": {"message": "bad key sk-1"}}))],
    )
    .await;
    assert_eq!(refused.health, Health::Unhealthy);
    assert!(
        refused.message.contains("api_key_file") && !refused.message.contains("sk-1"),
        "{}",
        refused.message
    );
    let tgi = seen(
        Kind::Tgi,
        &[
            ("/health", 200, json!("")),
            (
                "/info",
                200,
                json!({"model_id": "org/m", "max_total_tokens": 100, "version": "3"}),
            ),
            (
                "/metrics",
                200,
                json!("tgi_queue_size 4\ntgi_batch_current_size 2\n"),
            ),
        ],
    )
    .await;
    assert_eq!(
        (tgi.models[0].id.as_str(), tgi.load.waiting),
        ("org/m", Some(4.0))
    );
}
