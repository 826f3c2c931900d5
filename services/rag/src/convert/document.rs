//! Documents between the wire and the domain.

use polyphony_error::Fault;
use polyphony_proto::google::rpc;
use polyphony_proto::rag::v1 as pb;
use polyphony_wire::Refusals;
use prost::Message as _;

use super::{data, names, space};
use crate::domain::{DocType, DocTypeSource, Document, DocumentState, Failure, rules};

/// Which documents are to be listed.
#[derive(Debug)]
pub(crate) struct List {
    /// The space's id.
    pub(crate) space: String,
    pub(crate) state: Option<DocumentState>,
    pub(crate) tags: Vec<String>,
    pub(crate) page_size: usize,
    pub(crate) page: String,
}

/// Parses a request for documents.
pub(crate) fn list(wire: pb::ListDocumentsRequest) -> Result<List, Fault> {
    let pb::ListDocumentsRequest {
        parent,
        state,
        tags,
        page_size,
        page_token,
    } = wire;
    let space = names::space(&parent, "parent")?;
    let mut refusals = Refusals::at("");
    let state = match pb::DocumentState::try_from(state) {
        Ok(pb::DocumentState::Unspecified) => None,
        Ok(pb::DocumentState::Stored) => Some(DocumentState::Stored),
        Ok(pb::DocumentState::Indexing) => Some(DocumentState::Indexing),
        Ok(pb::DocumentState::Ready) => Some(DocumentState::Ready),
        Ok(pb::DocumentState::Failed) => Some(DocumentState::Failed),
        Err(_) => {
            refusals.add("state", "must be one of DocumentState");
            None
        }
    };
    let tags = data::once(tags);
    rules::tags(&tags, "tags", &mut refusals);
    refusals.finish()?;
    Ok(List {
        space,
        state,
        tags,
        page_size: space::page_size(page_size)?,
        page: page_token,
    })
}

/// A document of a space.
pub(crate) fn wire(space: &str, document: Document) -> pb::Document {
    let Document {
        id,
        title,
        source_uri,
        media_type,
        doc_type,
        tags,
        metadata,
        time,
        language,
        size_bytes,
        digest,
        state,
        failure,
        passages,
        created,
        updated,
    } = document;
    let state = match state {
        DocumentState::Stored => pb::DocumentState::Stored,
        DocumentState::Indexing => pb::DocumentState::Indexing,
        DocumentState::Ready => pb::DocumentState::Ready,
        DocumentState::Failed => pb::DocumentState::Failed,
    };
    pb::Document {
        name: names::of_document(space, id),
        title,
        source_uri,
        media_type,
        doc_type: doc_type.as_ref().map(self::doc_type),
        tags,
        metadata: data::wire(&metadata),
        document_time: time.map(Into::into),
        language_code: language.unwrap_or_default(),
        size_bytes,
        content_digest: digest,
        state: state.into(),
        error: failure.as_ref().map(self::failure),
        chunk_count: passages,
        create_time: Some(created.into()),
        update_time: Some(updated.into()),
    }
}

/// The kind of a document.
pub(crate) fn doc_type(doc_type: &DocType) -> pb::DocumentType {
    let source = match doc_type.source {
        DocTypeSource::Given => pb::DocumentTypeSource::Given,
        DocTypeSource::Rule => pb::DocumentTypeSource::Rule,
        DocTypeSource::Classifier => pb::DocumentTypeSource::Classifier,
        DocTypeSource::ZeroShot => pb::DocumentTypeSource::ZeroShot,
    };
    pb::DocumentType {
        doc_type: doc_type.name.clone(),
        confidence: doc_type.confidence,
        source: source.into(),
    }
}

/// Why a document failed.
pub(crate) fn failure(failure: &Failure) -> rpc::Status {
    let fault = Fault::new(failure.kind(), "DOCUMENT_FAILED", failure.message.clone());
    let status = tonic::Status::from(fault);
    let mut wire = rpc::Status::decode(status.details()).unwrap_or_default();
    reason(&mut wire, &failure.reason);
    wire
}

/// Puts a reason into the details of a status: as it comes from the ledger it is a text, which a fault cannot have.
fn reason(status: &mut rpc::Status, reason: &str) {
    for detail in &mut status.details {
        if detail.type_url.ends_with("google.rpc.ErrorInfo")
            && let Ok(mut info) = rpc::ErrorInfo::decode(&*detail.value)
        {
            reason.clone_into(&mut info.reason);
            detail.value = info.encode_to_vec();
        }
    }
}
