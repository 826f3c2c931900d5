use std::path::Path;

use polyphony_jobs::{Job, JobsConfig, NewJob, Queue};
use polyphony_proto::google::longrunning as lro;
use polyphony_proto::google::longrunning::operations_server::Operations as Service;
use polyphony_proto::types::v1::QueueStatus;
use tonic::{Code, Request};

use super::*;

/// Work in a queue.
#[derive(Debug)]
struct Kept;

impl LastingWork for Kept {
    type Metadata = QueueStatus;
    const METADATA: &'static str = "test.Metadata";
    const RESPONSE: &'static str = "test.Response";

    fn metadata(job: &Job) -> QueueStatus {
        lasting::place(job).unwrap_or_default()
    }
}

/// The work of a service, told of among these operations.
async fn kept(folder: &Path, service: &'static str, operations: &Operations) -> Lasting<Kept> {
    let config = JobsConfig {
        data_dir: folder.to_owned(),
        min_free: polyphony_config::ByteSize::kib(1),
        ..JobsConfig::default()
    };
    let terms = polyphony_jobs::Terms {
        service,
        max_attempts: 3,
        blame_losses: true,
        max_interruptions: None,
        holder_stops: false,
        max_queue: 9,
        max_kept: 9,
        retention: None,
        lanes: 1,
        max_payload: 9,
        max_result: 1 << 20,
        drop_payload: true,
    };
    let kept = Lasting::new(Queue::open(&config, terms).await.expect("opens"));
    operations.tell_of(Arc::new(kept.clone()));
    kept
}

/// The name of new work.
async fn begin(kept: &Lasting<Kept>, owner: &str) -> String {
    let submitted = kept.queue().submit(NewJob::new(owner, b"x".to_vec())).await;
    kept.name(&submitted.expect("room").job.id)
}

/// Does what waits.
async fn work(kept: &Lasting<Kept>, text: &str) {
    let held = kept.queue().claim().await.expect("works").expect("one waits");
    let done = held.succeed(&text.to_owned().encode_to_vec()).await;
    done.expect("held");
}

async fn wait(operations: &Operations, name: &str) -> lro::Operation {
    let request = lro::WaitOperationRequest {
        name: name.to_owned(),
        timeout: None,
    };
    let waited = operations.wait_operation(Request::new(request)).await;
    waited.expect("waits").into_inner()
}

async fn list(operations: &Operations, request: lro::ListOperationsRequest) -> (Vec<String>, String) {
    let listed = operations.list_operations(Request::new(request)).await;
    let lro::ListOperationsResponse {
        operations,
        next_page_token,
        ..
    } = listed.expect("lists").into_inner();
    let names = operations.into_iter().map(|operation| operation.name);
    (names.collect(), next_page_token)
}

fn text(operation: lro::Operation) -> String {
    let Some(lro::operation::Result::Response(any)) = operation.result else {
        panic!("{operation:?}")
    };
    assert_eq!(any.type_url, "type.googleapis.com/test.Response");
    String::decode(any.value.as_slice()).expect("a text")
}

#[tokio::test]
async fn any_service_of_a_process_tells_about_all_its_operations() {
    let folder = tempfile::tempdir().expect("a folder");
    let operations = Operations::default();
    let one = kept(folder.path(), "asr", &operations).await;
    let other = kept(folder.path(), "ocr", &operations).await;
    let (first, second) = (
        begin(&one, crate::ANONYMOUS).await,
        begin(&other, crate::ANONYMOUS).await,
    );
    assert!(first.starts_with("operations/asr-") && second.starts_with("operations/ocr-"));
    let ((), heard) = tokio::join!(work(&one, "heard"), wait(&operations, &first));
    let (read, ()) = tokio::join!(wait(&operations, &second), work(&other, "read"));
    assert_eq!((text(heard).as_str(), text(read).as_str()), ("heard", "read"));
    let page = |token: &str| lro::ListOperationsRequest {
        page_size: 1,
        page_token: token.to_owned(),
        ..Default::default()
    };
    let (names, next) = list(&operations, page("")).await;
    assert_eq!(names, [first.as_str()]);
    let (names, next) = list(&operations, page(&next)).await;
    assert_eq!((names, next.as_str()), (vec![second.clone()], ""));
    assert!(one.id(&second).is_err(), "each knows its own kind alone");
    let nobodys = lro::GetOperationRequest {
        name: "operations/tts-1".to_owned(),
    };
    let unknown = operations.get_operation(Request::new(nobodys)).await;
    assert_eq!(unknown.expect_err("nobody's").code(), Code::NotFound);
}

#[tokio::test]
async fn an_operation_is_unknown_to_everybody_but_its_owner() {
    let folder = tempfile::tempdir().expect("a folder");
    let operations = Operations::default();
    let kept = kept(folder.path(), "books", &operations).await;
    // Callers without certificates are all one.
    let mine = begin(&kept, crate::ANONYMOUS).await;
    let theirs = begin(&kept, "spiffe://example.org/radio").await;
    let (names, _) = list(&operations, lro::ListOperationsRequest::default()).await;
    assert_eq!(names, [mine]);
    let name = || theirs.clone();
    let asked = [
        operations
            .get_operation(Request::new(lro::GetOperationRequest { name: name() }))
            .await
            .map(drop),
        operations
            .delete_operation(Request::new(lro::DeleteOperationRequest { name: name() }))
            .await
            .map(drop),
        operations
            .cancel_operation(Request::new(lro::CancelOperationRequest { name: name() }))
            .await
            .map(drop),
        operations
            .wait_operation(Request::new(lro::WaitOperationRequest {
                name: name(),
                timeout: None,
            }))
            .await
            .map(drop),
    ];
    for answer in asked {
        assert_eq!(answer.expect_err("another's").code(), Code::NotFound);
    }
    let id = kept.id(&theirs).expect("its own kind");
    let job = kept.queue().get(id, &["spiffe://example.org/radio"]).await;
    assert!(!job.expect("known").cancelling, "and it was not touched");
}

#[tokio::test]
async fn a_restart_forgets_no_operation() {
    let folder = tempfile::tempdir().expect("a folder");
    let before = Operations::default();
    let first = kept(folder.path(), "kept", &before).await;
    let name = begin(&first, crate::ANONYMOUS).await;
    drop(before);
    first.queue().close().await;
    drop(first);

    let operations = Operations::default();
    let kept = kept(folder.path(), "kept", &operations).await;
    let (done, ()) = tokio::join!(wait(&operations, &name), work(&kept, "done"));
    assert_eq!(text(done), "done");
    let undone = lro::ListOperationsRequest {
        filter: "done=false".to_owned(),
        ..Default::default()
    };
    assert_eq!(list(&operations, undone).await, (Vec::new(), String::new()));
    let delete = lro::DeleteOperationRequest { name: name.clone() };
    operations
        .delete_operation(Request::new(delete))
        .await
        .expect("deletes");
    let gone = operations.get_operation(Request::new(lro::GetOperationRequest { name }));
    assert_eq!(gone.await.expect_err("deleted").code(), Code::NotFound);
}

#[test]
fn only_a_uuid_is_a_uuid() {
    assert!(is_uuid("7f0c1f9e-3d3a-4a35-9df5-0b8f5a6d7c11"));
    for text in [
        "7f0c1f9e3d3a4a359df50b8f5a6d7c11",
        "7f0c1f9e-3d3a-4a35-9df5-0b8f5a6d7c1g",
        "-",
        "",
    ] {
        assert!(!is_uuid(text), "{text}");
    }
}

#[tokio::test]
async fn a_list_is_cut_into_pages_that_can_be_sent_and_leaves_nothing_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let operations = Operations::default();
    let mut names = Vec::new();
    for service in ["first", "second"] {
        let kept = kept(folder.path(), service, &operations).await;
        for _ in 0..4 {
            names.push(begin(&kept, crate::ANONYMOUS).await);
            work(&kept, &"x".repeat(400 << 10)).await;
        }
    }
    names.sort_unstable();
    let (mut told, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = lro::ListOperationsRequest {
            page_size: 1_000,
            page_token,
            ..Default::default()
        };
        let page = operations
            .list_operations(Request::new(request))
            .await
            .expect("lists")
            .into_inner();
        // The usual most of a client.
        assert!(page.encoded_len() < 4 << 20, "{}", page.encoded_len());
        told.extend(page.operations.into_iter().map(|one| one.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(told, names);
}
