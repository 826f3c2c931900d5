use std::time::Duration;

use futures_util::StreamExt as _;
use polyphony_error::Kind;
use polyphony_jobs::{Job, JobsConfig, NewJob, Queue};
use polyphony_proto::google::longrunning::operations_server::Operations as Service;
use polyphony_proto::types::v1::{JobState, QueueStatus};
use tokio::sync::oneshot;
use tonic::{Code, Request};

use super::*;

/// Work that counts.
#[derive(Debug)]
struct Counting;

impl Work for Counting {
    type Progress = u32;
    type Metadata = QueueStatus;
    type Response = String;
    const METADATA: &'static str = "test.Metadata";
    const RESPONSE: &'static str = "test.Response";

    fn metadata(now: &Moment<u32>) -> QueueStatus {
        let place = now.queue.as_ref().map_or(99, |queue| queue.position);
        QueueStatus {
            position: place,
            depth: now.progress * 10 + now.state as u32,
            estimated_wait_duration: None,
        }
    }
}

fn desk(operations: &Operations, service: &'static str, most: usize) -> Desk<Counting> {
    let terms = Terms {
        service,
        max_operations: most,
        operation_retention: Duration::from_secs(60),
        turns: 1,
    };
    Desk::new(operations.clone(), terms)
}

async fn wait(operations: &Operations, name: &str) -> lro::Operation {
    let request = lro::WaitOperationRequest {
        name: name.to_owned(),
        timeout: None,
    };
    let waited = operations.wait_operation(Request::new(request)).await;
    waited.expect("waits").into_inner()
}

/// Work that waits until the other end says what comes of it.
fn when_told() -> (Tell, impl FnOnce(Arc<Operation<Counting>>) -> BoxedWork) {
    let (tell, told) = oneshot::channel();
    let work = move |operation: Arc<Operation<Counting>>| -> BoxedWork {
        Box::pin(async move {
            operation.advance(JobState::Running, |progress| *progress += 1);
            tokio::select! {
                told = told => told.map_err(Fault::internal)?,
                () = operation.cancelled() => Ok("stopped".to_owned()),
            }
        })
    };
    (tell, work)
}

type Tell = oneshot::Sender<Result<String, Fault>>;
type BoxedWork = Pin<Box<dyn Future<Output = Result<String, Fault>> + Send>>;

#[tokio::test]
async fn any_service_of_a_process_tells_about_all_its_operations() {
    let operations = Operations::default();
    let (one, other) = (desk(&operations, "asr", 4), desk(&operations, "ocr", 4));
    let first = one
        .begin("", 0, |_| async { Ok("heard".to_owned()) })
        .expect("begins");
    let second = other
        .begin("", 0, |_| async { Ok("read".to_owned()) })
        .expect("begins");
    assert!(first.name().starts_with("operations/asr-") && second.name().starts_with("operations/ocr-"));
    for (name, text) in [(first.name(), "heard"), (second.name(), "read")] {
        let done = wait(&operations, name).await;
        let Some(lro::operation::Result::Response(any)) = done.result else {
            panic!("{done:?}")
        };
        assert_eq!(any.type_url, "type.googleapis.com/test.Response");
        assert_eq!(String::decode(any.value.as_slice()).as_deref(), Ok(text));
    }
    let page = |token: &str| lro::ListOperationsRequest {
        page_size: 1,
        page_token: token.to_owned(),
        ..Default::default()
    };
    let list = async |token: &str| {
        let listed = operations.list_operations(Request::new(page(token))).await;
        listed.expect("lists").into_inner()
    };
    let listed = list("").await;
    assert_eq!(listed.operations[0].name, first.name());
    let listed = list(&listed.next_page_token).await;
    assert_eq!(listed.operations[0].name, second.name());
    assert!(listed.next_page_token.is_empty());
    assert!(one.get(second.name()).is_err(), "a desk knows its own kind alone");
}

#[tokio::test]
async fn turns_are_taken_in_order_and_places_are_told() {
    let operations = Operations::default();
    let desk = desk(&operations, "asr", 4);
    let (tell_first, work) = when_told();
    let first = desk.begin("", 0, work).expect("begins");
    let mut watched = Box::pin(desk.watch(first.name()).expect("known"));
    while watched.next().await.expect("goes on").depth != 10 + JobState::Running as u32 {}
    let (tell_second, work) = when_told();
    let second = desk.begin("", 0, work).expect("begins");
    let (tell_third, work) = when_told();
    let third = desk.begin("", 0, work).expect("begins");
    assert_eq!(
        third.moment().queue.map(|queue| (queue.position, queue.depth)),
        Some((1, 2))
    );
    let mut third_watched = Box::pin(desk.watch(third.name()).expect("known"));
    assert_eq!(third_watched.next().await.expect("goes on").position, 1);
    tell_first.send(Ok(String::new())).expect("heard");
    assert_eq!(third_watched.next().await.expect("goes on").position, 0);
    assert_eq!(second.moment().queue, None, "it is its turn");
    tell_second
        .send(Err(Fault::invalid("field", "is bad")))
        .expect("heard");
    tell_third.send(Ok(String::new())).expect("heard");
    let failed = wait(&operations, second.name()).await;
    let Some(lro::operation::Result::Error(error)) = failed.result else {
        panic!("{failed:?}")
    };
    assert_eq!(error.code, i32::from(Code::InvalidArgument));
    assert!(!error.details.is_empty(), "the details come with it");
    let states: Vec<u32> = third_watched.map(|message| message.depth % 10).collect().await;
    assert_eq!(states.last(), Some(&(JobState::Succeeded as u32)));
}

#[tokio::test]
async fn a_request_id_begins_one_operation_and_an_empty_one_many() {
    let operations = Operations::default();
    let desk = desk(&operations, "asr", 8);
    let begin = |id: &str| {
        let begun = desk.begin(id, 0, |_| async { Ok(String::new()) });
        begun.expect("begins").name().to_owned()
    };
    assert_eq!(begin("a"), begin("a"));
    assert_ne!(begin("a"), begin("b"));
    assert_ne!(begin(""), begin(""));
    let name = begin("a");
    let delete = lro::DeleteOperationRequest { name: name.clone() };
    operations
        .delete_operation(Request::new(delete))
        .await
        .expect("deletes");
    assert_ne!(begin("a"), name, "it was forgotten");
}

#[tokio::test]
async fn there_is_an_end_to_what_is_remembered() {
    let operations = Operations::default();
    let desk = desk(&operations, "asr", 1);
    let (tell, work) = when_told();
    let first = desk.begin("", 0, work).expect("begins");
    let refused = desk
        .begin("", 0, |_| async { Ok(String::new()) })
        .expect_err("full");
    assert_eq!(
        (refused.kind, refused.reason),
        (Kind::ResourceExhausted, "OPERATIONS_FULL")
    );
    // Forgotten, but it still holds what it was given.
    operations
        .delete(first.name(), &Caller::default())
        .expect("deletes");
    desk.begin("", 0, |_| async { Ok(String::new()) })
        .expect_err("full");
    tell.send(Ok(String::new())).expect("heard");
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    desk.begin("", 0, |_| async { Ok(String::new()) })
        .expect("begins");
}

#[tokio::test(start_paused = true)]
async fn what_is_done_is_forgotten_in_time() {
    let operations = Operations::default();
    let desk = desk(&operations, "asr", 1);
    let begun = desk
        .begin("", 0, |_| async { Ok(String::new()) })
        .expect("begins");
    wait(&operations, begun.name()).await;
    tokio::time::advance(Duration::from_secs(59)).await;
    assert!(operations.get(begun.name(), &Caller::default()).is_ok());
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(
        operations
            .get(begun.name(), &Caller::default())
            .expect_err("gone")
            .kind,
        Kind::NotFound
    );
}

#[tokio::test]
async fn cancelling_reaches_work_that_runs_and_work_that_waits() {
    let operations = Operations::default();
    let desk = desk(&operations, "asr", 4);
    let (_first, work) = when_told();
    let first = desk.begin("", 0, work).expect("begins");
    let (_second, work) = when_told();
    let second = desk.begin("", 0, work).expect("begins");
    for operation in [&second, &first] {
        let cancel = lro::CancelOperationRequest {
            name: operation.name().to_owned(),
        };
        operations
            .cancel_operation(Request::new(cancel))
            .await
            .expect("cancels");
        let done = wait(&operations, operation.name()).await;
        let Some(lro::operation::Result::Error(error)) = done.result else {
            panic!("{done:?}")
        };
        assert_eq!(error.code, i32::from(Code::Cancelled));
        assert_eq!(operation.moment().state, JobState::Cancelled);
    }
}

#[tokio::test]
async fn work_that_breaks_off_ends_its_operation() {
    let operations = Operations::default();
    let desk = desk(&operations, "asr", 4);
    let (tell, work) = when_told();
    // Whoever would tell is gone: the work fails. And one that panics.
    drop(tell);
    let failed = desk.begin("", 0, work).expect("begins");
    let broken = desk
        .begin("", 0, |_| async { panic!("on purpose") })
        .expect("begins");
    for (operation, code) in [(failed, Code::Internal), (broken, Code::Unavailable)] {
        let done = wait(&operations, operation.name()).await;
        let Some(lro::operation::Result::Error(error)) = done.result else {
            panic!("{done:?}")
        };
        assert_eq!(error.code, i32::from(code));
    }
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

/// Work that only its owner may hear of.
#[derive(Debug)]
struct Owned;

impl Work for Owned {
    type Progress = &'static str;
    type Metadata = QueueStatus;
    type Response = String;
    const METADATA: &'static str = "test.Metadata";
    const RESPONSE: &'static str = "test.Response";

    fn owner<'a>(progress: &'a &'static str) -> Option<&'a str> {
        Some(progress)
    }

    fn metadata(_: &Moment<&'static str>) -> QueueStatus {
        QueueStatus::default()
    }
}

#[tokio::test]
async fn an_operation_with_an_owner_is_unknown_to_everybody_else() {
    let operations = Operations::default();
    let terms = Terms {
        service: "books",
        max_operations: 9,
        operation_retention: Duration::from_secs(60),
        turns: 1,
    };
    let desk: Desk<Owned> = Desk::new(operations.clone(), terms);
    let begin = |owner| {
        let begun = desk.begin("", owner, |_| async { Ok(String::new()) });
        begun.expect("begins").name().to_owned()
    };
    let (mine, theirs) = (begin(crate::ANONYMOUS), begin("spiffe://example.org/radio"));
    // Callers without certificates are all one.
    let listed = operations.list_operations(Request::new(lro::ListOperationsRequest::default()));
    let listed = listed.await.expect("lists").into_inner().operations;
    assert_eq!(
        listed.iter().map(|operation| &operation.name).collect::<Vec<_>>(),
        [&mine]
    );
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
        assert_eq!(answer.expect_err("another's").code(), tonic::Code::NotFound);
    }
    assert!(desk.get(&theirs).is_ok(), "and it was not touched");
}

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

#[tokio::test]
async fn jobs_of_a_queue_are_operations_that_a_restart_does_not_forget() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = JobsConfig {
        data_dir: folder.path().to_owned(),
        min_free: polyphony_config::ByteSize::kib(1),
        ..JobsConfig::default()
    };
    let open = async || {
        let terms = polyphony_jobs::Terms {
            service: "kept",
            max_attempts: 3,
            blame_losses: true,
            max_interruptions: None,
            holder_stops: false,
            max_queue: 9,
            max_kept: 9,
            retention: None,
            lanes: 1,
            max_payload: 9,
            max_result: 99,
            drop_payload: true,
        };
        let queue = Queue::open(&config, terms).await.expect("opens");
        let operations = Operations::default();
        let kept: Lasting<Kept> = Lasting::new(queue.clone());
        operations.tell_of(Arc::new(kept.clone()));
        (queue, operations, kept)
    };
    let (queue, operations, kept) = open().await;
    let job = |owner: &str| NewJob::new(owner, b"x".to_vec());
    let mine = queue.submit(job(crate::ANONYMOUS)).await.expect("room").job;
    let theirs = queue
        .submit(job("spiffe://example.org/radio"))
        .await
        .expect("room")
        .job;
    let in_memory = desk(&operations, "asr", 4)
        .begin("", 0, |_| async { Ok(String::new()) })
        .expect("begins");
    let list = |filter: &str| lro::ListOperationsRequest {
        filter: filter.to_owned(),
        ..Default::default()
    };
    let listed = operations
        .list_operations(Request::new(list("")))
        .await
        .expect("lists");
    let names: Vec<String> = listed
        .into_inner()
        .operations
        .into_iter()
        .map(|one| one.name)
        .collect();
    assert_eq!(names, [in_memory.name().to_owned(), kept.name(&mine.id)]);
    let get = |id: &str| Request::new(lro::GetOperationRequest { name: kept.name(id) });
    let unknown = operations
        .get_operation(get(&theirs.id))
        .await
        .expect_err("another's");
    assert_eq!(unknown.code(), tonic::Code::NotFound);
    drop((operations, desk(&Operations::default(), "asr", 1)));
    queue.close().await;
    drop((queue, kept));

    let (queue, operations, kept) = open().await;
    let name = kept.name(&mine.id);
    let waited = wait(&operations, &name);
    let work = async {
        let held = queue.claim().await.expect("works").expect("one waits");
        held.succeed(&"done".to_owned().encode_to_vec())
            .await
            .expect("held");
    };
    let (done, ()) = tokio::join!(waited, work);
    let Some(lro::operation::Result::Response(any)) = done.result else {
        panic!("{done:?}")
    };
    assert_eq!(String::decode(any.value.as_slice()).as_deref(), Ok("done"));
    let listed = operations.list_operations(Request::new(list("done=false"))).await;
    assert!(listed.expect("lists").into_inner().operations.is_empty());
    let delete = lro::DeleteOperationRequest {
        name: kept.name(&mine.id),
    };
    operations
        .delete_operation(Request::new(delete))
        .await
        .expect("deletes");
    let gone = operations.get_operation(Request::new(lro::GetOperationRequest {
        name: kept.name(&mine.id),
    }));
    assert_eq!(gone.await.expect_err("deleted").code(), tonic::Code::NotFound);
}

#[tokio::test]
async fn a_list_is_cut_into_pages_that_can_be_sent_and_leaves_nothing_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = JobsConfig {
        data_dir: folder.path().to_owned(),
        min_free: polyphony_config::ByteSize::kib(1),
        ..JobsConfig::default()
    };
    let operations = Operations::default();
    let mut names = Vec::new();
    for service in ["first", "second"] {
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
        let queue = Queue::open(&config, terms).await.expect("opens");
        let kept: Lasting<Kept> = Lasting::new(queue.clone());
        operations.tell_of(Arc::new(kept.clone()));
        for _ in 0..4 {
            let job = queue.submit(NewJob::new(crate::ANONYMOUS, b"x".to_vec())).await;
            names.push(kept.name(&job.expect("room").job.id));
            let held = queue.claim().await.expect("works").expect("one waits");
            let result = "x".repeat(400 << 10).encode_to_vec();
            held.succeed(&result).await.expect("held");
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
