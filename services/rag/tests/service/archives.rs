//! Spaces as archives: out, in again, and refused when they are not whole.

use polyphony_proto::rag::v1 as pb;
use polyphony_proto::rag::v1::export_space_response::Event;
use polyphony_proto::rag::v1::import_space_request::Request as Message;
use tonic::Code;

use super::support::{ENGINE, Served, WINGS, assert_field, assert_status, served, stream};

async fn exported(served: &mut Served, omit_vectors: bool) -> (Vec<u8>, pb::ArchiveEnd) {
    let request = pb::ExportSpaceRequest {
        name: "spaces/heron".to_owned(),
        omit_vectors,
    };
    let mut pieces = served
        .rag
        .export_space(request)
        .await
        .expect("exported")
        .into_inner();
    let (mut bytes, mut end) = (Vec::new(), None);
    while let Some(piece) = pieces.message().await.expect("a piece") {
        match piece.event.expect("an event") {
            Event::Content(content) => {
                assert!(content.len() <= 32 << 10 && end.is_none());
                bytes.extend_from_slice(&content);
            }
            Event::End(said) => end = Some(said),
        }
    }
    (bytes, end.expect("an end"))
}

fn import(space: &str, bytes: &[u8], end: Option<pb::ArchiveEnd>) -> Vec<pb::ImportSpaceRequest> {
    let message = |request| pb::ImportSpaceRequest {
        request: Some(request),
    };
    let mut messages = vec![message(Message::Config(pb::ImportSpaceConfig {
        space_id: space.to_owned(),
        request_id: String::new(),
    }))];
    for piece in bytes.chunks(32 << 10) {
        messages.push(message(Message::Content(piece.to_vec().into())));
    }
    messages.extend(end.map(|end| message(Message::End(end))));
    messages
}

#[tokio::test]
async fn a_space_comes_back_from_its_archive() {
    let mut served = served(&[]).await;
    served
        .fill("heron", &[("wings.md", WINGS), ("engine.md", ENGINE)])
        .await;
    let before = served.found("heron", "kerosene").await;
    for (omit_vectors, space) in [(false, "copy"), (true, "anew")] {
        let (bytes, end) = exported(&mut served, omit_vectors).await;
        assert_eq!(end.size_bytes, bytes.len() as u64);
        let made = served
            .rag
            .import_space(stream(import(space, &bytes, Some(end))))
            .await;
        let made = made.expect("imported").into_inner().space.expect("a space");
        assert_eq!((made.name, made.document_count), (format!("spaces/{space}"), 2));
        assert_eq!(served.found(space, "kerosene").await, before);
    }
}

#[tokio::test]
async fn an_archive_that_is_not_whole_makes_no_space() {
    let mut served = served(&[]).await;
    served.fill("heron", &[("wings.md", WINGS)]).await;
    let (bytes, end) = exported(&mut served, false).await;
    let status = served
        .rag
        .import_space(stream(import("copy", &bytes, None)))
        .await
        .expect_err("no end");
    assert_field(&status, "end");
    let mut changed = bytes.clone();
    changed[bytes.len() / 2] ^= 1;
    let sent = import("copy", &changed, Some(end.clone()));
    let status = served.rag.import_space(stream(sent)).await.expect_err("changed");
    assert_status(&status, Code::DataLoss, "ARCHIVE_DIFFERS");
    let sent = import("copy", &bytes[..bytes.len() - 1], Some(end.clone()));
    served.rag.import_space(stream(sent)).await.expect_err("cut");
    let status = served
        .rag
        .import_space(stream(import("heron", &bytes, Some(end))))
        .await;
    assert_status(
        &status.expect_err("there already"),
        Code::AlreadyExists,
        "SPACE_EXISTS",
    );
    let get = pb::GetSpaceRequest {
        name: "spaces/copy".to_owned(),
    };
    let status = served.rag.get_space(get).await.expect_err("never made");
    assert_status(&status, Code::NotFound, "NOT_FOUND");
}
