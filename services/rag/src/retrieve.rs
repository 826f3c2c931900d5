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
use crate::fuse::{Fused, Read, Rule, Scored, fuse};
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

/// A query's vector, and how much of the query the embedding model could read.
#[derive(Debug)]
struct Embedded {
    vector: Vec<f32>,
    read: f32,
}

/// What both indexes have for a query, joined, as far as the page needs it.
#[derive(Debug)]
struct Listed {
    candidates: Vec<Candidate>,
    rule: Rule,
    wanted: Wanted,
    /// The space's epoch after the indexes were asked.
    epoch: u64,
    timings: Timings,
}

/// A search is done again so often when documents changed while it looked for passages.
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
        let page = Page::of(query, &plan)?;
        let mut timings = Timings::default();
        let embedded = self.embed(scope, query, &plan, &mut timings).await?;
        let mut before = scope.epoch();
        let mut tries = 1;
        let listed = loop {
            let listed = self.list(scope, query, &plan, &page, embedded.as_ref()).await?;
            // Nothing changed since it was known, so both indexes were asked in one epoch.
            if listed.epoch == before || tries == TRIES {
                break listed;
            }
            before = listed.epoch;
            tries += 1;
        };
        let Listed {
            mut candidates,
            rule,
            wanted,
            epoch,
            timings: of_list,
        } = listed;
        page.check(epoch)?;
        timings.0.extend(of_list.0);
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
        let (shown, next_page) = page.cut(candidates, epoch);
        let hits = shown.into_iter().map(|candidate| hit(candidate, &wanted));
        let found = Found {
            hits: hits.collect(),
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
        metrics::searched(&found);
        Ok(found)
    }

    /// The query's vector; none where vectors are not searched.
    async fn embed(
        &self,
        scope: &Scope,
        query: &Query,
        plan: &Plan,
        timings: &mut Timings,
    ) -> Result<Option<Embedded>, Error> {
        if !plan.asks_vectors() {
            return Ok(None);
        }
        let begun = Instant::now();
        let model = self.models().embedder(scope.embedding_model()).await?;
        let text = query.text.clone();
        let embedded = blocking(move || embed(&*model, &text)).await?;
        timings.add("embed", begun);
        Ok(Some(embedded))
    }

    /// What the indexes have, joined, and of it what may be seen.
    async fn list(
        &self,
        scope: &Scope,
        query: &Query,
        plan: &Plan,
        page: &Page,
        embedded: Option<&Embedded>,
    ) -> Result<Listed, Error> {
        self.ensure(scope).await?;
        let mut timings = Timings::default();
        let (dense, lexical) = self.look(scope, query, plan, embedded, &mut timings).await?;
        let begun = Instant::now();
        let read = Read {
            dense: embedded.map_or(0.0, |embedded| embedded.read),
            lexical: lexical.read,
        };
        let rule = plan.rule.settled(&dense, &lexical.scored, read);
        let fused = fuse(&dense, &lexical.scored, rule);
        timings.add("fuse", begun);
        let begun = Instant::now();
        let (candidates, epoch) = self.load(scope, plan, page, fused).await?;
        timings.add("load", begun);
        Ok(Listed {
            candidates,
            rule,
            wanted: lexical.wanted,
            epoch,
            timings,
        })
    }

    /// Asks both indexes at once.
    async fn look(
        &self,
        scope: &Scope,
        query: &Query,
        plan: &Plan,
        embedded: Option<&Embedded>,
        timings: &mut Timings,
    ) -> Result<(Vec<Scored>, lexical::Found), Error> {
        let by_meaning = async {
            let Some(embedded) = embedded else {
                return Ok((Vec::new(), None));
            };
            let begun = Instant::now();
            let nearest = Nearest {
                vector: &embedded.vector,
                filter: &query.filter,
                limit: plan.candidates,
                exact: plan.effective.exact,
            };
            let found = self.dense().search(scope, nearest).await?;
            Ok((found, Some(begun.elapsed())))
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
            Ok::<_, Error>((found?, (limit > 0).then(|| begun.elapsed())))
        };
        let ((dense, of_dense), (lexical, of_lexical)) = tokio::try_join!(by_meaning, by_words)?;
        for (stage, duration) in [("dense", of_dense), ("lexical", of_lexical)] {
            timings
                .0
                .extend(duration.map(|duration| StageTiming { stage, duration }));
        }
        Ok((dense, lexical))
    }

    /// Takes from the list what the ledger lets be seen, as much of it as the page needs; and the epoch that says so.
    async fn load(
        &self,
        scope: &Scope,
        plan: &Plan,
        page: &Page,
        fused: Vec<Fused>,
    ) -> Result<(Vec<Candidate>, u64), Error> {
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
        let mut rest = fused.into_iter();
        loop {
            let take = (needed - candidates.len()).min(1_000);
            let some: Vec<Fused> = rest.by_ref().take(take).collect();
            let keys: Vec<i64> = some.iter().map(|fused| fused.key).collect();
            let (mut loaded, epoch) = self.ledger().load(scope.key().number(), &keys).await?;
            candidates.extend(some.into_iter().filter_map(|fused| {
                let loaded = loaded.remove(&fused.key)?;
                Some(Candidate { fused, loaded })
            }));
            if candidates.len() >= needed || rest.len() == 0 {
                return Ok((candidates, epoch));
            }
        }
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

fn embed(model: &dyn Embed, text: &str) -> Result<Embedded, Error> {
    let mut vectors = model.embed(&[text], Side::Query)?;
    match (vectors.pop(), vectors.is_empty()) {
        (Some(vector), true) if vector.len() == model.dimensions() => {
            let read = model.reads(text)?;
            Ok(Embedded { vector, read })
        }
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
