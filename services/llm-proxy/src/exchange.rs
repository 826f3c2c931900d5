//! One request to one of the upstreams that have its model: choose, wait for a place, send, and again elsewhere as long as
//! nothing of an answer was passed on.
//!
//! Whoever calls says how the request is written for an upstream ([`Call::request`]) and how much of the answer must be seen
//! before it counts as begun ([`Call::open`]): from then on nothing is tried again.

use std::sync::Arc;
use std::time::Duration;

use http::Response;
use hyper::body::Incoming;
use polyphony_error::Fault;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::Instrument as _;

use crate::config::{Policy, RetryConfig};
use crate::domain::Preference;
use crate::error::Error;
use crate::failure::{Failure, Said, What};
use crate::fleet::{Choice, Fleet, Meant, Prefix};
use crate::metrics;
use crate::retry::Budget;
use crate::upstream::{Full, ModelKind, Outgoing, Pass, Place, Queued, Upstream};

/// What is asked for, as far as its way goes.
#[derive(Debug)]
pub(crate) struct Want<'a> {
    pub(crate) model: &'a str,
    pub(crate) kind: ModelKind,
    pub(crate) preference: &'a Preference,
    /// The beginning of the conversation.
    pub(crate) prompt: Option<&'a [u8]>,
    pub(crate) deadline: Instant,
}

/// How a request is written and its answer begun.
pub(crate) trait Call: Sync {
    /// The beginning of an answer.
    type Opened: Send;

    /// The request, for this upstream and what it calls the model.
    ///
    /// # Errors
    /// What the upstream cannot honour.
    fn request(&self, upstream: &Upstream, there: &str) -> Result<Outgoing, Fault>;

    /// Reads as much of an answer of status 200 as must be there before it counts as begun.
    ///
    /// # Errors
    /// What is wrong with it.
    fn open(
        &self,
        upstream: &Arc<Upstream>,
        response: Response<Incoming>,
    ) -> impl Future<Output = Result<Self::Opened, What>> + Send;

    /// The request waits for a place.
    fn queued(&self, _: Queued) {}
}

/// What is needed to send requests.
#[derive(Debug)]
pub(crate) struct Exchange<'a> {
    pub(crate) fleet: &'a Fleet,
    pub(crate) budget: &'a Budget,
    pub(crate) retry: &'a RetryConfig,
}

/// An answer that has begun, and how it came to that.
#[derive(Debug)]
pub(crate) struct Taken<T> {
    pub(crate) opened: T,
    pub(crate) way: Way,
    /// Held until the answer ends.
    pub(crate) place: Place,
}

/// Where a request went, and why.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    pub(crate) upstream: Arc<Upstream>,
    /// The model after aliases.
    pub(crate) model: String,
    /// What was asked for, where another model stands in for it.
    pub(crate) stands_in_for: Option<String>,
    /// What the upstream calls it.
    pub(crate) there: String,
    pub(crate) policy: Policy,
    pub(crate) reason: String,
    pub(crate) attempts: u32,
    /// Waiting for a place, over all attempts.
    pub(crate) queue: Duration,
    /// When the request was sent to the upstream that answers.
    pub(crate) sent: Instant,
    /// When the answer had begun.
    pub(crate) begun: Instant,
}

/// One attempt that went well.
struct Begun<T> {
    opened: T,
    choice: Choice,
    place: Place,
    sent: Instant,
}

/// Why one did not.
enum Trouble {
    Fatal(Error),
    Failed(Failure, Duration),
}

/// An upstream that refuses a request has so long to say why.
const WHY_PATIENCE: Duration = Duration::from_secs(2);
/// What is read of that.
const WHY_BYTES: usize = 64 << 10;

// === impl Exchange ===

impl Exchange<'_> {
    /// Which model is meant, and who has it.
    pub(crate) fn meant(&self, want: &Want<'_>) -> Result<Meant, Error> {
        self.fleet.meant(want.model, want.kind)
    }

    /// Sends the request until an answer has begun.
    ///
    /// # Errors
    /// The last failure, when no other try is allowed or sensible.
    pub(crate) async fn send<C: Call>(&self, want: &Want<'_>, call: &C) -> Result<Taken<C::Opened>, Error> {
        self.budget.deposit(self.retry.budget);
        let (mut tried, mut attempts, mut queue) = (Vec::new(), 0, Duration::ZERO);
        loop {
            // Anew each time, for meanwhile another model may have to stand in.
            let meant = self.meant(want)?;
            let prefix = want.prompt.map(|prompt| Prefix::of(&meant.model, prompt));
            let choose =
                |tried: &[Arc<str>]| self.fleet.choose(&meant, want.preference, prefix.as_ref(), tried);
            let choice = choose(&tried)?;
            attempts += 1;
            let name = Arc::clone(&choice.upstream.name);
            let attempt = self
                .hedged(want, call, choice, &tried, choose, &mut attempts)
                .await;
            let failure = match attempt {
                Ok(begun) => {
                    queue += begun.place.waited;
                    if let Some(prefix) = &prefix {
                        self.fleet.note(prefix, &begun.choice.upstream.name);
                    }
                    return Ok(begun.taken(meant, attempts, queue));
                }
                Err(Trouble::Fatal(error)) => return Err(error),
                Err(Trouble::Failed(failure, waited)) => {
                    queue += waited;
                    failure
                }
            };
            metrics::upstream_failed(&failure);
            if attempts >= self.retry.attempts || !failure.is_worth_another_try() {
                return Err(failure.into());
            }
            tried.push(name);
            let pause = self.pause(&meant, &tried, attempts, &failure);
            if Instant::now() + pause >= want.deadline || !self.budget.withdraw() {
                return Err(failure.into());
            }
            tracing::debug!(
                upstream = &*failure.upstream,
                why = failure.word(),
                ?pause,
                "tried again"
            );
            metrics::retried(&failure);
            sleep(pause).await;
        }
    }

    /// How long to wait before the next try: not at all if there is somebody who was not tried.
    fn pause(&self, meant: &Meant, tried: &[Arc<str>], attempts: u32, failure: &Failure) -> Duration {
        let now = std::time::Instant::now();
        let is_fresh = |upstream: &Upstream| {
            !tried.contains(&upstream.name)
                && upstream.takes_requests(now).is_ok()
                && !upstream.is_paused(now)
        };
        if meant.candidates.iter().any(|(upstream, _)| is_fresh(upstream)) {
            return Duration::ZERO;
        }
        let doubled = self
            .retry
            .backoff
            .get()
            .saturating_mul(1 << (attempts - 1).min(16));
        let jittered = doubled.mul_f64(0.5 + fastrand::f64() / 2.0);
        let asked = failure.retry_after().unwrap_or_default();
        jittered.max(asked).min(self.retry.max_backoff.get())
    }

    /// One attempt, and a second one elsewhere beside it if the operator wants that and the first takes long.
    async fn hedged<C: Call>(
        &self,
        want: &Want<'_>,
        call: &C,
        choice: Choice,
        tried: &[Arc<str>],
        choose: impl Fn(&[Arc<str>]) -> Result<Choice, Error>,
        attempts: &mut u32,
    ) -> Result<Begun<C::Opened>, Trouble> {
        let after = self.retry.hedge_after.get();
        if after.is_zero() {
            return attempt(want, call, choice).await;
        }
        let mut not_again = tried.to_vec();
        not_again.push(Arc::clone(&choice.upstream.name));
        let first = attempt(want, call, choice);
        tokio::pin!(first);
        if let Ok(ended) = timeout(after, &mut first).await {
            return ended;
        }
        let other = choose(&not_again).ok();
        let other = other.filter(|other| !not_again.contains(&other.upstream.name));
        let Some(other) = other.filter(|_| self.budget.withdraw()) else {
            return first.await;
        };
        *attempts += 1;
        metrics::hedged();
        let second = attempt(want, call, other);
        tokio::pin!(second);
        // Who loses is dropped, and its connection with it.
        tokio::select! {
            ended = &mut first => if ended.is_ok() { ended } else { second.await },
            ended = &mut second => if ended.is_ok() { ended } else { first.await },
        }
    }
}

/// One attempt with one upstream.
async fn attempt<C: Call>(want: &Want<'_>, call: &C, choice: Choice) -> Result<Begun<C::Opened>, Trouble> {
    let span = tracing::info_span!("upstream", upstream = %choice.upstream.name, gen_ai.request.model = %choice.there);
    attempt_within(want, call, choice).instrument(span).await
}

async fn attempt_within<C: Call>(
    want: &Want<'_>,
    call: &C,
    choice: Choice,
) -> Result<Begun<C::Opened>, Trouble> {
    let upstream = &choice.upstream;
    let fatal = |error: Error| Trouble::Fatal(error);
    let outgoing = call
        .request(upstream, &choice.there)
        .map_err(|fault| fatal(fault.into()))?;
    let entering = upstream.lane.enter(|queued| call.queued(queued));
    let place = match timeout_at(want.deadline, entering).await {
        Err(_) => {
            return Err(fatal(Error::Late {
                during: "the request waited for a place",
            }));
        }
        Ok(Err(Full(depth))) => {
            metrics::queue_full(&upstream.name);
            let upstream = upstream.name.to_string();
            return Err(fatal(Error::QueueFull { upstream, depth }));
        }
        Ok(Ok(place)) => place,
    };
    let waited = place.waited;
    let Some(pass) = upstream.breaker.admit(std::time::Instant::now()) else {
        let why = "it failed too often and rests".to_owned();
        let failure = Failure::new(&upstream.name, What::Connect(why));
        return Err(Trouble::Failed(failure, waited));
    };
    let failed = |what| {
        let failure = Failure::new(&upstream.name, what);
        judge(upstream, &failure, pass);
        Trouble::Failed(failure, waited)
    };
    let trial = Trial(upstream, pass);
    let sent = Instant::now();
    let answering = async {
        let response = upstream.send(outgoing).await?;
        if !response.status().is_success() {
            return Err(What::Said(why(upstream, response).await));
        }
        call.open(upstream, response).await
    };
    let answered = timeout_at(want.deadline, answering).await;
    let opened = match answered {
        Err(_) => {
            return Err(fatal(Error::Late {
                during: "the upstream had sent no token yet",
            }));
        }
        Ok(Err(what)) => return Err(failed(what)),
        Ok(Ok(opened)) => opened,
    };
    upstream.breaker.succeeded();
    drop(trial);
    Ok(Begun {
        opened,
        place,
        sent,
        choice,
    })
}

/// An attempt that ends without a verdict, because its caller went away, leaves the trial to another.
struct Trial<'a>(&'a Upstream, Pass);

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        self.0.breaker.said_nothing(self.1);
    }
}

/// What a failure means for its upstream. After the first token a request is as any other.
pub(crate) fn judge(upstream: &Upstream, failure: &Failure, pass: Pass) {
    if failure.is_of_the_upstream() {
        if upstream.breaker.failed(pass, std::time::Instant::now()) {
            tracing::warn!(
                upstream = &*upstream.name,
                why = failure.word(),
                "upstream failed too often and rests"
            );
        }
    } else {
        upstream.breaker.said_nothing(pass);
    }
    if failure.word() == "busy" {
        upstream.pause(failure.retry_after().unwrap_or(Duration::from_secs(1)));
    }
}

/// Why an upstream refuses a request.
async fn why(upstream: &Upstream, response: Response<Incoming>) -> Said {
    let (head, body) = response.into_parts();
    let body = timeout(WHY_PATIENCE, upstream.whole(body, WHY_BYTES)).await;
    let body = body.ok().and_then(Result::ok).unwrap_or_default();
    Said::of(head.status, &head.headers, body)
}

impl<T> Begun<T> {
    fn taken(self, meant: Meant, attempts: u32, queue: Duration) -> Taken<T> {
        let Choice {
            upstream,
            there,
            policy,
            reason,
        } = self.choice;
        metrics::queued_for(&upstream.name, queue);
        Taken {
            opened: self.opened,
            place: self.place,
            way: Way {
                upstream,
                stands_in_for: meant.stands_in.then_some(meant.asked),
                model: meant.model,
                there,
                policy,
                reason,
                attempts,
                queue,
                sent: self.sent,
                begun: Instant::now(),
            },
        }
    }
}
