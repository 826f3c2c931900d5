//! How answers about texts are read.

use super::*;

#[test]
fn vectors_are_put_in_order() {
    let answer = json!({"data": [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": [1]}], "usage": {"prompt_tokens": 4}});
    let (vectors, usage) = embeddings(Kind::Vllm, &answer).expect("read");
    assert_eq!(vectors, [[1.0], [2.0]]);
    assert_eq!(usage.prompt_tokens, Some(4));
    let ollama = json!({"embeddings": [[0.5, 1.5]], "prompt_eval_count": 3});
    assert_eq!(embeddings(Kind::Ollama, &ollama).expect("read").0, [[0.5, 1.5]]);
    assert!(embeddings(Kind::Openai, &json!({"data": [{"embedding": "AAAA"}]})).is_err());
}

#[test]
fn both_shapes_of_an_order_are_read_best_first() {
    for answer in [
        json!({"results": [{"index": 0, "relevance_score": 0.1}, {"index": 1, "relevance_score": 0.9}]}),
        json!([{"index": 0, "score": 0.1}, {"index": 1, "score": 0.9}]),
    ] {
        let (order, _) = ranked(&answer, 2).expect("read");
        assert_eq!(order.iter().map(|one| one.index).collect::<Vec<_>>(), [1, 0]);
        assert!(ranked(&answer, 3).is_err(), "one is missing");
    }
    let twice = json!([{"index": 0, "score": 0.1}, {"index": 0, "score": 0.9}]);
    assert!(ranked(&twice, 2).is_err());
    let twice = json!({"data": [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [2.0]}]});
    assert!(embeddings(Kind::Vllm, &twice).is_err());
}

#[test]
fn an_echo_gives_the_tokens_of_the_candidate_alone() {
    let answer = json!({"choices": [{"logprobs": {
        "tokens": ["The", " sky", " is", " blue", "."],
        "token_logprobs": [null, -1.0, -2.0, -3.0, -9.0],
        "text_offset": [0, 3, 7, 10, 15],
    }}]});
    let (tokens, _) = echoed(&answer, 7, 15).expect("read");
    assert_eq!(
        tokens.iter().map(|one| one.logprob).collect::<Vec<_>>(),
        [-2.0, -3.0]
    );
    let (crossing, _) = echoed(&answer, 8, 15).expect("read");
    assert_eq!(crossing[0].token, " is");
    assert!(echoed(&json!({"choices": [{"logprobs": null}]}), 0, 1).is_err());
}

#[test]
fn tokens_are_read_in_each_dialect() {
    let expected = [
        Token {
            id: 1,
            text: "Hel".to_owned(),
        },
        Token {
            id: 2,
            text: "lo".to_owned(),
        },
    ];
    for (kind, answer) in [
        (Kind::Vllm, json!({"tokens": [1, 2], "token_strs": ["Hel", "lo"]})),
        (
            Kind::LlamaCpp,
            json!({"tokens": [{"id": 1, "piece": "Hel"}, {"id": 2, "piece": [108, 111]}]}),
        ),
        (
            Kind::Tgi,
            json!([{"id": 1, "text": "Hel", "start": 0, "stop": 3}, {"id": 2, "text": "lo"}]),
        ),
    ] {
        assert_eq!(tokens(kind, &answer).expect("read"), expected, "{kind}");
    }
}
