//! Batches from request to result, and their end before it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use polyphony_proto::asr::v1 as pb;
use polyphony_proto::google::longrunning as lro;
use polyphony_proto::types::v1::JobState;
use prost::Message;
use tonic::Code;

use crate::support::{Served, config, inline, linear16, served, sound};

const REQUEST_ID: &str = "7f0c1f9e-3d3a-4a35-9df5-0b8f5a6d7c11";

fn file(name: &str, seconds: f32) -> pb::BatchRecognizeFile {
    pb::BatchRecognizeFile {
        name: name.to_owned(),
        audio: inline(sound(&[0.0, seconds])),
        config: None,
    }
}

async fn begin(served: &Served, files: Vec<pb::BatchRecognizeFile>) -> lro::Operation {
    let request = pb::BatchRecognizeRequest {
        request_id: REQUEST_ID.to_owned(),
        config: Some(linear16()),
        files,
        output_formats: vec![pb::OutputFormat::Srt.into()],
    };
    served
        .client
        .clone()
        .batch_recognize(request)
        .await
        .expect("begins")
        .into_inner()
}

async fn wait(served: &Served, name: &str) -> lro::Operation {
    let request = lro::WaitOperationRequest {
        name: name.to_owned(),
        timeout: None,
    };
    served
        .operations
        .clone()
        .wait_operation(request)
        .await
        .expect("waits")
        .into_inner()
}

fn metadata(operation: &lro::Operation) -> pb::BatchRecognizeMetadata {
    let any = operation.metadata.as_ref().expect("metadata");
    assert_eq!(
        any.type_url,
        "type.googleapis.com/polyphony.asr.v1.BatchRecognizeMetadata"
    );
    pb::BatchRecognizeMetadata::decode(any.value.as_slice()).expect("its type")
}

#[tokio::test]
async fn each_file_has_its_own_result_and_the_same_request_the_same_batch() {
    let served = served(config(), Duration::ZERO).await;
    let broken = pb::BatchRecognizeFile {
        name: "broken".to_owned(),
        audio: inline(b"%PDF-1.7 and so on and so on".to_vec()),
        config: Some(pb::RecognitionConfig::default()),
    };
    let files = vec![file("good", 2.0), broken];
    let begun = begin(&served, files.clone()).await;
    assert_eq!(begin(&served, files).await.name, begun.name);
    let done = wait(&served, &begun.name).await;
    assert!(done.done);
    let metadata = metadata(&done);
    assert_eq!(
        (metadata.state(), metadata.progress_percent),
        (JobState::Succeeded, 100)
    );
    let states: Vec<_> = metadata.files.iter().map(pb::BatchFileProgress::state).collect();
    assert_eq!(states, [JobState::Succeeded, JobState::Failed]);
    let Some(lro::operation::Result::Response(any)) = done.result else {
        panic!("{done:?}")
    };
    let response = pb::BatchRecognizeResponse::decode(any.value.as_slice()).expect("its type");
    let [good, broken] = response.files.as_slice() else {
        panic!("{response:?}")
    };
    let transcript = &good.response.as_ref().expect("a response").results[0].alternatives[0].transcript;
    assert_eq!(transcript, "w0 w1");
    assert!(
        good.rendered[0]
            .content
            .starts_with("1\n00:00:00,000 --> 00:00:01,500\nw0 w1\n"),
        "{good:?}"
    );
    assert_eq!(
        broken.error.as_ref().map(|error| error.code),
        Some(Code::InvalidArgument.into())
    );

    let mut operations = served.operations.clone();
    let list = operations
        .list_operations(lro::ListOperationsRequest::default())
        .await
        .expect("lists")
        .into_inner();
    assert_eq!(list.operations.len(), 1);
    let delete = lro::DeleteOperationRequest {
        name: begun.name.clone(),
    };
    operations.delete_operation(delete).await.expect("deletes");
    let get = lro::GetOperationRequest { name: begun.name };
    assert_eq!(
        operations.get_operation(get).await.expect_err("gone").code(),
        Code::NotFound
    );
}

#[tokio::test]
async fn a_watcher_sees_every_state_until_the_end() {
    let served = served(config(), Duration::from_millis(20)).await;
    let begun = begin(&served, vec![file("good", 2.0)]).await;
    let request = pb::WatchBatchRecognizeRequest { name: begun.name };
    let mut client = served.client.clone();
    let mut watched = client
        .watch_batch_recognize(request)
        .await
        .expect("watches")
        .into_inner();
    let mut states = Vec::new();
    while let Some(message) = watched.message().await.expect("healthy") {
        states.push(message.metadata.expect("how far").state());
    }
    assert_eq!(states.last(), Some(&JobState::Succeeded), "{states:?}");
    assert!(states.contains(&JobState::Running), "{states:?}");
    assert!(states.is_sorted(), "a state is never left backwards: {states:?}");

    let unknown = pb::WatchBatchRecognizeRequest {
        name: "operations/0".to_owned(),
    };
    let status = client.watch_batch_recognize(unknown).await.expect_err("unknown");
    assert_eq!(status.code(), Code::NotFound);
}

#[tokio::test]
async fn a_cancelled_batch_is_done_when_the_worker_has_stopped() {
    let served = served(config(), Duration::from_millis(20)).await;
    let begun = begin(&served, vec![file("long", 60.0), file("never", 1.0)]).await;
    served.until_held(|held| held == 1).await;
    let cancel = lro::CancelOperationRequest {
        name: begun.name.clone(),
    };
    served
        .operations
        .clone()
        .cancel_operation(cancel)
        .await
        .expect("cancels");
    let done = wait(&served, &begun.name).await;
    assert_eq!(served.held.load(Ordering::SeqCst), 0, "the worker has stopped");
    assert_eq!(metadata(&done).state(), JobState::Cancelled);
    let Some(lro::operation::Result::Error(error)) = done.result else {
        panic!("{done:?}")
    };
    assert_eq!(error.code, i32::from(Code::Cancelled));
}

#[tokio::test]
async fn a_wait_ends_with_its_timeout() {
    let served = served(config(), Duration::from_millis(100)).await;
    let begun = begin(&served, vec![file("long", 20.0)]).await;
    let timeout = Some(prost_types::Duration {
        seconds: 0,
        nanos: 50_000_000,
    });
    let request = lro::WaitOperationRequest {
        name: begun.name.clone(),
        timeout,
    };
    let waited = served
        .operations
        .clone()
        .wait_operation(request)
        .await
        .expect("waits")
        .into_inner();
    assert!(!waited.done);
    let cancel = lro::CancelOperationRequest { name: begun.name };
    served
        .operations
        .clone()
        .cancel_operation(cancel)
        .await
        .expect("cancels");
}

#[tokio::test]
async fn a_batch_that_is_wrong_never_begins() {
    let served = served(config(), Duration::ZERO).await;
    let cases = [
        ("files", pb::BatchRecognizeRequest::default()),
        (
            "request_id",
            pb::BatchRecognizeRequest {
                request_id: "me".to_owned(),
                files: vec![file("a", 1.0)],
                ..Default::default()
            },
        ),
        (
            "files[1].name",
            pb::BatchRecognizeRequest {
                files: vec![file("a", 1.0), file("a", 1.0)],
                ..Default::default()
            },
        ),
        (
            "output_formats[0]",
            pb::BatchRecognizeRequest {
                files: vec![file("a", 1.0)],
                output_formats: vec![0],
                ..Default::default()
            },
        ),
    ];
    for (field, request) in cases {
        let status = served
            .client
            .clone()
            .batch_recognize(request)
            .await
            .expect_err(field);
        crate::support::assert_refused(&status, Code::InvalidArgument, field);
    }
}

#[tokio::test]
async fn a_batch_outlives_its_service() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut kept = config();
    kept.jobs.data_dir = folder.path().to_owned();
    let first = served(kept.clone(), Duration::from_millis(20)).await;
    let begun = begin(&first, vec![file("short", 1.0), file("long", 60.0)]).await;
    first.until_held(|held| held == 1).await;
    first.trigger.drain();
    first.ended.await.expect("ends");
    let second = served(kept, Duration::ZERO).await;
    let done = wait(&second, &begun.name).await;
    let metadata = metadata(&done);
    assert_eq!((metadata.state(), metadata.files.len()), (JobState::Succeeded, 2));
    let Some(lro::operation::Result::Response(any)) = done.result else {
        panic!("{done:?}")
    };
    let response = pb::BatchRecognizeResponse::decode(any.value.as_slice()).expect("its type");
    assert!(
        response.files.iter().all(|file| file.response.is_some()),
        "{response:?}"
    );
}
