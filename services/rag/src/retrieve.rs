//! Finding the passages that fit a query best.
//!
//! Both indexes are asked at once; what they say is fused; the ledger says which of it may be shown. Then a cross-encoder
//! may order the best anew, passages that repeat each other may give way, and a page is cut. Everything that decides the
//! order is a function of the query and the epoch, so that the pages of one search fit together.

mod diversify;
mod page;
mod plan;
mod rank;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use polyphony_error::Fault;

use crate::dense::Nearest;
use crate::domain::{Found, Fusion, Hit, Query, Retrieval, StageTiming};
use crate::engine::{Embed, Side};
use crate::fuse::{Fused, Read, Scored, fuse};
use crate::ledger::Loaded;
use crate::lexical::{self, Wanted, words};
use crate::store::blocking;
use crate::{Error, Scope, Store, metrics};
use page::Page;
use plan::Plan;

/// A passage on its way to a page.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    fused: Fused,
    loaded: Loaded,
}

/// How long each stage took.
#[derive(Debug, Default)]
struct Timings(Vec<StageTiming>);

/// A search is done again so often when documents changed while it looked for passages that are there no more.
const TRIES: usize = 3;

// === impl Store ===

impl Store {
    /// Finds the passages of the space that fit the query best.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for what the query says, ABORTED for a page of an epoch that is gone, NOT_FOUND for a cross-encoder
    /// that there is not, FAILED_PRECONDITION when another replica keeps the space.
    pub async fn search(&self, scope: &Scope, query: &Query) -> Result<Found, Error> {
        self.check_mine(scope)?;
        let plan = Plan::of(self, query).await?;
        let mut tries = 1;
        loop {
            let (found, torn) = self.search_once(scope, query, &plan).await?;
            if !torn || tries == TRIES {
                metrics::searched(&found);
                return Ok(found);
            }
            tries += 1;
        }
    }

    /// One search, and whether documents changed under it in a way that may have cost hits.
    async fn search_once(&self, scope: &Scope, query: &Query, plan: &Plan) -> Result<(Found, bool), Error> {
        self.ensure(scope).await?;
        let mut timings = Timings::default();
        let epoch = self.epoch(scope).await?;
        let page = Page::of(query, plan, epoch)?;
        let (dense, read, lexical) = self.look(scope, query, plan, &mut timings).await?;
        let begun = Instant::now();
        let read = Read {
            dense: read,
            lexical: lexical.read,
        };
        let rule = plan.rule.settled(&dense, &lexical.scored, read);
        let fused = fuse(&dense, &lexical.scored, rule);
        timings.add("fuse", begun);
        let begun = Instant::now();
        let (mut candidates, unseen) = self.load(scope, plan, &page, fused).await?;
        timings.add("load", begun);
        if let Some(ranker) = &plan.ranker {
            let begun = Instant::now();
            candidates = rank::rank(Arc::clone(ranker), query.text.clone(), candidates).await?;
            timings.add("rerank", begun);
        }
        if let Some(threshold) = plan.effective.score_threshold {
            candidates.retain(|candidate| candidate.fused.score >= threshold);
        }
        if let Some(diversity) = plan.effective.diversity.filter(|diversity| *diversity > 0.0) {
            let begun = Instant::now();
            candidates = self.diversify(scope, diversity, candidates).await?;
            timings.add("diversify", begun);
        }
        keep_of_each_document(&mut candidates, plan.effective.max_per_document);
        let (shown, next_page) = page.cut(candidates);
        let torn = unseen > 0 && self.epoch(scope).await? != epoch;
        let hits = shown
            .into_iter()
            .map(|candidate| hit(candidate, &lexical.wanted))
            .collect();
        let found = Found {
            hits,
            next_page,
            epoch,
            effective: Retrieval {
                dense_weight: rule.dense_weight,
                ..plan.effective.clone()
            },
            timings: timings.0,
            embedding_model: plan.asks_vectors().then(|| scope.embedding_model().to_owned()),
            rerank_model: plan.ranker.as_ref().map(|ranker| ranker.model().to_owned()),
        };
        Ok((found, torn))
    }

    /// Asks both indexes at once; tells also how much of the query the embedding model could read.
    async fn look(
        &self,
        scope: &Scope,
        query: &Query,
        plan: &Plan,
        timings: &mut Timings,
    ) -> Result<(Vec<Scored>, f32, lexical::Found), Error> {
        let by_meaning = async {
            let mut timings = Timings::default();
            if !plan.asks_vectors() {
                return Ok((Vec::new(), 0.0, timings));
            }
            let begun = Instant::now();
            let model = self.models().embedder(scope.embedding_model()).await?;
            let text = query.text.clone();
            let (vector, read) = blocking(move || embed(&*model, &text)).await?;
            timings.add("embed", begun);
            let begun = Instant::now();
            let nearest = Nearest {
                vector: &vector,
                filter: &query.filter,
                limit: plan.candidates,
                exact: plan.effective.exact,
            };
            let found = self.dense().search(scope, nearest).await?;
            timings.add("dense", begun);
            Ok::<_, Error>((found, read, timings))
        };
        let by_words = async {
            let begun = Instant::now();
            let (index, of) = (self.lexical().clone(), scope.clone());
            let (text, filter) = (query.text.clone(), query.filter.clone());
            // Without the search, the words are still marked.
            let limit = if plan.effective.fusion == Fusion::DenseOnly {
                0
            } else {
                plan.candidates
            };
            let found = blocking(move || index.search(&of, &text, &filter, limit)).await;
            if found.is_err() {
                // The next search compares the index with the ledger first.
                self.room(scope).set_sound(false);
            }
            let mut timings = Timings::default();
            if limit > 0 {
                timings.add("lexical", begun);
            }
            Ok::<_, Error>((found?, timings))
        };
        let ((dense, read, of_dense), (lexical, of_lexical)) = tokio::try_join!(by_meaning, by_words)?;
        timings.0.extend(of_dense.0);
        timings.0.extend(of_lexical.0);
        Ok((dense, read, lexical))
    }

    /// Takes from the list what the ledger lets be seen, as much of it as the page needs; and how many it does not.
    async fn load(
        &self,
        scope: &Scope,
        plan: &Plan,
        page: &Page,
        fused: Vec<Fused>,
    ) -> Result<(Vec<Candidate>, usize), Error> {
        let wants_all = plan.ranker.is_some()
            || plan.effective.diversity.is_some_and(|diversity| diversity > 0.0)
            || plan.effective.max_per_document.is_some();
        // Another one tells whether there is a next page.
        let needed = if wants_all {
            usize::MAX
        } else {
            page.end().saturating_add(1)
        };
        let mut candidates = Vec::new();
        let mut unseen = 0;
        let mut rest = fused.into_iter().peekable();
        while candidates.len() < needed && rest.peek().is_some() {
            let take = (needed - candidates.len()).clamp(16, 1_000);
            let some: Vec<Fused> = rest.by_ref().take(take).collect();
            let keys: Vec<i64> = some.iter().map(|fused| fused.key).collect();
            let mut loaded: HashMap<i64, Loaded> = self.ledger().load(scope.key().number(), &keys).await?;
            for fused in some {
                match loaded.remove(&fused.key) {
                    Some(loaded) => candidates.push(Candidate { fused, loaded }),
                    None => unseen += 1,
                }
            }
        }
        Ok((candidates, unseen))
    }

    async fn diversify(
        &self,
        scope: &Scope,
        diversity: f32,
        mut candidates: Vec<Candidate>,
    ) -> Result<Vec<Candidate>, Error> {
        candidates.truncate(diversify::MOST);
        let keys: Vec<i64> = candidates.iter().map(|candidate| candidate.fused.key).collect();
        let vectors = self.ledger().vectors(scope.key().number(), &keys).await?;
        blocking(move || Ok(diversify::diversify(candidates, &vectors, diversity))).await
    }
}

/// The vector of a query, and how much of it the model could read.
fn embed(model: &dyn Embed, text: &str) -> Result<(Vec<f32>, f32), Error> {
    let mut vectors = model.embed(&[text], Side::Query)?;
    match (vectors.pop(), vectors.is_empty()) {
        (Some(vector), true) if vector.len() == model.dimensions() => Ok((vector, model.reads(text)?)),
        _ => Err(Fault::internal("an embedding model gave no vector for a query").into()),
    }
}

/// Of each document no more than so many, the best.
fn keep_of_each_document(candidates: &mut Vec<Candidate>, most: Option<u32>) {
    let Some(most) = most else { return };
    let mut seen: HashMap<String, u32> = HashMap::new();
    candidates.retain(|candidate| {
        let seen = seen.entry(candidate.loaded.document.clone()).or_insert(0);
        *seen += 1;
        *seen <= most
    });
}

fn hit(candidate: Candidate, wanted: &Wanted) -> Hit {
    let Candidate { fused, loaded } = candidate;
    let Loaded {
        key: _,
        id,
        document,
        title,
        doc_type,
        language,
        passage,
    } = loaded;
    let stems = wanted.stems.keys().cloned().collect();
    let highlights = words::highlights(&passage.text, language.as_deref().unwrap_or_default(), &stems);
    Hit {
        id,
        document,
        title,
        doc_type,
        text: passage.text,
        headings: passage.headings,
        range: passage.range,
        place: passage.place,
        score: fused.score,
        components: fused.components,
        highlights,
    }
}

impl Timings {
    fn add(&mut self, stage: &'static str, begun: Instant) {
        self.0.push(StageTiming {
            stage,
            duration: begun.elapsed(),
        });
    }
}
