//! kill -9: at work, at each step between the two databases of an ingestion, and in the middle of a cancellation.
//!
//! `POLYPHONY_RAG_KILLS` says how often one is killed at work.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;

use polyphony_harness::program;
use polyphony_rag::Rag;

use super::super::support::{SERVICE, all_settings};
use super::*;
use crate::killed::{self, kills, stopped};

const FOLDER: &str = "POLYPHONY_RAG_INGESTIONS_FOLDER";

/// The service in a process of its own.
struct Killable {
    child: Child,
    folder: PathBuf,
    rag: RagServiceClient<Channel>,
    operations: OperationsClient<Channel>,
}

/// The process that is killed: it serves until it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn child() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let settings = all_settings(&folder, &["rag.workers=1"]);
    let running = program::<Rag>(SERVICE, &settings).await;
    fs::write(folder.join("new"), running.address.to_string()).expect("written");
    fs::rename(folder.join("new"), folder.join("address")).expect("named");
    std::future::pending::<()>().await;
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "it never came to this: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

// === impl Killable ===

impl Killable {
    /// Starts it, to stop for ever at this place.
    async fn start(folder: &Path, place: Option<&str>) -> Self {
        let address = folder.join("address");
        drop(fs::remove_file(&address));
        drop(fs::remove_file(stopped(folder)));
        let told = [(FOLDER, folder.as_os_str())];
        let child = killed::start("service::ingestions::kills::child", &told, folder, place);
        until("it serves", || address.exists()).await;
        let uri = format!("http://{}", fs::read_to_string(&address).expect("written"));
        let channel = Channel::from_shared(uri).expect("a uri").connect().await;
        let channel = channel.expect("connects");
        Self {
            child,
            folder: folder.to_owned(),
            rag: RagServiceClient::new(channel.clone()),
            operations: OperationsClient::new(channel),
        }
    }

    async fn stopped(&self) {
        let stopped = stopped(&self.folder);
        until("it stops at its place", || stopped.exists()).await;
    }
}

impl Drop for Killable {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingestion_goes_on_under_its_name_when_its_service_was_killed_at_work() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut killed = Killable::start(folder.path(), None).await;
    make(&mut killed.rag).await;
    let sent = many(100 * kills());
    let mut all = all_messages(&sent, REQUEST_ID);
    all.push(message(Message::Document(pb::DocumentHead {
        document_id: "broken.docx".to_owned(),
        ..pb::DocumentHead::default()
    })));
    all.push(message(Message::Content(b"PK\x03\x04 is no package"[..].into())));
    let begun = killed
        .rag
        .ingest(stream(all.clone()))
        .await
        .expect("taken in")
        .into_inner();
    let watch = pb::WatchIngestRequest {
        name: begun.name.clone(),
    };
    let mut seen = 0;
    for _ in 0..kills() {
        let mut watched = killed
            .rag
            .watch_ingest(watch.clone())
            .await
            .expect("watched")
            .into_inner();
        seen = loop {
            let news = watched.message().await.expect("news").expect("it is not done");
            assert_eq!(news.result, None, "it was done before it could be killed");
            let now = news.metadata.expect("metadata");
            if now.ready_documents > seen {
                assert_eq!(now.state(), JobState::Running);
                break now.ready_documents;
            }
        };
        drop(killed);
        killed = Killable::start(folder.path(), None).await;
    }
    let mut again = killed;
    let total = u32::try_from(sent.len()).expect("few") + 1;
    let now = get(&mut again.operations, &begun.name).await;
    assert_eq!(metadata(&now).total_documents, total);
    let mut watched = again.rag.watch_ingest(watch).await.expect("watched").into_inner();
    let mut last = pb::WatchIngestResponse::default();
    while let Some(news) = watched.message().await.expect("news") {
        last = news;
    }
    let told = last.metadata.expect("metadata");
    assert_eq!((told.state(), told.progress_percent), (JobState::Succeeded, 100));
    assert_eq!((told.ready_documents, told.failed_documents), (total - 1, 1));
    let ended = wait(&mut again.operations, &begun.name).await;
    let response = response(ended);
    assert_eq!(
        last.result,
        Some(pb::watch_ingest_response::Result::Response(response.clone()))
    );
    let (broken, good) = response.results.split_last().expect("results");
    for ((id, _), result) in sent.iter().zip(good) {
        assert_eq!(result.name, format!("spaces/heron/documents/{id}"));
        assert_eq!(result.error, None);
        let document = result.document.as_ref().expect("a document");
        assert_eq!(document.state(), pb::DocumentState::Ready);
    }
    let error = broken.error.as_ref().expect("it is broken");
    assert_eq!(error.code, i32::from(Code::InvalidArgument), "{error:?}");
    // The same request is the same operation, before and after.
    let same = again.rag.ingest(stream(all)).await.expect("known").into_inner();
    assert_eq!(same.name, begun.name);
    assert_eq!(names(&mut again.operations).await, [begun.name]);
}

/// Kills it at this place of an ingestion, whose caller is not answered, and asks again. Gives the operations that were there
/// after the kill, and the one that the second call was answered with.
async fn killed_and_asked_again(place: &str) -> (Vec<String>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut killed = Killable::start(folder.path(), Some(place)).await;
    make(&mut killed.rag).await;
    let sent = [("wings.md", WINGS), ("bread.md", BREAD)].map(|(id, text)| (id.to_owned(), text.to_owned()));
    let all = all_messages(&sent, REQUEST_ID);
    let mut rag = killed.rag.clone();
    let call = tokio::spawn(rag_call(all.clone(), rag.clone()));
    killed.stopped().await;
    drop(killed);
    call.await.expect("ends").expect_err("nobody answered");

    let mut again = Killable::start(folder.path(), None).await;
    let left = names(&mut again.operations).await;
    rag = again.rag.clone();
    let second = rag_call(all, rag.clone()).await.expect("taken in");
    let response = response(wait(&mut again.operations, &second.name).await);
    assert_eq!(response.results.len(), 2);
    for result in &response.results {
        assert_eq!(
            (&result.error, result.unchanged),
            (&None, false),
            "it is the first request"
        );
    }
    let found = documents(&mut rag).await;
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found
            .iter()
            .all(|document| document.state() == pb::DocumentState::Ready)
    );
    assert_eq!(
        names(&mut again.operations).await,
        std::slice::from_ref(&second.name)
    );
    (left, second.name)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_ledger_and_queue_leaves_documents_and_no_operation_without_them() {
    let (left, _) = killed_and_asked_again("before_queue").await;
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_before_the_answer_leaves_the_operation_that_the_next_call_is_answered_with() {
    let (left, second) = killed_and_asked_again("after_queue").await;
    assert_eq!(left, [second]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_when_all_is_done_and_not_written_loses_no_outcome() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut killed = Killable::start(folder.path(), Some("before_outcome")).await;
    make(&mut killed.rag).await;
    let begun = killed
        .rag
        .ingest(stream(messages("heron", &[("wings.md", WINGS)])))
        .await;
    let name = begun.expect("taken in").into_inner().name;
    killed.stopped().await;
    drop(killed);
    let mut again = Killable::start(folder.path(), None).await;
    let response = response(wait(&mut again.operations, &name).await);
    assert_eq!((response.results.len(), &response.results[0].error), (1, &None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_that_a_kill_interrupts_is_carried_out_by_the_next_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut killed = Killable::start(folder.path(), Some("before_cancel")).await;
    make(&mut killed.rag).await;
    let begun = killed.rag.ingest(stream(all_messages(&many(300), ""))).await;
    let name = begun.expect("taken in").into_inner().name;
    let cancel = lro::CancelOperationRequest { name: name.clone() };
    killed.operations.cancel_operation(cancel).await.expect("asked");
    killed.stopped().await;
    assert!(
        !get(&mut killed.operations, &name).await.done,
        "nothing is stopped yet"
    );
    drop(killed);

    let mut again = Killable::start(folder.path(), None).await;
    let ended = wait(&mut again.operations, &name).await;
    let told = metadata(&ended);
    assert_eq!(told.state(), JobState::Cancelled);
    let Some(Ended::Error(error)) = ended.result else {
        panic!("{ended:?}")
    };
    assert_eq!(error.code, i32::from(Code::Cancelled));
    assert!(
        told.failed_documents > 0,
        "it was done before it could be cancelled: {told:?}"
    );
    assert_eq!(told.ready_documents + told.failed_documents, 300);
    // What was stopped stays so, and says why.
    let found = documents(&mut again.rag).await;
    let failed = found
        .iter()
        .filter(|document| document.state() == pb::DocumentState::Failed);
    let mut count = 0;
    for document in failed {
        count += 1;
        let code = document.error.as_ref().map(|error| error.code);
        assert_eq!(code, Some(i32::from(Code::Cancelled)), "{document:?}");
    }
    assert_eq!(count, told.failed_documents);
}
