//! One clear refusal for each thing that cannot be, that names the field.

use polyphony_proto::rag::v1 as pb;
use tonic::Code;

use super::support::{assert_field, assert_status, served};

#[tokio::test]
async fn names_that_are_none_are_refused_by_their_field() {
    let mut served = served(&[]).await;
    let rag = &mut served.rag;
    let bad = "spaces/../x".to_owned();
    let status = rag.get_space(pb::GetSpaceRequest { name: bad.clone() }).await;
    assert_field(&status.expect_err("refused"), "name");
    let gone = pb::DeleteSpaceRequest {
        name: bad.clone(),
        ..Default::default()
    };
    assert_field(&rag.delete_space(gone).await.expect_err("refused"), "name");
    let status = rag
        .get_document(pb::GetDocumentRequest { name: bad.clone() })
        .await;
    assert_field(&status.expect_err("refused"), "name");
    let status = rag
        .delete_document(pb::DeleteDocumentRequest { name: bad.clone() })
        .await;
    assert_field(&status.expect_err("refused"), "name");
    let list = pb::ListDocumentsRequest {
        parent: bad.clone(),
        ..Default::default()
    };
    assert_field(&rag.list_documents(list).await.expect_err("refused"), "parent");
    let export = pb::ExportSpaceRequest {
        name: bad.clone(),
        omit_vectors: false,
    };
    assert_field(&rag.export_space(export).await.expect_err("refused"), "name");
    let search = pb::SearchRequest {
        space: bad.clone(),
        query: "x".to_owned(),
        ..Default::default()
    };
    assert_field(&rag.search(search).await.expect_err("refused"), "space");
    let answer = pb::AnswerRequest {
        space: bad,
        query: "x".to_owned(),
        ..Default::default()
    };
    assert_field(&rag.answer(answer).await.expect_err("refused"), "space");
}

#[tokio::test]
async fn fields_out_of_their_ranges_are_refused() {
    let mut served = served(&[]).await;
    served.make("a").await;
    let rag = &mut served.rag;
    let create = |space: pb::Space, space_id: &str, request_id: &str| pb::CreateSpaceRequest {
        space: Some(space),
        space_id: space_id.to_owned(),
        request_id: request_id.to_owned(),
    };
    let titled = |title: String| pb::Space {
        display_name: title,
        ..Default::default()
    };
    for (request, field) in [
        (create(pb::Space::default(), "A", ""), "space_id"),
        (create(pb::Space::default(), "b", "1"), "request_id"),
        (create(titled("x".repeat(101)), "b", ""), "space.display_name"),
        (
            create(
                pb::Space {
                    name: "spaces/b".to_owned(),
                    ..Default::default()
                },
                "b",
                "",
            ),
            "space.name",
        ),
    ] {
        assert_field(&rag.create_space(request).await.expect_err("refused"), field);
    }
    let unknown = pb::Space {
        embedding_model: "nobody/has-this".to_owned(),
        ..Default::default()
    };
    let status = rag
        .create_space(create(unknown, "b", ""))
        .await
        .expect_err("no model");
    assert_status(&status, Code::NotFound, "NOT_FOUND");
    let status = rag.update_space(pb::UpdateSpaceRequest::default()).await;
    assert_field(&status.expect_err("refused"), "space");
    let page = |page_size, token: &str| pb::ListSpacesRequest {
        page_size,
        page_token: token.to_owned(),
    };
    assert_field(
        &rag.list_spaces(page(1_001, "")).await.expect_err("refused"),
        "page_size",
    );
    assert_field(
        &rag.list_spaces(page(1, "\0")).await.expect_err("refused"),
        "page_token",
    );
    let list = |state, page_size| pb::ListDocumentsRequest {
        parent: "spaces/a".to_owned(),
        state,
        page_size,
        ..Default::default()
    };
    assert_field(
        &rag.list_documents(list(9, 0)).await.expect_err("refused"),
        "state",
    );
    assert_field(
        &rag.list_documents(list(0, 2_000)).await.expect_err("refused"),
        "page_size",
    );
    let search = |query: &str, token: &str| pb::SearchRequest {
        space: "spaces/a".to_owned(),
        query: query.to_owned(),
        page_token: token.to_owned(),
        ..Default::default()
    };
    let long = "x".repeat(4_001);
    assert_field(
        &rag.search(search(&long, "")).await.expect_err("refused"),
        "query",
    );
    assert_field(
        &rag.search(search("x", "nonsense")).await.expect_err("refused"),
        "page_token",
    );
    let rerank = |passages: usize, text: &str| pb::RerankRequest {
        query: "x".to_owned(),
        passages: vec![
            pb::RerankPassage {
                id: String::new(),
                text: text.to_owned(),
            };
            passages
        ],
        ..Default::default()
    };
    assert_field(
        &rag.rerank(rerank(0, "x")).await.expect_err("refused"),
        "passages",
    );
    assert_field(
        &rag.rerank(rerank(1_001, "x")).await.expect_err("refused"),
        "passages",
    );
    assert_field(
        &rag.rerank(rerank(1, " ")).await.expect_err("refused"),
        "passages[0].text",
    );
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let mut served = served(&[]).await;
    served.make("a").await;
    let rag = &mut served.rag;
    for name in ["spaces/b", "spaces/a/documents/x"] {
        let status = match name.contains("documents") {
            true => rag
                .get_document(pb::GetDocumentRequest {
                    name: name.to_owned(),
                })
                .await
                .map(drop),
            false => rag
                .get_space(pb::GetSpaceRequest {
                    name: name.to_owned(),
                })
                .await
                .map(drop),
        };
        assert_status(&status.expect_err("not there"), Code::NotFound, "NOT_FOUND");
    }
    let watch = pb::WatchIngestRequest {
        name: "operations/rag-0".to_owned(),
    };
    let status = rag.watch_ingest(watch).await.expect_err("not there");
    assert_status(&status, Code::NotFound, "NOT_FOUND");
}
