//! Streams whose messages come in the wrong order, are too large, or never come.

use polyphony_proto::rag::v1 as pb;
use polyphony_proto::rag::v1::import_space_request::Request as Import;
use polyphony_proto::rag::v1::ingest_request::Request as Message;
use polyphony_proto::types::v1 as types;
use tonic::Code;

use super::support::{WINGS, assert_field, assert_status, message, messages, served, stream};

fn document(id: &str) -> pb::IngestRequest {
    message(Message::Document(pb::DocumentHead {
        document_id: id.to_owned(),
        ..pb::DocumentHead::default()
    }))
}

fn content(bytes: usize) -> pb::IngestRequest {
    message(Message::Content(vec![b'x'; bytes].into()))
}

fn media(source: types::media::Source) -> pb::IngestRequest {
    message(Message::Document(pb::DocumentHead {
        media: Some(types::Media { source: Some(source) }),
        ..pb::DocumentHead::default()
    }))
}

#[tokio::test]
async fn an_ingestion_out_of_order_is_refused_and_takes_nothing_in() {
    let mut served = served(&["rag.max_documents=2"]).await;
    served.make("heron").await;
    let config = messages("heron", &[]).remove(0);
    let inline = || media(types::media::Source::Inline(b"hello"[..].into()));
    for (rest, field) in [
        (vec![], "config"),
        (vec![document("a")], "config"),
        (vec![pb::IngestRequest { request: None }], "request"),
        (vec![config.clone()], "document"),
        (vec![config.clone(), config.clone()], "config"),
        (vec![config.clone(), content(1)], "content"),
        (vec![config.clone(), document("a")], "content"),
        (vec![config.clone(), document("a"), document("b")], "content"),
        (
            vec![config.clone(), document("a"), content((32 << 10) + 1)],
            "content",
        ),
        (vec![config.clone(), inline(), content(1)], "content"),
        (
            vec![config.clone(), document("a/b"), content(1)],
            "document.document_id",
        ),
    ] {
        let status = served.rag.ingest(stream(rest)).await.expect_err(field);
        assert_field(&status, field);
    }
    let many = vec![
        config.clone(),
        document("a"),
        content(1),
        document("b"),
        content(1),
        document("c"),
    ];
    let status = served.rag.ingest(stream(many)).await.expect_err("too many");
    assert_status(&status, Code::ResourceExhausted, "TOO_MANY_DOCUMENTS");
    let blob = media(types::media::Source::BlobDigest("sha256:00".to_owned()));
    let status = served
        .rag
        .ingest(stream(vec![config.clone(), blob]))
        .await
        .expect_err("no store");
    assert_status(&status, Code::Unimplemented, "BLOB_STORE_ABSENT");
    let status = served
        .rag
        .ingest(stream(messages("nowhere", &[("a", WINGS)])))
        .await;
    assert_status(&status.expect_err("no space"), Code::NotFound, "NOT_FOUND");
    let list = pb::ListDocumentsRequest {
        parent: "spaces/heron".to_owned(),
        ..Default::default()
    };
    let listed = served
        .rag
        .list_documents(list)
        .await
        .expect("a page")
        .into_inner();
    assert!(listed.documents.is_empty(), "{listed:?}");
}

#[tokio::test]
async fn addresses_are_not_fetched_unless_somebody_allows_it() {
    let mut closed = served(&[]).await;
    closed.make("heron").await;
    let config = messages("heron", &[]).remove(0);
    let uri = |uri: &str| media(types::media::Source::Uri(uri.to_owned()));
    let status = closed
        .rag
        .ingest(stream(vec![config.clone(), uri("https://example.org/")]))
        .await;
    assert_status(
        &status.expect_err("off"),
        Code::PermissionDenied,
        "URI_NOT_ALLOWED",
    );
    let mut open = served(&["rag.uri_hosts=[\"localhost\"]", "rag.uri_http=true"]).await;
    open.make("heron").await;
    for address in [
        "http://localhost/",
        "http://127.0.0.1/",
        "http://169.254.169.254/",
        "file:///etc/passwd",
    ] {
        let status = open.rag.ingest(stream(vec![config.clone(), uri(address)])).await;
        let status = status.expect_err("not public");
        assert!(
            matches!(status.code(), Code::PermissionDenied | Code::InvalidArgument),
            "{status:?}"
        );
    }
}

#[tokio::test]
async fn a_document_that_is_too_large_is_refused_while_it_comes() {
    let mut served = served(&["rag.max_document_bytes=64KiB"]).await;
    served.make("heron").await;
    let text = "x".repeat(65 << 10);
    let status = served
        .rag
        .ingest(stream(messages("heron", &[("a.txt", &text)])))
        .await;
    assert_field(&status.expect_err("too large"), "content");
}

#[tokio::test]
async fn a_client_that_falls_silent_is_let_go() {
    let mut served = served(&["rag.stream_idle=1s"]).await;
    served.make("heron").await;
    let first = stream(messages("heron", &[("a.txt", "hello")]));
    let silent = futures_util::StreamExt::chain(first, futures_util::stream::pending());
    let status = served.rag.ingest(silent).await.expect_err("silent");
    assert_status(&status, Code::DeadlineExceeded, "STREAM_IDLE");
}

#[tokio::test]
async fn an_import_out_of_order_is_refused() {
    let mut served = served(&[]).await;
    let message = |request: Import| pb::ImportSpaceRequest {
        request: Some(request),
    };
    let config = || message(Import::Config(pb::ImportSpaceConfig::default()));
    let content = |bytes: usize| message(Import::Content(vec![0; bytes].into()));
    let end = || {
        message(Import::End(pb::ArchiveEnd {
            size_bytes: 1,
            digest: "sha256:00".to_owned(),
        }))
    };
    for (messages, field) in [
        (vec![], "config"),
        (vec![content(1)], "config"),
        (vec![config(), config()], "config"),
        (vec![config(), content((32 << 10) + 1)], "content"),
        (vec![config(), content(1)], "end"),
        (vec![config(), content(1), end(), content(1)], "end"),
    ] {
        let status = served.rag.import_space(stream(messages)).await.expect_err(field);
        assert_field(&status, field);
    }
    let other = stream(vec![config(), content(1), end()]);
    let status = served.rag.import_space(other).await.expect_err("other bytes");
    assert_status(&status, Code::DataLoss, "ARCHIVE_DIFFERS");
}
