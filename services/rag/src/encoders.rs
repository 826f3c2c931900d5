//! The models that retrieval runs itself, as the store wants them: embedding, reranking, and what kind a document is.
//!
//! They are those of the model store, loaded when they are first asked for and shared with other services of the process.

use std::sync::{Arc, PoisonError, RwLock};

use futures_util::future::BoxFuture;
use polyphony_encoders::roster::{
    self, ChosenEmbedder, ChosenReranker, ChosenZeroShot, Embedders, PresentEmbedder, PresentReranker,
    Rerankers, ZeroShots,
};
use polyphony_encoders::{EmbedOptions, Role, Tokenizer, Truncation};
use polyphony_error::{Fault, Kind};
use polyphony_inference::Cancel;
use polyphony_models::{ModelRef, Provenance, Residents};

use crate::config::Config;
use crate::engine::{Embed, Models, Rank, Side};

/// The models. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Encoders {
    embedders: Embedders,
    rerankers: Rerankers,
    zero_shots: ZeroShots,
    /// The embedding model of spaces that name none; empty until [`ready`](Self::ready) has found one.
    default: Arc<RwLock<String>>,
}

/// An embedding model in use.
#[derive(Debug, Clone)]
pub(crate) struct Embedding {
    chosen: ChosenEmbedder,
}

/// A cross-encoder in use.
#[derive(Debug, Clone)]
struct Ranking {
    chosen: ChosenReranker,
}

// === impl Encoders ===

impl Encoders {
    /// The models of a store, with the defaults of a configuration.
    ///
    /// # Errors
    /// A model that another service added for another task.
    pub fn of_store(
        store: &polyphony_models::Store,
        residents: &Residents,
        config: &Config,
    ) -> Result<Self, polyphony_models::Error> {
        let preferred = |name: &str| name.parse::<ModelRef>().ok();
        Ok(Self {
            embedders: roster::embedders(
                store,
                residents.clone(),
                &config.inference,
                preferred(&config.embedding_model),
            )?,
            rerankers: roster::rerankers(
                store,
                residents.clone(),
                &config.inference,
                preferred(&config.rerank_model),
            )?,
            zero_shots: roster::zero_shots(store, residents.clone(), &config.inference, None)?,
            default: Arc::new(RwLock::new(config.embedding_model.clone())),
        })
    }

    /// Whether there is an embedding model; the best one becomes the default of spaces that name none, and stays it as
    /// long as this process lives. With `load` it is brought into memory.
    ///
    /// # Errors
    /// The remedy.
    pub async fn ready(&self, load: bool) -> Result<(), String> {
        self.embedders.ready(load).await?;
        let present = self
            .embedders
            .present()
            .await
            .map_err(|fault| fault.to_string())?;
        let best = present.first().map(|present| present.model.to_string());
        let mut default = self.default.write().unwrap_or_else(PoisonError::into_inner);
        if default.is_empty() {
            *default = best.ok_or_else(|| roster::NO_EMBEDDER.to_owned())?;
        }
        Ok(())
    }

    /// An embedding model, loaded.
    pub(crate) async fn embedding(&self, model: &str) -> Result<Embedding, Fault> {
        let chosen = self.embedders.acquire(model).await?;
        Ok(Embedding { chosen })
    }

    /// The cross-encoder of this name; of none, the default, if there is one.
    async fn ranking(&self, model: &str) -> Result<Option<Ranking>, Fault> {
        match self.rerankers.acquire(model).await {
            Ok(chosen) => Ok(Some(Ranking { chosen })),
            Err(fault)
                if model.is_empty() && fault.kind == Kind::Unavailable && fault.reason == "NO_MODEL" =>
            {
                Ok(None)
            }
            Err(fault) => Err(fault),
        }
    }

    /// With what the vectors of a model are made.
    pub(crate) async fn embedded_by(&self, model: &str) -> Result<Provenance, Fault> {
        let embedding = self.embedding(model).await?;
        Ok(embedding.chosen.info().made.clone())
    }

    /// The default cross-encoder or the one of this name, with what it is made; none where there is none.
    pub(crate) async fn ranker_made(
        &self,
        model: &str,
    ) -> Result<Option<(Arc<dyn Rank>, Provenance)>, Fault> {
        Ok(self.ranking(model).await?.map(|ranking| {
            let made = ranking.chosen.info().made.clone();
            (Arc::new(ranking) as Arc<dyn Rank>, made)
        }))
    }

    /// The model that weighs kinds of documents; none where there is none.
    pub(crate) async fn zero_shot(&self) -> Option<ChosenZeroShot> {
        match self.zero_shots.acquire("").await {
            Ok(chosen) => Some(chosen),
            Err(fault) => {
                if fault.reason != "NO_MODEL" {
                    tracing::warn!(error = %polyphony_error::chain(&fault), "the zero-shot model cannot be used");
                }
                None
            }
        }
    }

    /// The models on disk: embedding first, then reranking.
    pub(crate) async fn present(&self) -> Result<(Vec<PresentEmbedder>, Vec<PresentReranker>), Fault> {
        Ok((self.embedders.present().await?, self.rerankers.present().await?))
    }
}

impl Models for Encoders {
    fn default_embedder(&self) -> String {
        let default = self.default.read();
        default.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn embedder<'a>(&'a self, model: &'a str) -> BoxFuture<'a, Result<Arc<dyn Embed>, Fault>> {
        Box::pin(async move { Ok(Arc::new(self.embedding(model).await?) as Arc<dyn Embed>) })
    }

    fn ranker<'a>(&'a self, model: &'a str) -> BoxFuture<'a, Result<Option<Arc<dyn Rank>>, Fault>> {
        Box::pin(async move {
            let ranking = self.ranking(model).await?;
            Ok(ranking.map(|ranking| Arc::new(ranking) as Arc<dyn Rank>))
        })
    }
}

// === impl Embedding ===

impl Embedding {
    /// Its tokenizer.
    pub(crate) fn tokenizer(&self) -> &Tokenizer {
        self.chosen.tokenizer()
    }

    /// The most tokens of a text, with those that the model adds.
    pub(crate) fn max_tokens(&self) -> usize {
        self.chosen.info().max_tokens
    }
}

impl Embed for Embedding {
    fn model(&self) -> &str {
        &self.chosen.info().made.model
    }

    fn dimensions(&self) -> usize {
        self.chosen.info().dimensions
    }

    fn embed(&self, texts: &[&str], side: Side) -> Result<Vec<Vec<f32>>, Fault> {
        let options = EmbedOptions {
            role: match side {
                Side::Query => Role::Query,
                Side::Passage => Role::Document,
            },
            truncation: Truncation::Right,
            ..EmbedOptions::default()
        };
        let embedded = self.chosen.embed(texts, &options, &Cancel::default())?;
        Ok(embedded.into_iter().map(|embedded| embedded.vector).collect())
    }

    fn reads(&self, text: &str) -> Result<f32, Fault> {
        Ok(self.tokenizer().known(text)?)
    }
}

// === impl Ranking ===

impl Rank for Ranking {
    fn model(&self) -> &str {
        &self.chosen.info().made.model
    }

    fn rank(&self, query: &str, passages: &[&str]) -> Result<Vec<f32>, Fault> {
        let scored = self
            .chosen
            .score(query, passages, Truncation::Right, &Cancel::default())?;
        Ok(scored.into_iter().map(|scored| scored.logit).collect())
    }
}
