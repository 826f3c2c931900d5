//! Two services of one process that ask for the same model share it.

use polyphony_encoders::roster::{embedders, rerankers, zero_shots};
use polyphony_models::{ResidencyPolicy, Residents};

use super::support::{SETUP, config, store};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_two_services_use_is_in_memory_once() {
    let policy = ResidencyPolicy {
        idle_unload: None,
        memory_budget: None,
        retry_after: std::time::Duration::ZERO,
    };
    let (residents, store) = (Residents::new(policy), store());
    let roster = || embedders(&store, residents.clone(), &config(), None).expect("a roster");
    let (one, other) = (roster(), roster());
    for roster in [&one, &other] {
        let present = roster.present().await.expect("a list");
        let minilm = present
            .iter()
            .find(|model| model.model.id.as_str() == "all-MiniLM-L6-v2")
            .expect(SETUP);
        let known = minilm.known.as_ref().expect("its files say what it is");
        assert_eq!((known.dimensions, known.max_tokens), (384, 256));
    }
    let (a, b) = (
        one.acquire("all-MiniLM-L6-v2").await.expect(SETUP),
        other.acquire("all-MiniLM-L6-v2").await.expect(SETUP),
    );
    assert!(std::ptr::eq(&raw const *a, &raw const *b));
    assert!(a.info().made.digest.starts_with("sha256:"));
    // What is not on disk is known all the same.
    let rerankers = rerankers(&store, residents.clone(), &config(), None).expect("a roster");
    let absent = rerankers.acquire("onnx-community/bge-reranker-v2-m3-ONNX").await;
    assert!(absent.is_ok() || absent.is_err_and(|fault| fault.message.contains("polyphony models pull")));
    zero_shots(&store, residents, &config(), None).expect("a roster");
}
