//! Configurations that cannot be true are refused by their key, and none of them tells a password.

use std::sync::Arc;

use polyphony_rag::lexical::LexicalEngine;
use polyphony_rag::{Config, Store};

use super::hashed::{Hashed, Lines};

async fn refused(change: impl FnOnce(&mut Config)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config {
        data_dir: folder.path().to_owned(),
        ..Config::default()
    };
    change(&mut config);
    let opened = Store::open(config, Arc::new(Hashed::default()), Arc::new(Lines)).await;
    opened.unwrap_err().to_string()
}

#[tokio::test]
async fn a_configuration_that_cannot_be_true_is_refused_by_its_key() {
    let told = refused(|config| config.replicas = 2).await;
    assert!(
        told.starts_with("rag.replicas") && told.contains("PostgreSQL"),
        "{told}"
    );
    let told = refused(|config| config.replica = 1).await;
    assert!(told.starts_with("rag.replica"), "{told}");
    let told = refused(|config| config.lexical.engine = LexicalEngine::Sparse).await;
    assert!(told.starts_with("rag.lexical.engine"), "{told}");
    let told = refused(|config| config.dense.url = "http://qdrant:6334".to_owned()).await;
    assert!(told.starts_with("rag.dense.url"), "{told}");
    let told = refused(|config| config.dense.hnsw_m = 1).await;
    assert!(told.starts_with("rag.dense.hnsw_m"), "{told}");
    let told =
        refused(|config| config.ledger_url = Some("mysql://me:canary@host/db".to_owned().into())).await;
    assert!(
        told.starts_with("rag.ledger_url") && !told.contains("canary"),
        "{told}"
    );
}
