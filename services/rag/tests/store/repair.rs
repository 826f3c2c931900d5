//! Indexes that are lost, broken or of other making are made anew from the ledger.

use std::fs;
use std::path::{Path, PathBuf};

use polyphony_rag::dense::Quantization;
use polyphony_rag::domain::Fusion;

use super::support::*;

const TEXTS: [(&str, &str); 3] = [
    ("a", "The whale swims\nThe whale sings"),
    ("b", "A train runs on rails"),
    ("c", "Rails are of steel"),
];

/// A store with the texts, closed.
async fn filled(folder: &Path) -> Vec<String> {
    let store = open(folder).await;
    let scope = space(&store, &caller("books"), "library").await;
    ingest(&store, &scope, TEXTS.map(|(id, text)| (head(id), text)).to_vec()).await;
    let ids = ids(&store, &scope).await;
    store.close().await;
    ids
}

/// What both indexes find, one after the other.
async fn ids(store: &polyphony_rag::Store, scope: &polyphony_rag::Scope) -> Vec<String> {
    let mut ids = Vec::new();
    for fusion in [Fusion::DenseOnly, Fusion::LexicalOnly] {
        let found = search(store, scope, &with("whale on rails", fusion)).await;
        ids.extend(
            found
                .hits
                .iter()
                .map(|hit| format!("{} {:.4}", hit.id, hit.components[0].raw)),
        );
    }
    ids
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.push(path);
        }
    }
    all
}

#[tokio::test]
async fn a_lost_index_is_made_anew() {
    for lost in [&["dense"][..], &["lexical"], &["dense", "lexical"]] {
        let folder = quick();
        let before = filled(folder.path()).await;
        for index in lost {
            fs::remove_dir_all(folder.path().join(index)).unwrap();
        }
        let store = open(folder.path()).await;
        let scope = space(&store, &caller("books"), "library").await;
        assert_eq!(ids(&store, &scope).await, before, "without {lost:?}");
        at_rest(&store, &scope).await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_broken_index_is_made_anew() {
    for index in ["dense", "lexical"] {
        let folder = quick();
        let before = filled(folder.path()).await;
        // Cut every file but the one that says what the index is.
        for file in files(&folder.path().join(index)) {
            if !file.ends_with("made.json") {
                let length = fs::metadata(&file).unwrap().len();
                fs::File::options()
                    .write(true)
                    .open(&file)
                    .unwrap()
                    .set_len(length / 2)
                    .unwrap();
            }
        }
        let store = open(folder.path()).await;
        let scope = space(&store, &caller("books"), "library").await;
        assert_eq!(ids(&store, &scope).await, before, "with a broken {index} index");
        at_rest(&store, &scope).await;
        store.close().await;
    }
}

#[tokio::test]
async fn an_index_of_other_making_is_made_anew() {
    let folder = quick();
    filled(folder.path()).await;
    let mut other = config(folder.path());
    other.lexical.title_boost = 3;
    other.dense.quantization = Quantization::Int8;
    let store = open_with(other).await;
    let scope = space(&store, &caller("books"), "library").await;
    assert_eq!(
        search(&store, &scope, &query("whale")).await.hits[0].document,
        "a"
    );
    at_rest(&store, &scope).await;
    store.close().await;
}

#[tokio::test]
async fn one_process_at_a_time_has_a_folder() {
    let folder = quick();
    let store = open(folder.path()).await;
    let models = std::sync::Arc::new(super::hashed::Hashed::default());
    let second = polyphony_rag::Store::open(
        config(folder.path()),
        models,
        std::sync::Arc::new(super::hashed::Lines),
    )
    .await;
    assert!(second.unwrap_err().to_string().contains("rag.data_dir"));
    store.close().await;
}
