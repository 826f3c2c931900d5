//! Documents: taken in, watched, found, listed, replaced, deleted, and still there after a restart.

use polyphony_proto::rag::v1 as pb;
use polyphony_proto::rag::v1::ingest_request::Request as Message;
use polyphony_proto::types::v1 as types;
use polyphony_proto::types::v1::JobState;
use tonic::Code;

use super::support::{BREAD, ENGINE, WINGS, assert_status, message, messages, served, started, stream};

#[tokio::test]
async fn what_is_taken_in_is_found_where_it_stands() {
    let mut served = served(&[]).await;
    served
        .fill("heron", &[("wings.md", WINGS), ("engine.md", ENGINE)])
        .await;
    let request = pb::SearchRequest {
        space: "spaces/heron".to_owned(),
        query: "angle of stall".to_owned(),
        ..pb::SearchRequest::default()
    };
    let found = served.rag.search(request).await.expect("found").into_inner();
    let hit = &found.hits[0];
    assert_eq!(hit.document, "spaces/heron/documents/wings.md");
    let Some(types::anchor::Place::Text(range)) = hit.anchor.as_ref().and_then(|anchor| anchor.place.clone())
    else {
        panic!("{hit:?}")
    };
    assert_eq!(
        &WINGS[range.start_byte as usize..range.end_byte as usize],
        hit.text
    );
    assert!(hit.score_components.len() >= 2, "{hit:?}");
    assert!(!hit.highlights.is_empty());
    let receipt = found.receipt.expect("a receipt");
    assert!(receipt.model.starts_with("all-MiniLM-L6-v2") && receipt.model_digest.starts_with("sha256:"));
    assert!(found.timings.iter().any(|timing| timing.stage == "embed"));
    let effective = found.effective_retrieval.expect("filled in");
    assert_eq!((effective.candidates, effective.exact), (Some(100), Some(false)));
    // What is said to be in effect may be asked for.
    let again = pb::SearchRequest {
        space: "spaces/heron".to_owned(),
        query: "angle of stall".to_owned(),
        retrieval: Some(effective),
        ..pb::SearchRequest::default()
    };
    let again = served.rag.search(again).await.expect("found").into_inner();
    assert_eq!(again.hits, found.hits);
}

#[tokio::test]
async fn words_alone_need_no_model_and_say_so() {
    let mut served = served(&[]).await;
    served
        .fill("heron", &[("wings.md", WINGS), ("engine.md", ENGINE)])
        .await;
    let request = pb::SearchRequest {
        space: "spaces/heron".to_owned(),
        query: "kerosene".to_owned(),
        retrieval: Some(pb::RetrievalConfig {
            fusion: pb::Fusion::LexicalOnly.into(),
            ..pb::RetrievalConfig::default()
        }),
        ..pb::SearchRequest::default()
    };
    let found = served.rag.search(request).await.expect("found").into_inner();
    assert_eq!(found.hits.len(), 1);
    let receipt = found.receipt.expect("a receipt");
    assert_eq!((receipt.engine.as_str(), receipt.model.as_str()), ("bm25", ""));
}

#[tokio::test]
async fn documents_outlive_the_process() {
    let mut served = served(&[]).await;
    served
        .fill("heron", &[("wings.md", WINGS), ("engine.md", ENGINE)])
        .await;
    let before = served.found("heron", "kerosene fuel").await;
    let folder = served.stop().await;
    let mut served = started(folder, &[]).await;
    assert_eq!(served.found("heron", "kerosene fuel").await, before);
    assert_eq!(before[0], "engine.md");
}

#[tokio::test]
async fn an_ingestion_tells_how_far_it_is_and_what_became_of_each_document() {
    let mut served = served(&[]).await;
    served.make("heron").await;
    let mut messages = messages("heron", &[("wings.md", WINGS), ("bread.md", BREAD)]);
    messages.push(message(Message::Document(pb::DocumentHead {
        document_id: "broken.docx".to_owned(),
        source_uri: "broken.docx".to_owned(),
        ..pb::DocumentHead::default()
    })));
    messages.push(message(Message::Content(
        b"PK\x03\x04 is not a package"[..].into(),
    )));
    let operation = served
        .rag
        .ingest(stream(messages))
        .await
        .expect("taken in")
        .into_inner();
    let watch = pb::WatchIngestRequest {
        name: operation.name.clone(),
    };
    let mut watched = served
        .rag
        .watch_ingest(watch)
        .await
        .expect("watched")
        .into_inner();
    let mut last = pb::IngestMetadata::default();
    while let Some(now) = watched.message().await.expect("news") {
        let now = now.metadata.expect("metadata");
        assert!(now.progress_percent >= last.progress_percent);
        last = now;
    }
    assert_eq!(last.state(), JobState::Succeeded);
    assert_eq!(
        (
            last.total_documents,
            last.ready_documents,
            last.failed_documents,
            last.progress_percent
        ),
        (3, 2, 1, 100)
    );
    let response = served.outcome(&operation.name).await;
    let [wings, bread, broken] = &response.results[..] else {
        panic!("{response:?}")
    };
    assert_eq!((&wings.error, &bread.error), (&None, &None));
    let error = broken.error.as_ref().expect("it is broken");
    assert_eq!(error.code, i32::from(Code::InvalidArgument));
    let document = wings.document.as_ref().expect("a document");
    assert_eq!(document.state(), pb::DocumentState::Ready);
    assert_eq!(
        (document.title.as_str(), document.language_code.as_str()),
        ("Wings", "en")
    );
    assert_eq!(document.media_type, "text/markdown");
    assert!(document.chunk_count > 0 && document.size_bytes == WINGS.len() as u64);
    let again = served.ingest("heron", &[("wings.md", WINGS)]).await;
    assert!(again.results[0].unchanged);
}

#[tokio::test]
async fn documents_are_listed_replaced_and_deleted() {
    let mut served = served(&[]).await;
    served.make("heron").await;
    let head = pb::DocumentHead {
        document_id: "wings.md".to_owned(),
        title: "About wings".to_owned(),
        doc_type: "manual".to_owned(),
        tags: vec!["heron".to_owned()],
        media: Some(types::Media {
            source: Some(types::media::Source::Inline(WINGS.as_bytes().to_vec().into())),
        }),
        metadata: Some(prost_types::Struct {
            fields: [(
                "part".to_owned(),
                prost_types::Value {
                    kind: Some(prost_types::value::Kind::NumberValue(7.0)),
                },
            )]
            .into(),
        }),
        document_time: Some(prost_types::Timestamp {
            seconds: 1_700_000_000,
            nanos: 0,
        }),
        language_code: "en".to_owned(),
        ..pb::DocumentHead::default()
    };
    let mut all = messages("heron", &[("bread.md", BREAD)]);
    all.push(message(Message::Document(head.clone())));
    let operation = served
        .rag
        .ingest(stream(all))
        .await
        .expect("taken in")
        .into_inner();
    served.outcome(&operation.name).await;
    let list = |tags: &[&str], page_size, page_token: &str| pb::ListDocumentsRequest {
        parent: "spaces/heron".to_owned(),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        page_size,
        page_token: page_token.to_owned(),
        ..pb::ListDocumentsRequest::default()
    };
    let first = served
        .rag
        .list_documents(list(&[], 1, ""))
        .await
        .expect("a page")
        .into_inner();
    assert_eq!(first.documents[0].name, "spaces/heron/documents/bread.md");
    let second = served
        .rag
        .list_documents(list(&[], 1, &first.next_page_token))
        .await;
    let second = second.expect("a page").into_inner();
    assert_eq!(second.next_page_token, "");
    let wings = &second.documents[0];
    assert_eq!(
        (wings.title.as_str(), wings.metadata.clone()),
        ("About wings", head.metadata)
    );
    let kind = wings.doc_type.as_ref().expect("a kind");
    assert_eq!(
        (kind.doc_type.as_str(), kind.source()),
        ("manual", pb::DocumentTypeSource::Given)
    );
    assert_eq!(wings.document_time, head.document_time);
    let tagged = served
        .rag
        .list_documents(list(&["heron"], 0, ""))
        .await
        .expect("a page")
        .into_inner();
    assert_eq!(tagged.documents.len(), 1);
    // A filter by the client's data finds it too.
    let filtered = pb::SearchRequest {
        space: "spaces/heron".to_owned(),
        query: "wing".to_owned(),
        filter: Some(pb::Filter {
            doc_types: vec!["manual".to_owned()],
            tags: vec!["heron".to_owned()],
            metadata: wings.metadata.clone(),
            ..pb::Filter::default()
        }),
        ..pb::SearchRequest::default()
    };
    let found = served.rag.search(filtered).await.expect("found").into_inner();
    assert!(found.hits.iter().all(|hit| hit.document == wings.name) && !found.hits.is_empty());

    let name = wings.name.clone();
    served
        .ingest("heron", &[("wings.md", "# Wings\n\nNow all about feathers.\n")])
        .await;
    assert_eq!(served.found("heron", "feathers").await[0], "wings.md");
    let delete = pb::DeleteDocumentRequest { name: name.clone() };
    served.rag.delete_document(delete.clone()).await.expect("deleted");
    assert!(
        !served
            .found("heron", "feathers")
            .await
            .contains(&"wings.md".to_owned())
    );
    let status = served.rag.delete_document(delete).await.expect_err("gone");
    assert_status(&status, Code::NotFound, "NOT_FOUND");
    let status = served
        .rag
        .get_document(pb::GetDocumentRequest { name })
        .await
        .expect_err("gone");
    assert_status(&status, Code::NotFound, "NOT_FOUND");
}

#[tokio::test]
async fn capabilities_tell_what_there_is() {
    let mut served = served(&[]).await;
    let told = served.rag.get_capabilities(pb::GetCapabilitiesRequest {}).await;
    let told = told.expect("told").into_inner();
    assert!(told.models[0].model.starts_with("all-MiniLM-L6-v2"), "{told:?}");
    assert!(told.media_types.contains(&"application/pdf".to_owned()));
    assert!(!told.generative);
    assert_eq!((told.max_document_bytes, told.max_top_k), (64 << 20, 1_000));
}

#[tokio::test]
async fn a_cross_encoder_that_is_not_there_is_told() {
    let mut served = served(&[]).await;
    let request = pb::RerankRequest {
        query: "wing".to_owned(),
        passages: vec![pb::RerankPassage {
            id: "a".to_owned(),
            text: "The wing stalls.".to_owned(),
        }],
        ..pb::RerankRequest::default()
    };
    // Set-ups with a cross-encoder order; those without say how to get one.
    match served.rag.rerank(request).await {
        Ok(response) => assert_eq!(response.into_inner().passages[0].id, "a"),
        Err(status) => assert_status(&status, Code::Unavailable, "NO_MODEL"),
    }
}
