//! Whose a space is: whom the certificate of a caller names. For anybody else it does not exist.

use std::path::Path;

use polyphony_chassis::Program as _;
use polyphony_chassis::config::{ChannelConfig, ClientTlsConfig, TlsConfig};
use polyphony_chassis::connect::{self, Client};
use polyphony_config::HumanDuration;
use polyphony_harness::{layers, running};
use polyphony_proto::google::longrunning as lro;
use polyphony_proto::google::longrunning::operations_client::OperationsClient;
use polyphony_proto::rag::v1 as pb;
use polyphony_proto::rag::v1::ingest_request::Request as Message;
use polyphony_proto::rag::v1::rag_service_client::RagServiceClient;
use polyphony_rag::Rag;
use polyphony_testing::{Authority, Leaf, PemFiles};
use tonic::Code;

use super::support::{SERVICE, WINGS, all_settings, assert_status, message, messages, question, stream};

fn channel(uri: &str, ca: &Path, files: &PemFiles) -> Client {
    let tls = ClientTlsConfig {
        ca: ca.to_owned(),
        cert: Some(files.cert.clone()),
        key: Some(files.key.clone()),
        server_name: Some("localhost".to_owned()),
        reload_interval: HumanDuration::from_secs(5),
    };
    let config = ChannelConfig {
        tls: Some(tls),
        ..ChannelConfig::default()
    };
    let uri = uri.parse().expect("a uri");
    connect::client(&uri, &config).expect("a channel")
}

#[tokio::test]
async fn a_space_of_another_does_not_exist() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new("mesh");
    let ca = authority.write_to(folder.path());
    let server = authority.issue(Leaf::server()).write_to(folder.path(), "server");
    let named = |name: &str| {
        let uri = format!("spiffe://example.org/{name}");
        authority
            .issue(Leaf::client().uri(&uri))
            .write_to(folder.path(), name)
    };
    let (books, radio) = (named("books"), named("radio"));
    let mut config = Rag::read(&layers(&all_settings(folder.path(), &[]))).expect("a config");
    config.server.tls = Some(TlsConfig {
        cert: server.cert,
        key: server.key,
        client_ca: Some(ca.clone()),
        allowed_clients: Vec::new(),
        reload_interval: HumanDuration::from_secs(5),
    });
    let served = running(SERVICE, |runtime, listener| Rag::run(config, runtime, listener)).await;
    let uri = format!("https://{}", served.address);
    let (books, radio) = (channel(&uri, &ca, &books), channel(&uri, &ca, &radio));
    let (mut owner, mut other) = (
        RagServiceClient::new(books.clone()),
        RagServiceClient::new(radio.clone()),
    );
    let create = |title: &str| pb::CreateSpaceRequest {
        space: Some(pb::Space {
            display_name: title.to_owned(),
            ..pb::Space::default()
        }),
        space_id: "a".to_owned(),
        ..pb::CreateSpaceRequest::default()
    };
    let made = owner
        .create_space(create("Books"))
        .await
        .expect("made")
        .into_inner();
    assert_eq!(made.owner, "spiffe://example.org/books");
    // The same id may be another's.
    let request = || {
        let mut messages = messages("a", &[("wings.md", WINGS)]);
        messages[0] = message(Message::Config(pb::IngestConfig {
            space: "spaces/a".to_owned(),
            request_id: "7f0c1f9e-3d3a-4a35-9df5-0b8f5a6d7c11".to_owned(),
            ..pb::IngestConfig::default()
        }));
        stream(messages)
    };
    let begun = owner.ingest(request()).await;
    let operation = begun.expect("taken in").into_inner().name;
    let mut watched = owner
        .watch_ingest(pb::WatchIngestRequest {
            name: operation.clone(),
        })
        .await
        .expect("its owner's")
        .into_inner();
    while watched.message().await.expect("news").is_some() {}

    let name = "spaces/a".to_owned();
    let document = "spaces/a/documents/wings.md".to_owned();
    let mut refused = Vec::new();
    refused.push(
        other
            .get_space(pb::GetSpaceRequest { name: name.clone() })
            .await
            .map(drop),
    );
    let change = pb::UpdateSpaceRequest {
        space: Some(made.clone()),
        update_mask: None,
    };
    refused.push(other.update_space(change).await.map(drop));
    let delete = pb::DeleteSpaceRequest {
        name: name.clone(),
        force: true,
        etag: String::new(),
    };
    refused.push(other.delete_space(delete).await.map(drop));
    let search = pb::SearchRequest {
        space: name.clone(),
        query: "wing".to_owned(),
        ..pb::SearchRequest::default()
    };
    refused.push(other.search(search.clone()).await.map(drop));
    refused.push(other.answer(question("a", "Does it stall?")).await.map(drop));
    refused.push(
        other
            .get_document(pb::GetDocumentRequest {
                name: document.clone(),
            })
            .await
            .map(drop),
    );
    refused.push(
        other
            .delete_document(pb::DeleteDocumentRequest { name: document })
            .await
            .map(drop),
    );
    let list = pb::ListDocumentsRequest {
        parent: name.clone(),
        ..pb::ListDocumentsRequest::default()
    };
    refused.push(other.list_documents(list).await.map(drop));
    let export = pb::ExportSpaceRequest {
        name: name.clone(),
        omit_vectors: false,
    };
    refused.push(other.export_space(export).await.map(drop));
    refused.push(
        other
            .ingest(stream(messages("a", &[("x.md", WINGS)])))
            .await
            .map(drop),
    );
    refused.push(
        other
            .watch_ingest(pb::WatchIngestRequest {
                name: operation.clone(),
            })
            .await
            .map(drop),
    );
    let (mut owners, mut others) = (OperationsClient::new(books), OperationsClient::new(radio));
    let name = || operation.clone();
    let get = lro::GetOperationRequest { name: name() };
    refused.push(others.get_operation(get.clone()).await.map(drop));
    let wait = lro::WaitOperationRequest {
        name: name(),
        timeout: None,
    };
    refused.push(others.wait_operation(wait).await.map(drop));
    let cancel = lro::CancelOperationRequest { name: name() };
    refused.push(others.cancel_operation(cancel).await.map(drop));
    let delete = lro::DeleteOperationRequest { name: name() };
    refused.push(others.delete_operation(delete).await.map(drop));
    for status in refused {
        assert_status(&status.expect_err("somebody else's"), Code::NotFound, "NOT_FOUND");
    }
    let listed = other
        .list_spaces(pb::ListSpacesRequest::default())
        .await
        .expect("a page")
        .into_inner();
    assert!(listed.spaces.is_empty());
    let all = lro::ListOperationsRequest::default();
    let listed = others
        .list_operations(all.clone())
        .await
        .expect("a page")
        .into_inner();
    assert!(listed.operations.is_empty(), "{listed:?}");
    // Of the same name it may have its own, and finds nothing of the other's in it.
    other.create_space(create("Radio")).await.expect("made");
    let found = other.search(search.clone()).await.expect("found").into_inner();
    assert!(found.hits.is_empty(), "{found:?}");
    let own = other.ingest(request()).await.expect("taken in").into_inner();
    assert_ne!(own.name, operation);
    let listed = owners.list_operations(all).await.expect("a page").into_inner();
    let names: Vec<&str> = listed
        .operations
        .iter()
        .map(|listed| listed.name.as_str())
        .collect();
    assert_eq!(names, [operation.as_str()]);
    owners.get_operation(get).await.expect("its owner's");
    let found = owner.search(search).await.expect("found").into_inner();
    assert!(!found.hits.is_empty());
}
