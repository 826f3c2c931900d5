//! The encoders that run here: vectors, order and tokens without any upstream, with the models of the store.
//!
//! They are shared with other services of the process. A name that an upstream has is the upstream's; without a name the
//! ones here go first, for they are there from the first minute.

use std::time::Duration;

use polyphony_chassis::places::{Patience, Places, or_each_core};
use polyphony_encoders::roster::{self, Embedders, Rerankers};
use polyphony_encoders::{
    CrossEncoder, EmbedOptions, Embedded, Embedder, Input, Scored, Tokenizer, Truncation,
};
use polyphony_error::{Fault, Kind};
use polyphony_inference::Cancel;
use polyphony_models::{Chosen, Provenance, Residents, Store};

use crate::config::Config;

/// The encoders of the process.
#[derive(Debug)]
pub(crate) struct Local {
    embedders: Embedders,
    rerankers: Rerankers,
    places: Places,
}

/// What a model here gave, with what it was made, and how long each stage took.
#[derive(Debug)]
pub(crate) struct Made<T> {
    pub(crate) value: T,
    pub(crate) made: Provenance,
    pub(crate) queue: Duration,
    pub(crate) load: Option<Duration>,
    pub(crate) run: Duration,
}

/// A model that is on disk here.
#[derive(Debug)]
pub(crate) struct LocalModel {
    pub(crate) name: String,
    pub(crate) is_reranker: bool,
    pub(crate) max_tokens: usize,
    pub(crate) dimensions: usize,
}

// === impl Local ===

impl Local {
    /// The models of a store.
    ///
    /// # Errors
    /// A model that another service added for another task.
    pub(crate) fn of_store(
        store: &Store,
        residents: Residents,
        config: &Config,
    ) -> Result<Self, polyphony_models::Error> {
        Ok(Self {
            embedders: roster::embedders(store, residents.clone(), &config.inference, None)?,
            rerankers: roster::rerankers(store, residents, &config.inference, None)?,
            places: Places::new("llm-proxy", 0, or_each_core(config.workers, 1), config.max_queue),
        })
    }

    /// The embedding model that is meant; none: there is none here by that name, or none at all.
    ///
    /// # Errors
    /// When it is there and cannot be loaded.
    pub(crate) async fn embedder(&self, model: &str) -> Result<Option<Chosen<Embedder>>, Fault> {
        there(self.embedders.acquire(model).await)
    }

    /// The cross-encoder that is meant, likewise.
    ///
    /// # Errors
    /// As [`embedder`](Self::embedder).
    pub(crate) async fn reranker(&self, model: &str) -> Result<Option<Chosen<CrossEncoder>>, Fault> {
        there(self.rerankers.acquire(model).await)
    }

    /// The models on disk.
    pub(crate) async fn present(&self) -> Result<Vec<LocalModel>, Fault> {
        let embedders = self
            .embedders
            .present()
            .await?
            .into_iter()
            .map(|present| LocalModel {
                name: present.model.id.to_string(),
                is_reranker: false,
                max_tokens: present.known.as_ref().map_or(0, |known| known.max_tokens),
                dimensions: present.known.as_ref().map_or(0, |known| known.dimensions),
            });
        let rerankers = self
            .rerankers
            .present()
            .await?
            .into_iter()
            .map(|present| LocalModel {
                name: present.model.id.to_string(),
                is_reranker: true,
                max_tokens: present.known.as_ref().map_or(0, |known| known.max_tokens),
                dimensions: 0,
            });
        Ok(embedders.chain(rerankers).collect())
    }

    /// The vectors of texts.
    ///
    /// # Errors
    /// The text at fault, by its path; RESOURCE_EXHAUSTED when too many wait.
    pub(crate) async fn embed(
        &self,
        model: Chosen<Embedder>,
        texts: Vec<String>,
        options: EmbedOptions,
    ) -> Result<Made<Vec<Embedded>>, Fault> {
        let made = model.info().made.clone();
        self.run(made, model.load, move |cancel| {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            model.embed(&texts, &options, cancel)
        })
        .await
    }

    /// The scores of texts.
    ///
    /// # Errors
    /// As [`embed`](Self::embed).
    pub(crate) async fn score(
        &self,
        model: Chosen<CrossEncoder>,
        query: String,
        texts: Vec<String>,
        truncation: Truncation,
    ) -> Result<Made<Vec<Scored>>, Fault> {
        let made = model.info().made.clone();
        self.run(made, model.load, move |cancel| {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            model.score(&query, &texts, truncation, cancel)
        })
        .await
    }

    /// What a tokenizer gives.
    ///
    /// # Errors
    /// As [`embed`](Self::embed).
    pub(crate) async fn tokens<T: Send + 'static>(
        &self,
        model: Chosen<Embedder>,
        work: impl FnOnce(&Tokenizer) -> Result<T, polyphony_encoders::Error> + Send + 'static,
    ) -> Result<T, Fault> {
        let made = model.info().made.clone();
        let run = self.run(made, None, move |_| work(model.tokenizer()));
        Ok(run.await?.value)
    }

    /// Works on a thread, in turn. Who goes away ends the work.
    async fn run<T: Send + 'static>(
        &self,
        made: Provenance,
        load: Option<Duration>,
        work: impl FnOnce(&Cancel) -> Result<T, polyphony_encoders::Error> + Send + 'static,
    ) -> Result<Made<T>, Fault> {
        let place = self.places.worker(Patience::Queue).await?;
        let (queue, cancel) = (place.waited, Cancel::default());
        let _gone = cancel.on_drop();
        let running = tokio::task::spawn_blocking(move || {
            let began = std::time::Instant::now();
            let value = work(&cancel);
            // Held to the end, also where nobody waits any more.
            drop(place);
            value.map(|value| (value, began.elapsed()))
        });
        let done = running.await.map_err(Fault::internal)?;
        let (value, run) = done.map_err(|error| {
            error.into_fault(|input| match input {
                Input::Query => "query".to_owned(),
                Input::Text(at) => format!("inputs[{at}]"),
                Input::Label(at) => format!("labels[{at}]"),
            })
        })?;
        Ok(Made {
            value,
            made,
            queue,
            load,
            run,
        })
    }
}

/// A model; none where there is none of that name.
fn there<T>(acquired: Result<Chosen<T>, Fault>) -> Result<Option<Chosen<T>>, Fault> {
    match acquired {
        Ok(chosen) => Ok(Some(chosen)),
        Err(fault) if fault.kind == Kind::NotFound || fault.reason == "NO_MODEL" => Ok(None),
        Err(fault) => Err(fault),
    }
}
