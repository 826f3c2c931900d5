//! The life of one answer: from the cache, or from an upstream token by token, told as events.
//!
//! An answer is complete when the upstream said of each part why it ended, or said `[DONE]`. Anything else is a failure, with
//! what was passed on before it.

mod replay;
mod stream;

use std::sync::Arc;

use http::{HeaderValue, Response};
use hyper::body::Incoming;
use polyphony_chassis::duplex::caught;
use polyphony_error::Fault;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::answer::{Answer, Choice};
use crate::cache::{Cached, Key};
use crate::chunk::{Chunk, Event};
use crate::dialect;
use crate::domain::{Ask, Delta, Finish, Preference, Times, Usage};
use crate::error::Error;
use crate::exchange::{self, Call, Taken, Want, Way};
use crate::failure::{Failure, Said, What};
use crate::http::REQUEST_ID;
use crate::keys::{Spending, Who};
use crate::metrics::{self, Door};
use crate::proxy::Proxy;
use crate::upstream::{ModelKind, Outgoing, Pass, Queued, Upstream};
use replay::replay;
pub(crate) use stream::Chunks;

/// What the caller of an answer is told.
#[derive(Debug, Clone)]
pub(crate) enum Told {
    Queued(Queued),
    Started(Started),
    Delta(Delta),
    Completed(Completed),
}

/// An upstream has taken it.
#[derive(Debug, Clone)]
pub(crate) struct Started {
    pub(crate) id: String,
    pub(crate) model: String,
    pub(crate) way: Option<Way>,
    pub(crate) cached: bool,
    pub(crate) times: Times,
}

/// The answer is complete.
#[derive(Debug, Clone)]
pub(crate) struct Completed {
    pub(crate) choices: Vec<Choice>,
    pub(crate) usage: Usage,
    pub(crate) model: String,
    pub(crate) way: Option<Way>,
    pub(crate) times: Times,
    pub(crate) seed: Option<u64>,
}

/// One request for an answer.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) ask: Arc<Ask>,
    /// What the names of its fields begin with, as "chat.".
    pub(crate) path: &'static str,
    pub(crate) preference: Preference,
    /// Whether the cache may be used; none: as configured, at temperature 0.
    pub(crate) cache: Option<bool>,
    pub(crate) who: Who,
    /// Names the answer where the upstream does not.
    pub(crate) id: String,
    pub(crate) deadline: Instant,
    /// Ends the answer; what came is then complete, as cancelled.
    pub(crate) cancel: CancellationToken,
}

/// Where events go. Nobody reads any more: the answer is dropped with its connection.
pub(crate) type Out = mpsc::Sender<Result<Told, Fault>>;

/// The conversation as it is sent, and who hears of the queue.
struct Conversation<'a> {
    proxy: &'a Proxy,
    ask: &'a Ask,
    path: &'static str,
    id: &'a str,
    out: &'a Out,
}

/// Nobody reads any more.
struct Gone;

/// Gives the answer. What goes wrong is the last event.
pub(crate) async fn run(proxy: &Proxy, job: &Job, out: &Out) {
    let began = Instant::now();
    let ended = tokio::select! {
        ended = caught(answer(proxy, job, out, began)) => ended,
        () = out.closed() => return,
    };
    if let Err(fault) = ended {
        if fault.kind.is_ours() {
            tracing::error!(error = %polyphony_error::chain(&fault), "an answer failed");
        }
        // If nobody reads any more, nobody needs to know.
        drop(out.send(Err(fault)).await);
    }
}

async fn answer(proxy: &Proxy, job: &Job, out: &Out, began: Instant) -> Result<(), Fault> {
    let _permit = proxy.answer()?;
    proxy.keys.admit(&job.who)?;
    let prefix = job.ask.prefix();
    let want = Want {
        model: &job.ask.model,
        kind: ModelKind::Chat,
        preference: &job.preference,
        prompt: Some(prefix.as_bytes()),
        deadline: job.deadline,
    };
    let exchange = proxy.exchange();
    let key = may_cache(proxy, job)
        .then(|| exchange.meant(&want))
        .transpose()
        .map_err(Fault::from)?
        .map(|meant| Key::of_ask(&job.who, &meant.model, &job.ask));
    if let Some(key) = &key
        && let Some(Cached::Answer(completed)) = proxy.cache.get(key)
    {
        return match replay(&completed, job, began, out).await {
            Ok(()) | Err(Gone) => Ok(()),
        };
    }
    let conversation = Conversation {
        proxy,
        ask: &job.ask,
        path: job.path,
        id: &job.id,
        out,
    };
    let sending = exchange.send(&want, &conversation);
    let taken = tokio::select! {
        taken = Box::pin(sending) => taken.map_err(Fault::from)?,
        () = job.cancel.cancelled() => {
            drop(tell(out, Told::Completed(Completed::cancelled(job, began))).await);
            return Ok(());
        }
    };
    let mut telling = Telling::new(taken, proxy.keys.spending(&job.who), began);
    let completed = match telling.all(proxy, job, out).await {
        Ok(Some(completed)) => completed,
        Ok(None) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    drop(telling);
    let is_whole = completed
        .choices
        .iter()
        .all(|choice| choice.finish != Finish::Cancelled);
    if let (Some(key), true) = (key, is_whole) {
        proxy.cache.put(key, Cached::Answer(Arc::new(completed.clone())));
    }
    drop(tell(out, Told::Completed(completed)).await);
    Ok(())
}

/// An answer that is being told.
struct Telling<'a> {
    chunks: Chunks,
    first: Chunk,
    way: Way,
    place: crate::upstream::Place,
    answer: Answer,
    spending: Spending<'a>,
    began: Instant,
}

// === impl Telling ===

impl<'a> Telling<'a> {
    fn new(taken: Taken<(Chunks, Chunk)>, spending: Spending<'a>, began: Instant) -> Self {
        let Taken {
            opened: (chunks, first),
            way,
            place,
        } = taken;
        Self {
            chunks,
            first,
            way,
            place,
            answer: Answer::default(),
            spending,
            began,
        }
    }

    /// Tells the answer to its end. None: nobody reads any more.
    async fn all(&mut self, proxy: &Proxy, job: &Job, out: &Out) -> Result<Option<Completed>, Error> {
        let id = std::mem::take(&mut self.first.id);
        let started = Started {
            id: if id.is_empty() { job.id.clone() } else { id },
            model: self.way.model.clone(),
            way: Some(self.way.clone()),
            cached: false,
            times: self.times(Instant::now()),
        };
        if tell(out, Told::Started(started)).await.is_err() {
            return Ok(None);
        }
        let first = std::mem::take(&mut self.first);
        if self.add(first, out).await.is_err() {
            return Ok(None);
        }
        let idle = proxy.config.idle_timeout.get();
        let otherwise = loop {
            let next = tokio::select! {
                next = timeout_at(job.deadline, self.chunks.next(Some(idle))) => next,
                () = job.cancel.cancelled() => break Finish::Cancelled,
            };
            let event = match next {
                Err(_) => {
                    return Err(Error::Late {
                        during: "the answer was not complete; it is cut short there",
                    });
                }
                Ok(Err(what)) => return Err(self.failed(what)),
                Ok(Ok(event)) => event,
            };
            match event {
                Some(Event::Chunk(chunk)) => {
                    if self.add(chunk, out).await.is_err() {
                        return Ok(None);
                    }
                }
                Some(Event::Error(error)) => return Err(self.failed(What::Said(Said::of_event(&error)))),
                Some(Event::Done) => break Finish::Unsaid,
                None if self.answer.is_finished(job.ask.candidates()) => break Finish::Unsaid,
                None => {
                    let why = "the stream ended without saying why".to_owned();
                    return Err(self.failed(What::Broke(why)));
                }
            }
        };
        let times = self.times(Instant::now());
        if otherwise != Finish::Cancelled {
            metrics::answered(&self.way, Door::Grpc, &times, &self.spending.told());
        }
        Ok(Some(Completed {
            choices: std::mem::take(&mut self.answer).choices(otherwise),
            usage: self.spending.told(),
            model: self.way.model.clone(),
            way: Some(self.way.clone()),
            times,
            seed: job.ask.sampling.seed,
        }))
    }

    async fn add(&mut self, chunk: Chunk, out: &Out) -> Result<(), Gone> {
        let Chunk {
            id: _,
            deltas,
            finished,
            usage,
        } = chunk;
        for delta in deltas {
            self.spending.came(1);
            self.answer.add(&delta);
            tell(out, Told::Delta(delta)).await?;
        }
        for (index, finish) in finished {
            self.answer.finish(index, finish);
        }
        self.spending.tell(usage.unwrap_or_default());
        Ok(())
    }

    fn failed(&self, what: What) -> Error {
        let failure = Failure::new(&self.way.upstream.name, what).after_tokens();
        exchange::judge(&self.way.upstream, &failure, Pass::Usual);
        metrics::upstream_failed(&failure);
        tracing::debug!(upstream = &*failure.upstream, why = failure.word(), held = ?self.place.waited, "an answer was cut short");
        failure.into()
    }

    fn times(&self, now: Instant) -> Times {
        Times {
            queue: self.way.queue,
            first_token: Some(self.way.begun - self.began),
            prefill: Some(self.way.begun - self.way.sent),
            decode: Some(now - self.way.begun),
            total: now - self.began,
        }
    }
}

impl Completed {
    /// What was cancelled before it began.
    fn cancelled(job: &Job, began: Instant) -> Self {
        let mut answer = Answer::default();
        answer.finish(0, Finish::Cancelled);
        Self {
            choices: answer.choices(Finish::Cancelled),
            usage: Usage::default(),
            model: job.ask.model.clone(),
            way: None,
            times: Times {
                total: began.elapsed(),
                ..Times::default()
            },
            seed: None,
        }
    }
}

/// Whether the answer may come from the cache: it would be the same again, or the caller says so. Log-probabilities are not
/// kept.
fn may_cache(proxy: &Proxy, job: &Job) -> bool {
    let is_repeatable = job.ask.sampling.temperature == Some(0.0);
    proxy.config.cache.enabled && job.cache.unwrap_or(is_repeatable) && !job.ask.sampling.logprobs
}

impl Call for Conversation<'_> {
    /// The answer, and its first piece.
    type Opened = (Chunks, Chunk);

    fn request(&self, upstream: &Upstream, there: &str) -> Result<Outgoing, Fault> {
        let body = dialect::chat::body(upstream, there, self.ask, self.path)?;
        let mut outgoing = Outgoing::post(dialect::chat::PATH, body);
        if let Ok(id) = HeaderValue::from_str(self.id) {
            outgoing.headers.insert(REQUEST_ID, id);
        }
        Ok(outgoing)
    }

    /// Begun is what has a token, or has ended without one.
    async fn open(
        &self,
        upstream: &Arc<Upstream>,
        response: Response<Incoming>,
    ) -> Result<Self::Opened, What> {
        let most = self.proxy.config.max_answer.bytes();
        let mut chunks = Chunks::new(upstream, response, most);
        let mut first = Chunk::default();
        loop {
            match chunks.next(None).await? {
                Some(Event::Chunk(chunk)) => {
                    if first.id.is_empty() {
                        first.id.clone_from(&chunk.id);
                    }
                    let has_begun = !chunk.deltas.is_empty() || !chunk.finished.is_empty();
                    if has_begun {
                        let id = std::mem::take(&mut first.id);
                        return Ok((chunks, Chunk { id, ..chunk }));
                    }
                }
                Some(Event::Error(error)) => return Err(What::Said(Said::of_event(&error))),
                Some(Event::Done) | None => {
                    return Err(What::Broke("the stream ended before its first token".to_owned()));
                }
            }
        }
    }

    fn queued(&self, queued: Queued) {
        // Who reads too slowly to hear of the queue hears of the answer.
        drop(self.out.try_send(Ok(Told::Queued(queued))));
    }
}

async fn tell(out: &Out, told: Told) -> Result<(), Gone> {
    out.send(Ok(told)).await.map_err(|_| Gone)
}
