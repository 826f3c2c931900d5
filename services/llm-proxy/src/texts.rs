//! One question about texts to one upstream: a whole answer in JSON.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use hyper::body::Incoming;
use polyphony_error::Fault;
use serde_json::Value;
use tokio::time::Instant;

use crate::domain::{Preference, Times, Usage};
use crate::error::Error;
use crate::exchange::{Call, Want, Way};
use crate::failure::{Failure, What};
use crate::keys::Who;
use crate::metrics::{self, Door};
use crate::proxy::Proxy;
use crate::upstream::{ModelKind, Outgoing, Upstream};

/// What is asked, and by whom.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    pub(crate) model: &'a str,
    pub(crate) kind: ModelKind,
    pub(crate) who: &'a Who,
    pub(crate) deadline: Instant,
}

/// A question as it is written, and the most that is read of its answer.
struct Written<F> {
    write: F,
    most: usize,
}

/// Asks, and reads the answer by `read`, which is told who answers.
///
/// # Errors
/// What the upstream lacks or refuses, and its failures.
pub(crate) async fn ask<T: Send>(
    proxy: &Proxy,
    question: Question<'_>,
    write: impl Fn(&Upstream, &str) -> Result<Outgoing, Fault> + Sync,
    read: impl Fn(&Upstream, &Value) -> Result<(T, Usage), &'static str>,
) -> Result<(T, Usage, Way, Times), Fault> {
    let began = Instant::now();
    let _permit = proxy.answer()?;
    proxy.keys.admit(question.who)?;
    let want = Want {
        model: question.model,
        kind: question.kind,
        preference: &Preference::default(),
        prompt: None,
        deadline: question.deadline,
    };
    let written = Written {
        write,
        most: proxy.config.max_answer.as_usize(),
    };
    let sent = proxy.exchange();
    let taken = Box::pin(sent.send(&want, &written)).await.map_err(Fault::from)?;
    let way = taken.way;
    let answer: Result<Value, _> = serde_json::from_slice(&taken.opened);
    let answer = answer.map_err(|_| "it is not JSON");
    let read = answer.and_then(|answer| read(&way.upstream, &answer));
    let (value, usage) = read.map_err(|why| {
        let failure = Failure::new(&way.upstream.name, What::Garbage(why.to_owned()));
        Fault::from(Error::from(failure))
    })?;
    let now = Instant::now();
    let times = Times {
        queue: way.queue,
        first_token: None,
        prefill: Some(now - way.sent),
        decode: None,
        total: now - began,
    };
    proxy.keys.spend(question.who, &usage);
    metrics::answered(&way, Door::Grpc, &times, &usage);
    Ok((value, usage, way, times))
}

impl<F: Fn(&Upstream, &str) -> Result<Outgoing, Fault> + Sync> Call for Written<F> {
    type Opened = Bytes;

    fn request(&self, upstream: &Upstream, there: &str) -> Result<Outgoing, Fault> {
        (self.write)(upstream, there)
    }

    async fn open(&self, upstream: &Arc<Upstream>, response: Response<Incoming>) -> Result<Bytes, What> {
        upstream.whole(response.into_body(), self.most).await
    }
}
