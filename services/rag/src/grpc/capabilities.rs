//! `GetCapabilities`: what can be asked for now.

use polyphony_encoders::roster::{PresentEmbedder, PresentReranker};
use polyphony_error::Fault;
use polyphony_proto::rag::v1 as pb;
use polyphony_proto::types::v1 as types;
use polyphony_wire::degradation;

use super::Shared;
use crate::domain::rules::MOST_HITS;
use crate::parse::MEDIA_TYPES;

/// Tells what this server can do.
pub(super) async fn tell(shared: &Shared) -> Result<pb::GetCapabilitiesResponse, Fault> {
    let (embedders, rerankers) = shared.encoders.present().await?;
    let embedders = embedders.into_iter().map(embedder);
    let models = embedders.chain(rerankers.into_iter().map(reranker));
    Ok(pb::GetCapabilitiesResponse {
        models: models.collect(),
        media_types: MEDIA_TYPES.map(str::to_owned).to_vec(),
        generative: shared.llm.is_up().await,
        max_document_bytes: shared.config.max_document_bytes.bytes(),
        max_top_k: MOST_HITS,
    })
}

fn embedder(present: PresentEmbedder) -> types::ModelCapabilities {
    let PresentEmbedder { model, engine, known } = present;
    types::ModelCapabilities {
        model: model.to_string(),
        engine,
        supported_fields: ["space.embedding_model"].map(str::to_owned).to_vec(),
        degraded: known.and_then(|info| degradation(&info.made)),
        language_codes: Vec::new(),
    }
}

fn reranker(present: PresentReranker) -> types::ModelCapabilities {
    let PresentReranker { model, engine, known } = present;
    types::ModelCapabilities {
        model: model.to_string(),
        engine,
        supported_fields: ["model", "retrieval.rerank", "retrieval.rerank_model"]
            .map(str::to_owned)
            .to_vec(),
        degraded: known.and_then(|info| degradation(&info.made)),
        language_codes: Vec::new(),
    }
}
