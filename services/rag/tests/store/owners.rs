//! Owners: whatever three of them do with their spaces, none ever sees anything of another's.

use std::collections::{BTreeMap, BTreeSet};

use polyphony_chassis::Caller;
use polyphony_error::{Fault, Kind};
use polyphony_rag::domain::{Fusion, Head, Query};
use polyphony_rag::{DocumentListing, Scope, Store};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::support::*;

/// What an owner may do.
#[derive(Debug, Clone)]
enum Operation {
    Ingest {
        document: u8,
        word: u8,
        tag: u8,
    },
    Delete {
        document: u8,
    },
    Search {
        word: u8,
        fusion: Fusion,
        tag: Option<u8>,
    },
    List,
    Get {
        document: u8,
    },
    Space,
    Reach {
        other: u8,
    },
    Remake,
}

fn operation() -> impl Strategy<Value = Operation> {
    let fusion = prop_oneof![
        Just(Fusion::RelativeScore),
        Just(Fusion::Rrf),
        Just(Fusion::DenseOnly),
        Just(Fusion::LexicalOnly),
    ];
    prop_oneof![
        4 => (0..6_u8, 0..8_u8, 0..3_u8).prop_map(|(document, word, tag)| Operation::Ingest { document, word, tag }),
        1 => (0..6_u8).prop_map(|document| Operation::Delete { document }),
        6 => (0..8_u8, fusion, prop::option::of(0..3_u8))
            .prop_map(|(word, fusion, tag)| Operation::Search { word, fusion, tag }),
        1 => Just(Operation::List),
        1 => (0..6_u8).prop_map(|document| Operation::Get { document }),
        1 => Just(Operation::Space),
        2 => (0..3_u8).prop_map(|other| Operation::Reach { other }),
        1 => Just(Operation::Remake),
    ]
}

/// One owner, and what its space should hold: documents and their words.
struct Owner {
    name: &'static str,
    caller: Caller,
    scope: Scope,
    documents: BTreeMap<String, (u8, u8)>,
}

/// All owners use the same names of spaces and documents and the same words: only a secret word tells them apart.
fn text(owner: &str, word: u8) -> String {
    format!("word{word} secret{owner}")
}

#[tokio::test]
async fn a_thousand_operations_show_no_owner_anything_of_another() {
    let folder = quick();
    let store = open(folder.path()).await;
    let mut owners = Vec::new();
    for name in ["ana", "ben", "eve"] {
        let caller = caller(name);
        let scope = space(&store, &caller, "space").await;
        owners.push(Owner {
            name,
            caller,
            scope,
            documents: BTreeMap::new(),
        });
    }
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    for _ in 0..1_000 {
        let (who, operation) = (0..3_usize, operation()).new_tree(&mut runner).unwrap().current();
        apply(&store, &mut owners, who, operation).await;
    }
    for owner in &owners {
        at_rest(&store, &owner.scope).await;
    }
    store.close().await;
}

async fn apply(store: &Store, owners: &mut [Owner], who: usize, operation: Operation) {
    let others: Vec<&'static str> = owners
        .iter()
        .map(|owner| owner.name)
        .filter(|name| *name != owners[who].name)
        .collect();
    let owner = &mut owners[who];
    match operation {
        Operation::Ingest { document, word, tag } => {
            let id = format!("d{document}");
            let head = Head {
                tags: vec![format!("t{tag}")],
                ..head(&id)
            };
            let outcome = ingest(store, &owner.scope, vec![(head, &text(owner.name, word))]).await;
            assert_eq!(outcome.results[0].failure, None);
            owner.documents.insert(id, (word, tag));
        }
        Operation::Delete { document } => {
            let id = format!("d{document}");
            let deleted = store.delete_document(&owner.scope, &id).await;
            assert_eq!(deleted.is_ok(), owner.documents.remove(&id).is_some());
        }
        Operation::Search { word, fusion, tag } => {
            let mut query: Query = with(&format!("word{word} secretana secretben secreteve"), fusion);
            query.page_size = 100;
            query.filter.tags = tag.map(|tag| format!("t{tag}")).into_iter().collect();
            let found = search(store, &owner.scope, &query).await;
            let shown: BTreeSet<String> = found.hits.iter().map(|hit| hit.document.clone()).collect();
            let own = owner
                .documents
                .iter()
                .filter(|(_, (_, of))| tag.is_none_or(|tag| tag == *of));
            let own: BTreeSet<String> = own.map(|(id, _)| id.clone()).collect();
            // Each of its documents has its secret word, so each is found, and nothing else is.
            assert_eq!(shown, own, "{fusion:?} of {}", owner.name);
            for hit in &found.hits {
                assert_eq!(hit.text, text(owner.name, owner.documents[&hit.document].0));
                assert!(others.iter().all(|other| !hit.text.contains(other)));
            }
        }
        Operation::List => {
            let listing = DocumentListing {
                most: 100,
                ..DocumentListing::default()
            };
            let listed = store.list_documents(&owner.scope, &listing).await.unwrap();
            let ids: Vec<&String> = listed.iter().map(|document| &document.id).collect();
            assert_eq!(ids, owner.documents.keys().collect::<Vec<_>>());
        }
        Operation::Get { document } => {
            let id = format!("d{document}");
            let got = store.document(&owner.scope, &id).await;
            assert_eq!(got.is_ok(), owner.documents.contains_key(&id));
        }
        Operation::Space => {
            let space = store.space(&owner.scope).await.unwrap();
            let count = owner.documents.len() as u64;
            assert_eq!((space.documents, space.passages), (count, count));
            assert!(space.owner.ends_with(owner.name));
            let spaces = store.list_spaces(&owner.caller, "", 100).await.unwrap();
            assert!(spaces.iter().all(|space| space.owner.ends_with(owner.name)));
            assert_eq!(store.audit(&owner.scope).await.unwrap().passages as u64, count);
        }
        Operation::Reach { other } => {
            let other = usize::from(other);
            let private = format!("only-{}", owners[other].name);
            let scope = space(store, &owners[other].caller, &private).await;
            assert_eq!(scope.space(), private);
            if other != who {
                let (absent, denied) = (
                    store
                        .scope(&owners[who].caller, "nobody-has-this")
                        .await
                        .unwrap_err(),
                    store.scope(&owners[who].caller, &private).await.unwrap_err(),
                );
                let (absent, denied) = (Fault::from(absent), Fault::from(denied));
                assert_eq!((denied.kind, denied.reason), (Kind::NotFound, absent.reason));
                assert_eq!(
                    denied.message.replace(&private, ""),
                    absent.message.replace("nobody-has-this", "")
                );
            }
        }
        Operation::Remake => {
            store.delete_space(&owner.scope, true, "").await.unwrap();
            owner.documents.clear();
            owner.scope = space(store, &owner.caller, "space").await;
        }
    }
}

#[tokio::test]
async fn what_others_have_does_not_move_a_score() {
    let folder = quick();
    let store = open(folder.path()).await;
    let own = space(&store, &caller("ana"), "space").await;
    ingest(
        &store,
        &own,
        vec![(head("a"), "a rare whale"), (head("b"), "a common train")],
    )
    .await;
    let scores = async || {
        let found = search(&store, &own, &with("whale train", Fusion::LexicalOnly)).await;
        found
            .hits
            .iter()
            .map(|hit| (hit.document.clone(), hit.components[0].raw))
            .collect::<Vec<_>>()
    };
    let before = scores().await;
    let other = space(&store, &caller("ben"), "space").await;
    let many: Vec<String> = (0..50).map(|at| format!("whale {at}")).collect();
    let many = many
        .iter()
        .enumerate()
        .map(|(at, text)| (head(&format!("d{at}")), text.as_str()));
    ingest(&store, &other, many.collect()).await;
    assert_eq!(scores().await, before);
    store.close().await;
}
