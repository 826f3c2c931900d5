//! Two processes on one ledger, which is PostgreSQL. Without `POLYPHONY_RAG_TEST_POSTGRES` nothing is done here.

use std::path::Path;

use polyphony_error::{Fault, Kind};
use polyphony_rag::Config;
use polyphony_rag::domain::NewSpace;

use super::support::*;

/// The configuration of one of two replicas; `None` without a server.
fn replica(folder: &Path, replica: usize) -> Option<Config> {
    let Config { ledger_url, .. } = config(folder);
    let data_dir = folder.join(format!("replica{replica}"));
    Some(Config {
        data_dir,
        ledger_url: Some(ledger_url?),
        replicas: 2,
        replica,
        ..config(folder)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_given_to_one_space_whichever_replica_is_asked() {
    let folder = quick();
    let (Some(one), Some(other)) = (replica(folder.path(), 0), replica(folder.path(), 1)) else {
        return;
    };
    let (one, other) = (open_with(one).await, open_with(other).await);
    let caller = caller("books");
    let request = "123e4567-e89b-42d3-a456-4266141740";
    for at in 0..20 {
        let new = |name: &str| NewSpace {
            id: Some(format!("{name}{at}")),
            ..NewSpace::default()
        };
        let (a, b) = tokio::join!(
            one.create_space(&caller, new("space"), ""),
            other.create_space(&caller, new("space"), "")
        );
        let refused = if a.is_ok() { b } else { a };
        assert_eq!(Fault::from(refused.unwrap_err()).kind, Kind::AlreadyExists);
        let id = format!("{request}{at:02}");
        let (a, b) = tokio::join!(
            one.create_space(&caller, new("same"), &id),
            other.create_space(&caller, new("same"), &id)
        );
        assert_eq!(a.unwrap().created, b.unwrap().created);
    }
    one.close().await;
    other.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_is_kept_by_one_replica_and_the_other_names_it() {
    let folder = quick();
    let (Some(one), Some(other)) = (replica(folder.path(), 0), replica(folder.path(), 1)) else {
        return;
    };
    let (one, other) = (open_with(one).await, open_with(other).await);
    let caller = caller("books");
    let mut kept = [0, 0];
    for at in 0..12 {
        let name = format!("space{at}");
        let scope = space(&one, &caller, &name).await;
        assert_eq!(space(&other, &caller, &name).await.space(), name);
        let query = query("whale");
        let (a, b) = tokio::join!(one.search(&scope, &query), other.search(&scope, &query));
        let (keeper, number, refused) = match (a, b) {
            (Ok(_), Err(refused)) => (&one, 0, refused),
            (Err(refused), Ok(_)) => (&other, 1, refused),
            (a, b) => panic!("one of two: {a:?} {b:?}"),
        };
        let refused = Fault::from(refused);
        assert_eq!(refused.kind, Kind::FailedPrecondition);
        assert!(
            refused.message.contains(&format!("replica {number}")),
            "{refused:?}"
        );
        kept[number] += 1;
        ingest(keeper, &scope, vec![(head("a"), "a whale")]).await;
        assert_eq!(documents(&search(keeper, &scope, &query).await), ["a"]);
    }
    assert!(kept.iter().all(|kept| *kept > 0), "{kept:?}");
    one.close().await;
    other.close().await;
}
