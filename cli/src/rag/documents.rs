//! `polyphony rag documents` and `delete`: what is in a space.

use std::process::ExitCode;

use polyphony_proto::rag::v1 as pb;
use serde_json::{Value, json};

use super::{connect, id};
use crate::args::{Mesh, State};
use crate::output;

pub(super) async fn list(
    mesh: &Mesh,
    json: bool,
    space: String,
    tags: Vec<String>,
    state: Option<State>,
) -> anyhow::Result<ExitCode> {
    let mut rag = connect(mesh).await?;
    let state = match state {
        None => pb::DocumentState::Unspecified,
        Some(State::Stored) => pb::DocumentState::Stored,
        Some(State::Indexing) => pb::DocumentState::Indexing,
        Some(State::Ready) => pb::DocumentState::Ready,
        Some(State::Failed) => pb::DocumentState::Failed,
    };
    let mut page_token = String::new();
    loop {
        let request = pb::ListDocumentsRequest {
            parent: space.clone(),
            state: state.into(),
            tags: tags.clone(),
            page_size: 1_000,
            page_token,
        };
        let page = rag.list_documents(request).await?.into_inner();
        page.documents
            .iter()
            .try_for_each(|document| tell(document, json))?;
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

pub(super) async fn delete(
    mesh: &Mesh,
    json: bool,
    space: &str,
    documents: Vec<String>,
) -> anyhow::Result<ExitCode> {
    let mut rag = connect(mesh).await?;
    for document in documents {
        let name = if document.starts_with("spaces/") {
            document
        } else {
            format!("{space}/documents/{document}")
        };
        rag.delete_document(pb::DeleteDocumentRequest { name: name.clone() })
            .await?;
        if json {
            output::object(&json!({ "deleted": name }))?;
        } else {
            output::line(&format!("deleted {}", id(&name)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(document: &pb::Document, json: bool) -> anyhow::Result<()> {
    if json {
        return output::object(&object(document));
    }
    let kind = document
        .doc_type
        .as_ref()
        .map_or("", |kind| kind.doc_type.as_str());
    let error = document.error.as_ref().map_or("", |error| error.message.as_str());
    output::line(&format!(
        "{:40}  {:8}  {:>5} passages  {kind:12}  {} {error}",
        id(&document.name),
        state(document),
        document.chunk_count,
        document.title,
    ))
}

/// "ready" for DOCUMENT_STATE_READY.
fn state(document: &pb::Document) -> String {
    document
        .state()
        .as_str_name()
        .trim_start_matches("DOCUMENT_STATE_")
        .to_ascii_lowercase()
}

fn object(document: &pb::Document) -> Value {
    json!({
        "name": document.name,
        "title": document.title,
        "sourceUri": document.source_uri,
        "mediaType": document.media_type,
        "docType": document.doc_type.as_ref().map(|kind| json!({
            "docType": kind.doc_type,
            "confidence": kind.confidence,
            "source": kind.source().as_str_name().trim_start_matches("DOCUMENT_TYPE_SOURCE_").to_ascii_lowercase(),
        })),
        "tags": document.tags,
        "languageCode": document.language_code,
        "sizeBytes": document.size_bytes,
        "contentDigest": document.content_digest,
        "state": state(document),
        "error": document.error.as_ref().map(|error| &error.message),
        "chunkCount": document.chunk_count,
    })
}
