//! Vectors, order, likelihood and tokens, of servers that have them.

use polyphony_llm_proxy::config::Kind;
use polyphony_proto::llm::v1 as pb;
use serde_json::json;
use tonic::Code;

use crate::support::*;

async fn server() -> Upstream {
    Upstream::start(|seen, mut wire| async move {
        let answer = match seen.path.as_str() {
            "/v1/embeddings" => json!({"data": [{"index": 1, "embedding": [0.0, 2.0]}, {"index": 0, "embedding": [3.0, 4.0]}], "usage": {"prompt_tokens": 4}}),
            "/v1/rerank" => json!({"results": [{"index": 0, "relevance_score": -2.0}, {"index": 1, "relevance_score": 0.0}], "usage": {"total_tokens": 9}}),
            "/v1/completions" => json!({"choices": [{"logprobs": {"tokens": ["The", " sky", " blue", "!"], "token_logprobs": [null, -1.0, -2.0, -7.0], "text_offset": [0, 3, 7, 12]}}]}),
            "/tokenize" => json!({"tokens": [1, 15, 16], "token_strs": ["<s>", "Hi", "Ġyou"]}),
            "/detokenize" => json!({"prompt": "Hi you"}),
            _ => json!({}),
        };
        wire.json(200, &answer).await;
    })
    .await
}

#[tokio::test]
async fn texts_become_vectors_of_length_one_in_their_order() {
    let upstream = server().await;
    let served = before(Kind::Vllm, &upstream).await;
    let request = pb::EmbedRequest {
        model: "m".to_owned(),
        inputs: vec!["a".to_owned(), "b".to_owned()],
        ..Default::default()
    };
    let answer = served
        .client
        .clone()
        .embed(request.clone())
        .await
        .expect("embedded")
        .into_inner();
    let vectors: Vec<_> = answer.embeddings.iter().map(|one| one.values.clone()).collect();
    assert_eq!(vectors, [[0.6, 0.8], [0.0, 1.0]]);
    assert_eq!(answer.usage.expect("usage").prompt_tokens, Some(4));
    let raw = pb::EmbedRequest {
        normalize: Some(false),
        ..request.clone()
    };
    let raw = served
        .client
        .clone()
        .embed(raw)
        .await
        .expect("embedded")
        .into_inner();
    assert_eq!(raw.embeddings[0].values, [3.0, 4.0]);
    let one = pb::EmbedRequest {
        inputs: vec!["a".to_owned()],
        ..request.clone()
    };
    let status = served
        .client
        .clone()
        .embed(one)
        .await
        .expect_err("two vectors for one text");
    assert_eq!(status.code(), Code::Unavailable);
    let refused = pb::EmbedRequest {
        task: pb::EmbeddingTask::Query.into(),
        truncation: pb::Truncation::Left.into(),
        inputs: vec![String::new()],
        ..request
    };
    let status = served.client.clone().embed(refused).await.expect_err("refused");
    let details = tonic_types::StatusExt::get_error_details(&status);
    let fields: Vec<_> = details
        .bad_request()
        .expect("details")
        .field_violations
        .iter()
        .map(|one| one.field.as_str())
        .collect();
    assert_eq!(fields, ["inputs[0]", "task", "truncation"]);
}

#[tokio::test]
async fn scores_are_between_zero_and_one_unless_raw_ones_are_asked_for() {
    let upstream = server().await;
    let served = before(Kind::LlamaCpp, &upstream).await;
    let request = pb::RerankRequest {
        model: "m".to_owned(),
        query: "q".to_owned(),
        documents: vec!["one".to_owned(), "two".to_owned()],
        top_n: Some(1),
        return_documents: Some(true),
        ..Default::default()
    };
    let answer = served
        .client
        .clone()
        .rerank(request.clone())
        .await
        .expect("ordered")
        .into_inner();
    let best = &answer.results[0];
    assert_eq!(
        (
            answer.results.len(),
            best.index,
            best.relevance_score,
            best.document.as_str()
        ),
        (1, 1, 0.5, "two")
    );
    let raw = pb::RerankRequest {
        raw_scores: Some(true),
        top_n: None,
        ..request.clone()
    };
    let raw = served
        .client
        .clone()
        .rerank(raw.clone())
        .await
        .expect("ordered")
        .into_inner();
    assert_eq!(
        raw.results
            .iter()
            .map(|one| one.relevance_score)
            .collect::<Vec<_>>(),
        [0.0, -2.0]
    );
    let vllm = before(Kind::Vllm, &upstream).await;
    let refused = pb::RerankRequest {
        raw_scores: Some(true),
        ..request
    };
    assert_eq!(
        vllm.client
            .clone()
            .rerank(refused)
            .await
            .expect_err("refused")
            .code(),
        Code::InvalidArgument
    );
}

#[tokio::test]
async fn many_continuations_leave_room_in_the_queue_for_others() {
    let upstream = server().await;
    let mut config = config(&[("one", Kind::Vllm, upstream.address)]);
    let one = config.upstreams.get_mut("one").expect("configured");
    (one.max_in_flight, one.max_queue) = (1, 20);
    let served = served(config).await;
    let request = pb::ScoreRequest {
        model: "m".to_owned(),
        prompt: "The sky".to_owned(),
        candidates: vec![" blue".to_owned(); 100],
        ..Default::default()
    };
    let scored = served.client.clone().score(request).await.expect("scored");
    assert_eq!(scored.into_inner().scores.len(), 100);
}

#[tokio::test]
async fn likelihoods_and_tokens_are_those_of_the_text_that_was_sent() {
    let upstream = server().await;
    let served = before(Kind::Vllm, &upstream).await;
    let request = pb::ScoreRequest {
        model: "m".to_owned(),
        prompt: "The sky".to_owned(),
        candidates: vec![" blue".to_owned()],
        include_token_logprobs: Some(true),
        ..Default::default()
    };
    let scored = served
        .client
        .clone()
        .score(request.clone())
        .await
        .expect("scored")
        .into_inner();
    assert_eq!(
        (scored.scores[0].log_prob, scored.scores[0].tokens.len()),
        (-2.0, 1)
    );
    assert_eq!(upstream.last().body["prompt"], "The sky blue");
    let request = pb::TokenizeRequest {
        model: "m".to_owned(),
        text: "Hi you".to_owned(),
        ..Default::default()
    };
    let tokens = served
        .client
        .clone()
        .tokenize(request)
        .await
        .expect("cut")
        .into_inner()
        .tokens;
    let ranges: Vec<_> = tokens
        .iter()
        .map(|token| {
            (
                token.id,
                token.text.as_str(),
                token
                    .source_text_range
                    .as_ref()
                    .map(|range| (range.start_byte, range.end_byte)),
            )
        })
        .collect();
    assert_eq!(
        ranges,
        [
            (1, "<s>", None),
            (15, "Hi", Some((0, 2))),
            (16, " you", Some((2, 6)))
        ]
    );
    let request = pb::DetokenizeRequest {
        model: "m".to_owned(),
        token_ids: vec![15, 16],
        ..Default::default()
    };
    assert_eq!(
        served
            .client
            .clone()
            .detokenize(request)
            .await
            .expect("joined")
            .into_inner()
            .text,
        "Hi you"
    );
    let lacking = before(Kind::Openai, &upstream).await;
    let request = pb::TokenizeRequest {
        model: "m".to_owned(),
        text: "Hi".to_owned(),
        ..Default::default()
    };
    assert_eq!(
        lacking
            .client
            .clone()
            .tokenize(request)
            .await
            .expect_err("lacks it")
            .code(),
        Code::Unimplemented
    );
}

/// By all-MiniLM-L6-v2, as `make setup` installs it.
#[tokio::test]
async fn texts_are_embedded_and_cut_without_any_upstream() {
    let served = served(config(&[])).await;
    let request = pb::EmbedRequest {
        inputs: ["a cat", "a dog", "quantum field theory"]
            .map(str::to_owned)
            .to_vec(),
        ..Default::default()
    };
    let answer = served.client.clone().embed(request).await;
    let answer = answer
        .expect("embedded; `make setup` installs the model")
        .into_inner();
    let alike = |a: usize, b: usize| -> f32 {
        let (a, b) = (&answer.embeddings[a].values, &answer.embeddings[b].values);
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    };
    assert!((alike(0, 0) - 1.0).abs() < 1e-4);
    assert!(
        alike(0, 1) > alike(0, 2) + 0.2,
        "{} and {}",
        alike(0, 1),
        alike(0, 2)
    );
    let receipt = answer.receipt.expect("a receipt");
    assert!(receipt.model_digest.starts_with("sha256:"), "{receipt:?}");
    let door = served
        .post(
            "/v1/embeddings",
            &json!({"model": receipt.model, "input": "a cat"}),
        )
        .await;
    let vector = door.json()["data"][0]["embedding"]
        .as_array()
        .expect("a vector")
        .len();
    assert_eq!(vector, answer.embeddings[0].values.len());
    let wrong = pb::EmbedRequest {
        inputs: vec!["a".to_owned()],
        expected_model_digest: format!("sha256:{}", "0".repeat(64)),
        ..Default::default()
    };
    let status = served
        .client
        .clone()
        .embed(wrong)
        .await
        .expect_err("another model");
    assert_eq!(status.code(), Code::FailedPrecondition);
    let cut = pb::TokenizeRequest {
        model: receipt.model,
        text: "Hello w\u{f6}rld".to_owned(),
        add_special_tokens: Some(false),
    };
    let tokens = served
        .client
        .clone()
        .tokenize(cut)
        .await
        .expect("cut")
        .into_inner()
        .tokens;
    let range = tokens
        .last()
        .and_then(|token| token.source_text_range)
        .expect("a place");
    assert_eq!((range.start_byte, range.end_byte), (6, 12));
}
