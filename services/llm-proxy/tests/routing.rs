//! Where requests go.

use polyphony_llm_proxy::config::{AliasConfig, Kind, When};
use polyphony_proto::llm::v1 as pb;
use serde_json::json;
use tonic::Code;

use crate::support::*;

async fn two() -> (Upstream, Upstream, Served) {
    let a = Upstream::with_models(&["m", "only-a"], |_, mut wire| async move {
        wire.sse(&answer(&["a"])).await
    })
    .await;
    let b = Upstream::streaming(answer(&["b"])).await;
    let served = served(config(&[
        ("a", Kind::Vllm, a.address),
        ("b", Kind::Vllm, b.address),
    ]))
    .await;
    (a, b, served)
}

fn routed(policy: pb::RoutePolicy, key: &str, upstream: &str) -> Option<pb::RoutePreference> {
    Some(pb::RoutePreference {
        policy: policy.into(),
        session_key: key.to_owned(),
        upstream: upstream.to_owned(),
    })
}

#[tokio::test]
async fn a_model_a_name_and_a_session_each_find_their_upstream() {
    let (_a, _b, served) = two().await;
    let only = pb::ChatRequest {
        model: "only-a".to_owned(),
        ..ask("Hi")
    };
    assert_eq!(served.chat(only).await.text(), "a");
    let named = pb::ChatRequest {
        route: routed(pb::RoutePolicy::Unspecified, "", "b"),
        ..ask("Hi")
    };
    assert_eq!(served.chat(named).await.text(), "b");
    let mut seen = Vec::new();
    for _ in 0..6 {
        let sticky = pb::ChatRequest {
            route: routed(pb::RoutePolicy::Session, "s1", ""),
            ..ask("Hi")
        };
        seen.push(served.chat(sticky).await.text());
    }
    assert!(seen.iter().all(|one| one == &seen[0]), "{seen:?}");
    let mut turns = Vec::new();
    for _ in 0..4 {
        let turn = pb::ChatRequest {
            route: routed(pb::RoutePolicy::RoundRobin, "", ""),
            ..ask("Hi")
        };
        turns.push(served.chat(turn).await.text());
    }
    assert!(
        turns[0] != turns[1] && turns[0] == turns[2] && turns[1] == turns[3],
        "{turns:?}"
    );
    let unknown = served
        .chat(pb::ChatRequest {
            model: "x".to_owned(),
            ..ask("Hi")
        })
        .await;
    assert_eq!(unknown.failed().code(), Code::NotFound);
    assert!(
        unknown.failed().message().contains("only-a"),
        "{}",
        unknown.failed().message()
    );
    let nowhere = pb::ChatRequest {
        model: "only-a".to_owned(),
        route: routed(pb::RoutePolicy::Unspecified, "", "b"),
        ..ask("Hi")
    };
    assert_eq!(served.chat(nowhere).await.failed().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_conversation_goes_on_where_it_began() {
    let (_a, _b, served) = two().await;
    let beginning = "A long beginning that is the same each time. ".repeat(30);
    let mut request = ask(&beginning);
    request.route = routed(pb::RoutePolicy::PrefixAffinity, "", "");
    let first = served.chat(request.clone()).await;
    let place = first.text();
    for turn in 0..5 {
        request.messages.push(user(&format!("turn {turn}")));
        let heard = served.chat(request.clone()).await;
        assert_eq!(heard.text(), place);
        let reason = heard.completed().route.clone().expect("a route").reason;
        assert!(reason.starts_with("prefix of "), "{reason}");
    }
}

#[tokio::test]
async fn a_model_that_is_down_is_stood_in_for_and_the_receipt_says_so() {
    let int4 = Upstream::with_models(&["qwen-awq"], |_, mut wire| async move {
        wire.sse(&answer(&["int4"])).await
    })
    .await;
    let fp16 = Upstream::with_models(&["qwen"], |_, mut wire| async move {
        wire.sse(&answer(&["fp16"])).await
    })
    .await;
    let mut config = config(&[
        ("int4", Kind::Vllm, int4.address),
        ("fp16", Kind::Vllm, fp16.address),
    ]);
    config.aliases.push(AliasConfig {
        name: "*-awq".to_owned(),
        model: "*".to_owned(),
        when: When::Unavailable,
    });
    let served = served(config).await;
    let request = pb::ChatRequest {
        model: "qwen-awq".to_owned(),
        ..ask("Hi")
    };
    let heard = served.chat(request.clone()).await;
    assert_eq!(heard.text(), "int4");
    assert!(
        heard
            .completed()
            .receipt
            .as_ref()
            .expect("a receipt")
            .degraded
            .is_none()
    );
    int4.stop().await;
    let heard = loop {
        let heard = served.chat(request.clone()).await;
        if heard.end.is_ok() {
            break heard;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!(heard.text(), "fp16");
    let degraded = heard
        .completed()
        .receipt
        .clone()
        .expect("a receipt")
        .degraded
        .expect("said");
    assert_eq!(degraded.reason, "MODEL_STANDS_IN");
    let listed = served
        .client
        .clone()
        .list_models(pb::ListModelsRequest::default())
        .await
        .expect("listed")
        .into_inner();
    let qwen = listed
        .models
        .iter()
        .find(|model| model.model == "qwen")
        .expect("there");
    assert_eq!(qwen.aliases, ["qwen-awq"]);
}

#[tokio::test]
async fn models_are_listed_in_pages_with_how_their_upstreams_stand() {
    let (_a, _b, served) = two().await;
    let mut client = served.client.clone();
    let mut models = Vec::new();
    let mut request = pb::ListModelsRequest {
        page_size: 1,
        ..Default::default()
    };
    loop {
        let page = client
            .list_models(request.clone())
            .await
            .expect("listed")
            .into_inner();
        assert!(page.models.len() <= 1);
        models.extend(page.models);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    // Encoders may be on disk here, which have no upstream.
    models.retain(|model| !model.upstreams.is_empty());
    let names: Vec<_> = models.iter().map(|model| model.model.as_str()).collect();
    assert_eq!(names, ["m", "only-a"]);
    assert_eq!(models[0].upstreams.len(), 2);
    assert_eq!(models[1].upstreams[0].health(), pb::UpstreamHealth::Healthy);
    request.page_size = 1_001;
    assert_eq!(
        client.list_models(request).await.expect_err("refused").code(),
        Code::InvalidArgument
    );
    let route = client
        .get_route(pb::GetRouteRequest {
            model: "m".to_owned(),
            ..Default::default()
        })
        .await
        .expect("told");
    let route = route.into_inner();
    assert_eq!(route.candidates.len(), 2);
    assert_eq!(
        route.candidates[0].upstream,
        route.route.expect("a route").upstream
    );
    let can = client
        .get_capabilities(pb::GetCapabilitiesRequest {})
        .await
        .expect("told")
        .into_inner();
    assert!(
        can.models[0]
            .supported_fields
            .iter()
            .any(|field| field == "constraint.regex")
    );
    let empty = served
        .chat(pb::ChatRequest {
            model: String::new(),
            ..ask("Hi")
        })
        .await;
    assert_eq!(
        empty.completed().receipt.as_ref().expect("a receipt").model,
        can.models[0].model
    );
}

#[tokio::test]
async fn a_second_request_is_sent_when_the_operator_wants_that_and_the_first_takes_long() {
    let slow = Upstream::start(|_, mut wire| async move { wire.gone().await }).await;
    let quick = Upstream::streaming(answer(&["quick"])).await;
    let mut config = config(&[
        ("a-slow", Kind::Vllm, slow.address),
        ("b-quick", Kind::Vllm, quick.address),
    ]);
    config.policy = polyphony_llm_proxy::config::Policy::RoundRobin;
    config.retry.hedge_after = polyphony_config::HumanDuration::from_millis(50);
    let served = served(config).await;
    let heard = served.chat(ask("Hi")).await;
    assert_eq!(heard.text(), "quick");
    assert_eq!(heard.completed().route.as_ref().expect("a route").attempts, 2);
    assert_eq!(slow.count(), 1);
}

#[tokio::test]
async fn what_an_upstream_is_called_there_is_what_it_is_sent() {
    let upstream = Upstream::streaming(answer(&["x"])).await;
    let mut config = config(&[("one", Kind::Openai, upstream.address)]);
    let one = config.upstreams.get_mut("one").expect("there");
    one.rename.insert("house-model".to_owned(), "m".to_owned());
    one.api_key = Some("sk-secret".to_owned().into());
    let served = served(config).await;
    served
        .chat(pb::ChatRequest {
            model: "house-model".to_owned(),
            ..ask("Hi")
        })
        .await
        .completed();
    let seen = upstream.last();
    assert_eq!(seen.body["model"], json!("m"));
    assert!(
        seen.head.contains("authorization: bearer sk-secret"),
        "{}",
        seen.head
    );
}
