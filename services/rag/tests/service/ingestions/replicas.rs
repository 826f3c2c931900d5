//! Two processes with one ledger and one queue, which are PostgreSQL. Without `POLYPHONY_RAG_TEST_POSTGRES`, as
//! `postgres://postgres@127.0.0.1:5432`, nothing is done here.

use tempfile::TempDir;

use super::*;

/// A database of its own on the server.
fn database(server: &str, folder: &TempDir) -> String {
    let name = folder
        .path()
        .file_name()
        .expect("a name")
        .to_str()
        .expect("a text");
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let name = format!("t{}", name.to_lowercase());
    let made = std::process::Command::new("psql")
        .args([
            &format!("{server}/postgres"),
            "-q",
            "-c",
            &format!("CREATE DATABASE {name}"),
        ])
        .status()
        .expect("psql of postgresql-client, which POLYPHONY_RAG_TEST_POSTGRES asks for");
    assert!(made.success(), "{made}");
    format!("{server}/{name}")
}

async fn replica(number: usize, url: &str, folder: TempDir) -> Served {
    let settings = [
        "rag.workers=1".to_owned(),
        "rag.replicas=2".to_owned(),
        format!("rag.replica={number}"),
        format!("rag.ledger_url={url}"),
        format!("jobs.url={url}"),
    ];
    started(folder, &settings.each_ref().map(String::as_str)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_follows_an_ingestion_that_another_works_on() {
    let Ok(server) = std::env::var("POLYPHONY_RAG_TEST_POSTGRES") else {
        return;
    };
    let folder = || tempfile::tempdir().expect("a folder");
    let shared = folder();
    let url = database(&server, &shared);
    let mut all = [replica(0, &url, folder()).await, replica(1, &url, folder()).await];
    make(&mut all[0].rag).await;
    let sent = many(300);
    // One of them keeps the space, and takes documents into it.
    let mut taken = None;
    for (number, served) in all.iter().enumerate() {
        if let Ok(begun) = rag_call(all_messages(&sent, REQUEST_ID), served.rag.clone()).await {
            taken = Some((number, begun.name));
        }
    }
    let (keeper, name) = taken.expect("one keeps it");
    let [zero, one] = all;
    let (mut keeps, mut other) = if keeper == 0 { (zero, one) } else { (one, zero) };
    let kept = Instant::now();
    while metadata(&get(&mut keeps.operations, &name).await).ready_documents == 0 {
        assert!(kept.elapsed() < PATIENCE, "nothing is done");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let folder = keeps.stop().await;
    // It is the other's to watch now, and nobody's to work on.
    let begun = Instant::now();
    loop {
        let now = metadata(&get(&mut other.operations, &name).await);
        assert!(now.ready_documents < 300, "it was done before its keeper ended");
        if now.state() == JobState::Running {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "it is not watched");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let _keeps = replica(keeper, &url, folder).await;
    let ended = wait(&mut other.operations, &name).await;
    assert_eq!(metadata(&ended).state(), JobState::Succeeded);
    let response = response(ended);
    assert_eq!(response.results.len(), 300);
    assert!(response.results.iter().all(|result| result.error.is_none()));
}
