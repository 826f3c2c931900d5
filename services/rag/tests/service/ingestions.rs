//! Ingestions as operations that outlive their service: cancelled, asked for again, kept for a while; and killed with it
//! ([`kills`]), and told of by two processes ([`replicas`]).

mod kills;
mod replicas;

use std::time::{Duration, Instant};

use polyphony_proto::google::longrunning as lro;
use polyphony_proto::google::longrunning::operation::Result as Ended;
use polyphony_proto::google::longrunning::operations_client::OperationsClient;
use polyphony_proto::rag::v1 as pb;
use polyphony_proto::rag::v1::ingest_request::Request as Message;
use polyphony_proto::rag::v1::rag_service_client::RagServiceClient;
use polyphony_proto::types::v1::JobState;
use prost::Message as _;
use tonic::Code;
use tonic::transport::Channel;

use super::support::{BREAD, Served, WINGS, assert_status, message, messages, served, started, stream};

const REQUEST_ID: &str = "7f0c1f9e-3d3a-4a35-9df5-0b8f5a6d7c11";
/// Long for what takes a moment on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Many documents, of which each is worked on for a moment.
fn many(count: usize) -> Vec<(String, String)> {
    let text = |at: usize| {
        format!(
            "# Part {at}\n\n{}",
            format!("The Heron has part {at}. ").repeat(30)
        )
    };
    (0..count)
        .map(|at| (format!("part{at:04}.md"), text(at)))
        .collect()
}

fn all_messages(documents: &[(String, String)], request_id: &str) -> Vec<pb::IngestRequest> {
    let documents: Vec<(&str, &str)> = documents.iter().map(|(id, text)| (&**id, &**text)).collect();
    let mut messages = messages("heron", &documents);
    messages[0] = message(Message::Config(pb::IngestConfig {
        space: "spaces/heron".to_owned(),
        request_id: request_id.to_owned(),
        ..pb::IngestConfig::default()
    }));
    messages
}

fn metadata(operation: &lro::Operation) -> pb::IngestMetadata {
    let any = operation.metadata.as_ref().expect("metadata");
    pb::IngestMetadata::decode(&*any.value).expect("its type")
}

fn response(operation: lro::Operation) -> pb::IngestResponse {
    match operation.result {
        Some(Ended::Response(response)) => pb::IngestResponse::decode(&*response.value).expect("its type"),
        other => panic!("{other:?}"),
    }
}

async fn make(rag: &mut RagServiceClient<Channel>) {
    let space = pb::CreateSpaceRequest {
        space_id: "heron".to_owned(),
        ..pb::CreateSpaceRequest::default()
    };
    rag.create_space(space).await.expect("a space");
}

async fn get(operations: &mut OperationsClient<Channel>, name: &str) -> lro::Operation {
    let get = lro::GetOperationRequest {
        name: name.to_owned(),
    };
    operations.get_operation(get).await.expect("known").into_inner()
}

async fn wait(operations: &mut OperationsClient<Channel>, name: &str) -> lro::Operation {
    let wait = lro::WaitOperationRequest {
        name: name.to_owned(),
        timeout: None,
    };
    let ended = operations.wait_operation(wait).await.expect("known").into_inner();
    assert!(ended.done, "{ended:?}");
    ended
}

async fn names(operations: &mut OperationsClient<Channel>) -> Vec<String> {
    let listed = operations
        .list_operations(lro::ListOperationsRequest::default())
        .await;
    let operations = listed.expect("listed").into_inner().operations;
    operations.into_iter().map(|operation| operation.name).collect()
}

/// The documents of the space that are not failed, by state.
async fn documents(rag: &mut RagServiceClient<Channel>) -> Vec<pb::Document> {
    let list = pb::ListDocumentsRequest {
        parent: "spaces/heron".to_owned(),
        page_size: 1_000,
        ..pb::ListDocumentsRequest::default()
    };
    rag.list_documents(list)
        .await
        .expect("listed")
        .into_inner()
        .documents
}

async fn rag_call(
    messages: Vec<pb::IngestRequest>,
    mut rag: RagServiceClient<Channel>,
) -> Result<lro::Operation, tonic::Status> {
    Ok(rag.ingest(stream(messages)).await?.into_inner())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_ingestion_stops_its_documents_and_keeps_those_that_are_there() {
    let mut served = served(&["rag.workers=1"]).await;
    served.fill("heron", &[("wings.md", WINGS)]).await;
    let begun = served.rag.ingest(stream(all_messages(&many(300), ""))).await;
    let name = begun.expect("taken in").into_inner().name;
    let cancel = lro::CancelOperationRequest { name: name.clone() };
    served
        .operations
        .cancel_operation(cancel.clone())
        .await
        .expect("asked");
    let ended = wait(&mut served.operations, &name).await;
    let told = metadata(&ended);
    assert_eq!(told.state(), JobState::Cancelled);
    assert!(
        told.failed_documents > 0 && told.current_document.is_empty(),
        "{told:?}"
    );
    // Of what is over, cancelling changes nothing.
    served.operations.cancel_operation(cancel).await.expect("asked");
    assert_eq!(get(&mut served.operations, &name).await, ended);
    assert_eq!(served.found("heron", "angle of stall").await[0], "wings.md");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_done_once_whether_or_not_its_service_was_started_anew() {
    let mut first = served(&[]).await;
    make(&mut first.rag).await;
    let sent = [("wings.md".to_owned(), WINGS.to_owned())];
    let all = all_messages(&sent, REQUEST_ID);
    let begun = rag_call(all.clone(), first.rag.clone()).await.expect("taken in");
    let before = wait(&mut first.operations, &begun.name).await;
    let folder = first.stop().await;

    let mut second = started(folder, &[]).await;
    assert_eq!(get(&mut second.operations, &begun.name).await, before);
    let same = rag_call(all.clone(), second.rag.clone()).await.expect("known");
    assert_eq!(same, before);
    // For another space it is another request.
    second.make("other").await;
    let mut elsewhere = all;
    elsewhere[0] = message(Message::Config(pb::IngestConfig {
        space: "spaces/other".to_owned(),
        request_id: REQUEST_ID.to_owned(),
        ..pb::IngestConfig::default()
    }));
    let status = rag_call(elsewhere, second.rag.clone()).await.expect_err("used");
    super::support::assert_field(&status, "request_id");
    // Deleted, it is known no more, and its documents are.
    let delete = lro::DeleteOperationRequest {
        name: begun.name.clone(),
    };
    second.operations.delete_operation(delete).await.expect("deleted");
    assert!(names(&mut second.operations).await.is_empty());
    assert_eq!(documents(&mut second.rag).await.len(), 1);
}

async fn is_known(served: &mut Served, name: &str) -> bool {
    let get = lro::GetOperationRequest {
        name: name.to_owned(),
    };
    match served.operations.get_operation(get).await {
        Ok(_) => true,
        Err(status) => {
            assert_status(&status, Code::NotFound, "NOT_FOUND");
            false
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingestion_is_kept_as_long_as_the_configuration_says() {
    let mut served = served(&["rag.operation_retention=1s", "jobs.lease=1s"]).await;
    make(&mut served.rag).await;
    let all = all_messages(&[("wings.md".to_owned(), WINGS.to_owned())], REQUEST_ID);
    let begun = rag_call(all.clone(), served.rag.clone()).await.expect("taken in");
    wait(&mut served.operations, &begun.name).await;
    let kept = Instant::now();
    while is_known(&mut served, &begun.name).await {
        assert!(kept.elapsed() < PATIENCE, "it is never forgotten");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(kept.elapsed() > Duration::from_millis(500), "it was not kept");
    // The documents are there, and so is what was answered: asked again it is told anew, and nothing is done.
    let anew = rag_call(all, served.rag.clone()).await.expect("known");
    assert_ne!(anew.name, begun.name);
    let response = response(wait(&mut served.operations, &anew.name).await);
    assert_eq!(response.results[0].error, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_ingestion_too_many_leaves_nothing_behind() {
    let mut served = served(&["rag.max_operations=1"]).await;
    served.fill("heron", &[("wings.md", WINGS)]).await;
    let begun = served
        .rag
        .ingest(stream(messages("heron", &[("bread.md", BREAD)])))
        .await;
    let status = begun.expect_err("one is kept already");
    assert_status(&status, Code::ResourceExhausted, "JOBS_FULL");
    let found = documents(&mut served.rag).await;
    assert_eq!(found.len(), 1, "{found:?}");
}
