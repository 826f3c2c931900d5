//! The store of documents without a server around it, for the scripts that score and measure: a document is one passage,
//! and each search is joined as it is asked.
//!
//! Reads one JSON object a line from standard input, and answers each with one line:
//!
//! - `{"open": {"folder": PATH, "sessions": N, "made": false}}`, the first: with `made`, vectors are made of the words'
//!   letters instead of by the default embedding model, so that a hundred thousand documents can be taken in at once;
//! - `{"ingest": {"space": ID, "language": "en", "corpus": PATH}}`: all documents of a file of `_id`, `title` and `text`, and
//!   waits until searches find them;
//! - `{"search": {"space": ID, "queries": […], "fusion": "default", "limit": 100, "at_once": 2}}`: for each query the ids that
//!   it finds, their scores (a cosine for "dense", BM25 for "lexical"), the share of the vector search, and the seconds that
//!   it took. Joined by "default", "rrf", "dbsf", "dense" or "lexical".

use std::io::{self, BufRead, Write};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use futures_util::future::BoxFuture;
use polyphony_chassis::Caller;
use polyphony_error::Fault;
use polyphony_models::{ModelsConfig, ResidencyPolicy, Residents};
use polyphony_rag::domain::{Fusion, Head, NewSpace, Passage, Query, Retrieval};
use polyphony_rag::engine::{Embed, Models, Prepare, Prepared, Rank, Side, Source, StepFn};
use polyphony_rag::ingest::{ConflictPolicy, Submission};
use polyphony_rag::{Config, Encoders, Scope, Store};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Asked {
    Open(Open),
    Ingest(Ingest),
    Search(Search),
}

#[derive(Deserialize)]
struct Open {
    folder: PathBuf,
    sessions: NonZeroUsize,
    made: bool,
}

#[derive(Deserialize)]
struct Ingest {
    space: String,
    language: Option<String>,
    corpus: PathBuf,
}

#[derive(Deserialize)]
struct Search {
    space: String,
    queries: Vec<String>,
    fusion: String,
    limit: usize,
    at_once: NonZeroUsize,
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "_id")]
    id: String,
    title: String,
    text: String,
}

/// What a query finds.
#[derive(Default, Serialize)]
struct Answer {
    ids: Vec<String>,
    scores: Vec<f32>,
    dense_weight: Option<f32>,
    seconds: f64,
}

/// Documents handed over in one call.
const TOGETHER: usize = 500;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let mut store = None;
    for line in io::stdin().lock().lines() {
        let answer = match (serde_json::from_str(&line?)?, &store) {
            (Asked::Open(open), _) => {
                store = Some(open.run().await?);
                json!({})
            }
            (Asked::Ingest(ingest), Some(store)) => ingest.run(store).await?,
            (Asked::Search(search), Some(store)) => Arc::new(search).run(store).await?,
            (_, None) => return Err("expected {\"open\": …} first".into()),
        };
        let mut out = io::stdout().lock();
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    if let Some(store) = store {
        store.close().await;
    }
    Ok(())
}

fn caller() -> Caller {
    Caller::of(&tonic::Request::new(()))
}

// === impl Open ===

impl Open {
    async fn run(self) -> Result<Store, BoxError> {
        let mut config = Config {
            data_dir: self.folder,
            ..Config::default()
        };
        config.inference.sessions = Some(self.sessions);
        config.inference.threads_per_session = Some(NonZeroUsize::MIN);
        let models: Arc<dyn Models> = if self.made {
            Arc::new(Made)
        } else {
            let shelves =
                polyphony_models::Store::open(&ModelsConfig::default(), |name| std::env::var_os(name))?;
            let policy = ResidencyPolicy {
                idle_unload: None,
                memory_budget: None,
                retry_after: std::time::Duration::from_secs(1),
            };
            let encoders = Encoders::of_store(&shelves, &Residents::new(policy), &config)?;
            encoders.ready(true).await?;
            Arc::new(encoders)
        };
        Ok(Store::open(config, models, Arc::new(Whole)).await?)
    }
}

// === impl Ingest ===

impl Ingest {
    async fn run(self, store: &Store) -> Result<Value, BoxError> {
        let scope = match store.scope(&caller(), &self.space).await {
            Ok(scope) => scope,
            Err(_) => {
                let new = NewSpace {
                    id: Some(self.space.clone()),
                    language: self.language,
                    ..NewSpace::default()
                };
                store.create_space(&caller(), new, "").await?;
                store.scope(&caller(), &self.space).await?
            }
        };
        let corpus = std::fs::read_to_string(&self.corpus)?;
        let lines: Vec<Line> = corpus
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()?;
        // A document needs bytes; one collection has a document without any.
        let lines: Vec<&Line> = lines
            .iter()
            .filter(|line| !line.title.is_empty() || !line.text.is_empty())
            .collect();
        let began = Instant::now();
        let mut waiting = Vec::new();
        for some in lines.chunks(TOGETHER) {
            let submissions = some.iter().map(|line| submission(store, line));
            let submissions = submissions.collect::<Result<Vec<_>, BoxError>>()?;
            waiting.push(
                store
                    .ingest(&scope, submissions, ConflictPolicy::Replace, "")
                    .await?,
            );
        }
        for ingestion in &mut waiting {
            let outcome = ingestion.finish().await?;
            if let Some(failure) = outcome.results.into_iter().find_map(|result| result.failure) {
                return Err(failure.message.into());
            }
        }
        Ok(json!({"documents": lines.len(), "seconds": began.elapsed().as_secs_f64()}))
    }
}

fn submission(store: &Store, line: &Line) -> Result<Submission, BoxError> {
    let mut upload = store.upload()?;
    upload.write(
        if line.text.is_empty() {
            &line.title
        } else {
            &line.text
        }
        .as_bytes(),
    )?;
    let head = Head {
        id: Some(line.id.clone()),
        title: Some(line.title.clone()),
        media_type: "text/plain".to_owned(),
        ..Head::default()
    };
    let kept = upload.finish()?;
    Ok(Submission { head, kept })
}

// === impl Search ===

impl Search {
    async fn run(self: Arc<Self>, store: &Store) -> Result<Value, BoxError> {
        let scope = Arc::new(store.scope(&caller(), &self.space).await?);
        let next = Arc::new(AtomicUsize::new(0));
        let began = Instant::now();
        let workers = (0..self.at_once.get()).map(|_| {
            let (search, store, scope, next) = (
                Arc::clone(&self),
                store.clone(),
                Arc::clone(&scope),
                Arc::clone(&next),
            );
            tokio::spawn(async move {
                let mut done = Vec::new();
                while let ControlFlow::Continue(at) = search.take(&next) {
                    done.push((at, search.one(at, &store, &scope).await?));
                }
                Ok::<_, BoxError>(done)
            })
        });
        let mut done = Vec::new();
        for worker in workers.collect::<Vec<_>>() {
            done.extend(worker.await??);
        }
        let seconds = began.elapsed().as_secs_f64();
        done.sort_unstable_by_key(|(at, _)| *at);
        let answers: Vec<Answer> = done.into_iter().map(|(_, answer)| answer).collect();
        Ok(json!({"answers": answers, "seconds": seconds}))
    }

    fn take(&self, next: &AtomicUsize) -> ControlFlow<(), usize> {
        let at = next.fetch_add(1, Ordering::Relaxed);
        if at < self.queries.len() {
            ControlFlow::Continue(at)
        } else {
            ControlFlow::Break(())
        }
    }

    async fn one(&self, at: usize, store: &Store, scope: &Scope) -> Result<Answer, BoxError> {
        let fusion = match self.fusion.as_str() {
            "default" => Fusion::RelativeScore,
            "rrf" => Fusion::Rrf,
            "dbsf" => Fusion::Dbsf,
            "dense" => Fusion::DenseOnly,
            "lexical" => Fusion::LexicalOnly,
            other => return Err(format!("no fusion is called {other:?}").into()),
        };
        let query = Query {
            text: self.queries[at].clone(),
            retrieval: Retrieval {
                fusion,
                rerank: Some(false),
                ..Retrieval::default()
            },
            page_size: self.limit,
            ..Query::default()
        };
        let began = Instant::now();
        let found = store.search(scope, &query).await?;
        let mut answer = Answer {
            dense_weight: found.effective.dense_weight,
            seconds: began.elapsed().as_secs_f64(),
            ..Answer::default()
        };
        let alone = matches!(fusion, Fusion::DenseOnly | Fusion::LexicalOnly);
        for hit in found.hits {
            let raw = hit
                .components
                .iter()
                .find(|component| component.weight > 0.0)
                .filter(|_| alone);
            answer
                .scores
                .push(raw.map_or(hit.score, |component| component.raw));
            answer.ids.push(hit.document);
        }
        Ok(answer)
    }
}

/// Makes one passage of each document, so that what is scored are documents.
#[derive(Debug)]
struct Whole;

impl Prepare for Whole {
    fn prepare<'a>(&'a self, source: Source<'a>, _: &'a StepFn) -> BoxFuture<'a, Result<Prepared, Fault>> {
        Box::pin(async move {
            let text = tokio::fs::read_to_string(source.path)
                .await
                .map_err(Fault::internal)?;
            let title = source.head.title.clone().unwrap_or_default();
            let passage = Passage {
                ordinal: 0,
                range: 0..text.len(),
                // A document that is nothing but a title has it as its text.
                headings: Arc::default(),
                place: None,
                tokens: 0,
                text: text.clone(),
            };
            let only_title = title == text;
            Ok(Prepared {
                media_type: "text/plain".to_owned(),
                title: if only_title { String::new() } else { title },
                language: source.language.map(str::to_owned),
                doc_type: None,
                passages: vec![passage],
            })
        })
    }
}

/// Vectors of the words' letters: texts that share words are near each other, and no model is run.
#[derive(Debug)]
struct Made;

const MADE_DIMENSIONS: usize = 384;

impl Embed for Made {
    fn model(&self) -> &str {
        "made"
    }

    fn dimensions(&self) -> usize {
        MADE_DIMENSIONS
    }

    fn embed(&self, texts: &[&str], _: Side) -> Result<Vec<Vec<f32>>, Fault> {
        Ok(texts.iter().map(|text| made(text)).collect())
    }
}

impl Models for Made {
    fn default_embedder(&self) -> String {
        "made".to_owned()
    }

    fn embedder<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Arc<dyn Embed>, Fault>> {
        Box::pin(async { Ok(Arc::new(Self) as Arc<dyn Embed>) })
    }

    fn ranker<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<Arc<dyn Rank>>, Fault>> {
        Box::pin(async { Ok(None) })
    }
}

fn made(text: &str) -> Vec<f32> {
    let mut vector = vec![0.0_f32; MADE_DIMENSIONS];
    for word in text.split_whitespace() {
        let mut state = word.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        for number in &mut vector {
            // xorshift64 (Marsaglia 2003)
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *number += (state >> 40) as f32 / (1_u32 << 23) as f32 - 1.0;
        }
    }
    let length = vector
        .iter()
        .map(|number| number * number)
        .sum::<f32>()
        .sqrt()
        .max(f32::MIN_POSITIVE);
    vector.iter_mut().for_each(|number| *number /= length);
    vector
}
