//! Batches from request to result, and their end before it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use polyphony_config::ByteSize;
use polyphony_proto::google::longrunning as lro;
use polyphony_proto::ocr::v1 as pb;
use polyphony_proto::types::v1::JobState;
use prost::Message;
use tonic::Code;

use crate::support::fixture;
use crate::support::served::{Served, assert_refused, config, inline, served};

const REQUEST_ID: &str = "7f0c1f9e-3d3a-4a35-9df5-0b8f5a6d7c11";

fn document(name: &str, bytes: Vec<u8>) -> pb::BatchDocument {
    pb::BatchDocument {
        name: name.to_owned(),
        media: inline(bytes),
        config: None,
    }
}

async fn begin(served: &Served, documents: Vec<pb::BatchDocument>) -> lro::Operation {
    let request = pb::BatchProcessRequest {
        request_id: REQUEST_ID.to_owned(),
        config: Some(pb::OcrConfig {
            output_formats: vec![pb::OutputFormat::Text.into()],
            ..Default::default()
        }),
        documents,
    };
    let begun = served.client.clone().batch_process(request).await;
    begun.expect("begins").into_inner()
}

async fn wait(served: &Served, name: &str) -> lro::Operation {
    let request = lro::WaitOperationRequest {
        name: name.to_owned(),
        timeout: None,
    };
    let waited = served.operations.clone().wait_operation(request).await;
    waited.expect("waits").into_inner()
}

fn metadata(operation: &lro::Operation) -> pb::BatchProcessMetadata {
    let any = operation.metadata.as_ref().expect("metadata");
    assert_eq!(
        any.type_url,
        "type.googleapis.com/polyphony.ocr.v1.BatchProcessMetadata"
    );
    pb::BatchProcessMetadata::decode(any.value.as_slice()).expect("its type")
}

fn response(operation: lro::Operation) -> pb::BatchProcessResponse {
    let Some(lro::operation::Result::Response(any)) = operation.result else {
        panic!("{operation:?}")
    };
    pb::BatchProcessResponse::decode(any.value.as_slice()).expect("its type")
}

#[tokio::test]
async fn each_document_has_its_own_result_and_the_same_request_the_same_batch() {
    let served = served(config(), Duration::ZERO).await;
    let broken = pb::BatchDocument {
        config: Some(pb::OcrConfig::default()),
        ..document("broken", b"no document".to_vec())
    };
    let documents = vec![
        document("pages", fixture("pages.tif")),
        broken,
        document("text", fixture("text.pdf")),
        document("locked", fixture("locked.pdf")),
    ];
    let begun = begin(&served, documents.clone()).await;
    assert!(begun.name.starts_with("operations/ocr-"), "{}", begun.name);
    assert_eq!(begin(&served, documents).await.name, begun.name);
    let done = wait(&served, &begun.name).await;
    let metadata = metadata(&done);
    assert_eq!(
        (metadata.state(), metadata.progress_percent),
        (JobState::Succeeded, 100)
    );
    let states: Vec<_> = metadata
        .documents
        .iter()
        .map(|document| (document.state(), document.done_pages, document.total_pages))
        .collect();
    assert_eq!(
        states,
        [
            (JobState::Succeeded, 3, 3),
            (JobState::Failed, 0, 0),
            (JobState::Succeeded, 2, 2),
            (JobState::Failed, 0, 0),
        ]
    );
    let results = response(done).documents;
    let pages = results[0].document.as_ref().expect("a document");
    assert_eq!(pages.text, "40 24\n\u{C}40 24\n\u{C}40 24\n");
    assert_eq!(pages.rendered[0].content, pages.text);
    let third = pages.pages[2].lines[0]
        .layout
        .as_ref()
        .and_then(|layout| layout.text_range);
    assert_eq!(
        third.map(|range| (range.start_byte, range.end_byte)),
        Some((14, 19))
    );
    let region = pages.pages[2].lines[0]
        .layout
        .as_ref()
        .and_then(|layout| layout.region.clone());
    assert_eq!(region.map(|region| region.page), Some(2));
    let code = |at: usize| results[at].error.as_ref().map(|error| error.code);
    assert_eq!(code(1), Some(Code::InvalidArgument.into()));
    assert_eq!(code(3), Some(Code::FailedPrecondition.into()));
    let text = results[2].document.as_ref().expect("a document");
    assert!(text.text.starts_with("The first page\n"), "{}", text.text);
    assert_eq!(text.media_type, "application/pdf");
}

#[tokio::test]
async fn a_watcher_sees_every_state_and_every_page() {
    let served = served(config(), Duration::from_millis(20)).await;
    let begun = begin(&served, vec![document("pages", fixture("pages.tif"))]).await;
    let request = pb::WatchBatchProcessRequest { name: begun.name };
    let mut client = served.client.clone();
    let watched = client.watch_batch_process(request).await.expect("watches");
    let mut watched = watched.into_inner();
    let (mut states, mut pages) = (Vec::new(), Vec::new());
    while let Some(message) = watched.message().await.expect("healthy") {
        let metadata = message.metadata.expect("how far");
        states.push(metadata.state());
        pages.push(metadata.documents[0].done_pages);
    }
    assert_eq!(
        (states.last(), pages.last()),
        (Some(&JobState::Succeeded), Some(&3))
    );
    assert!(states.is_sorted() && pages.is_sorted(), "{states:?} {pages:?}");
    assert!(states.contains(&JobState::Running), "{states:?}");
}

#[tokio::test]
async fn a_cancelled_batch_is_done_when_the_engine_has_stopped() {
    let served = served(config(), Duration::from_secs(30)).await;
    let begun = begin(
        &served,
        vec![
            document("long", fixture("pages.tif")),
            document("never", fixture("rgb.png")),
        ],
    )
    .await;
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
    assert_eq!(served.held.load(Ordering::SeqCst), 0, "the engine has stopped");
    let metadata = metadata(&done);
    assert_eq!(metadata.state(), JobState::Cancelled);
    assert!(
        metadata
            .documents
            .iter()
            .all(|document| document.state() == JobState::Cancelled)
    );
    let Some(lro::operation::Result::Error(error)) = done.result else {
        panic!("{done:?}")
    };
    assert_eq!(error.code, i32::from(Code::Cancelled));
}

#[tokio::test]
async fn a_result_that_fits_into_no_message_is_an_error_of_its_document() {
    let mut config = config();
    config.server.limits.max_send_message = ByteSize::kib(66);
    let served = served(config, Duration::ZERO).await;
    let documents = vec![
        document("small", fixture("rgb.png")),
        document("large", fixture("text.pdf")),
    ];
    let results = response(wait(&served, &begin(&served, documents).await.name).await).documents;
    assert!(results[0].document.is_some());
    let error = results[1].error.as_ref().expect("too large");
    assert_eq!(error.code, i32::from(Code::ResourceExhausted));
    assert!(error.message.contains("StreamDocument"), "{error:?}");
}

#[tokio::test]
async fn a_batch_that_is_wrong_never_begins() {
    let served = served(config(), Duration::ZERO).await;
    let good = || document("a", fixture("rgb.png"));
    let wrong = pb::OcrConfig {
        enable_barcodes: Some(true),
        ..Default::default()
    };
    let cases = [
        ("documents", pb::BatchProcessRequest::default()),
        (
            "request_id",
            pb::BatchProcessRequest {
                request_id: "me".to_owned(),
                documents: vec![good()],
                ..Default::default()
            },
        ),
        (
            "documents[1].name",
            pb::BatchProcessRequest {
                documents: vec![good(), good()],
                ..Default::default()
            },
        ),
        (
            "config.enable_barcodes",
            pb::BatchProcessRequest {
                documents: vec![good()],
                config: Some(wrong.clone()),
                ..Default::default()
            },
        ),
        (
            "documents[0].config.enable_barcodes",
            pb::BatchProcessRequest {
                documents: vec![pb::BatchDocument {
                    config: Some(wrong),
                    ..good()
                }],
                ..Default::default()
            },
        ),
        (
            "documents[0].media.inline",
            pb::BatchProcessRequest {
                documents: vec![document("a", Vec::new())],
                ..Default::default()
            },
        ),
    ];
    for (field, request) in cases {
        let status = served
            .client
            .clone()
            .batch_process(request)
            .await
            .expect_err(field);
        assert_refused(&status, Code::InvalidArgument, field);
    }
}

#[tokio::test]
async fn a_batch_outlives_its_service() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut kept = config();
    kept.jobs.data_dir = folder.path().to_owned();
    let first = served(kept.clone(), Duration::from_millis(300)).await;
    let begun = begin(&first, vec![document("pages", fixture("pages.tif"))]).await;
    first.until_held(|held| held == 1).await;
    first.trigger.drain();
    first.ended.await.expect("ends");
    let second = served(kept, Duration::ZERO).await;
    let done = wait(&second, &begun.name).await;
    assert_eq!(metadata(&done).documents[0].done_pages, 3);
    let pages = response(done).documents.remove(0).document.expect("a document");
    assert_eq!(pages.text, "40 24\n\u{C}40 24\n\u{C}40 24\n");
}
