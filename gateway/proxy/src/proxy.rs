//! The proxy: one call from its route to its answer.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use polyphony_chassis::Drain;
use polyphony_gateway_core::{Mesh, split_path};
use tokio::time::{Instant, sleep_until};
use tonic::Code;

use crate::body::{self, Body, Company, Early};
use crate::cluster::{Admission, Cluster};
use crate::exchange::{self, Answer, Failure, Fate, Watch};
use crate::limits::Limits;
use crate::refusal::Refusal;
use crate::relay::{self, Shared};
use crate::table::Table;
use crate::upload::Upload;
use crate::{BoxError, head, metrics, trace};

pub use crate::table::StartError;

/// Attempts at calls that no endpoint processed (gRFC A6, "transparent retries").
const ATTEMPTS: u32 = 2;
/// Attempts at calls that did not even leave: the connection was found closed.
const UNSENT_ATTEMPTS: u32 = 3;

/// The data plane. Clones share everything.
#[derive(Clone)]
pub struct Proxy {
    table: Arc<Table>,
    drain: Drain,
    spans: bool,
}

// === impl Proxy ===

impl Proxy {
    /// Sets up the clusters and starts checking their endpoints. Must be called within a Tokio runtime.
    ///
    /// `spans` makes a span of every call and puts it into `traceparent`; else the client's passes on as it came, and
    /// tracing costs nothing.
    ///
    /// # Errors
    /// When the TLS files of a cluster cannot be used.
    pub fn start(mesh: Mesh, spans: bool) -> Result<Self, StartError> {
        Ok(Self {
            table: Arc::new(Table::start(mesh)?),
            drain: Drain::new(),
            spans,
        })
    }

    /// The same for one listener: its calls end with UNAVAILABLE when its drain is overdue.
    #[must_use]
    pub fn with_drain(&self, drain: Drain) -> Self {
        Self {
            drain,
            ..self.clone()
        }
    }

    /// All clusters, in order of their names.
    pub fn clusters(&self) -> impl Iterator<Item = &Arc<Cluster>> {
        self.table.clusters.values()
    }

    /// The cluster that a service is routed to; also by the path of one of its methods, as health names it.
    pub fn cluster_of(&self, name: &str) -> Option<&Arc<Cluster>> {
        let service = name.split('/').next().unwrap_or(name);
        self.table.routes.find_service(service)?.cluster.as_ref()
    }

    /// Completes when every endpoint has answered its first health check, or failed to.
    pub async fn checked(&self) {
        for cluster in self.clusters() {
            let mut changes = cluster.changes();
            while !cluster.is_checked() {
                if changes.changed().await.is_err() {
                    break;
                }
            }
        }
    }

    /// Forwards one call and returns its answer, or says why there is none.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let (parts, body) = request.into_parts();
        let grpc = head::is_grpc(&parts.headers);
        match self.forward(parts, body).await {
            Ok(response) => response,
            Err(refusal) => refusal.response(grpc),
        }
    }

    async fn forward<B>(&self, mut parts: Parts, body: B) -> Result<Response<Body>, Refusal>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    {
        let now = Instant::now();
        let path = parts.uri.path();
        let header = |name: &str| parts.headers.get(name)?.to_str().ok();
        let Some(destination) = self.table.routes.find_for(path, header) else {
            metrics::unrouted();
            return Err(Refusal::NoRoute(path.into()));
        };
        let cluster = destination.cluster.as_ref().ok_or(Refusal::NoCluster)?;
        let asked = head::timeout(&parts.headers)?;
        let unary = asked.is_none() && destination.timeouts.unary.is_some() && self.table.is_unary(path);
        let limits = Limits::new(&destination.timeouts, asked, unary, now);
        head::sanitise(&mut parts.headers);

        let mut admission = cluster.admit().ok_or(Refusal::Overflow)?;
        if self.spans {
            admission.trace(trace::begin(&mut parts, cluster.name()));
        }
        let first = limits.next(now).unwrap_or_else(relay::far_away);
        let (mut sleep, mut drained) = (pin!(sleep_until(first)), pin!(self.drain.overdue()));
        let mut watch = Watch {
            limits: &limits,
            sleep: sleep.as_mut(),
            drained: drained.as_mut(),
            last: now,
        };
        let mut upload = Upload::new(body);
        let tried = attempts(cluster, &parts, &mut upload, &mut watch, &mut admission).await;
        let (index, answer) = tried.inspect_err(|refusal| admission.ended(refusal.code()))?;
        upload.forget();
        Ok(self.pass_on(index, answer, upload, limits, admission).await)
    }

    /// Turns what the endpoint answered into the response: at once if it is all there, else as it comes.
    async fn pass_on<B>(
        &self,
        index: usize,
        answer: Answer,
        upload: Upload<B>,
        limits: Limits,
        mut admission: Admission,
    ) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    {
        let Answer { response, send, slot } = answer;
        let (parts, mut recv) = response.into_parts();
        let code = body::code_of(&parts.headers).or_else(|| body::code_of_http(parts.status));
        let early = poll_fn(|cx| Poll::Ready(body::read_early(&mut recv, cx))).await;
        let body = match early {
            Early::Whole(data, trailers) => {
                let code = trailers.as_ref().and_then(body::code_of).or(code);
                admission.answered(index, code.unwrap_or(Code::Unknown));
                Body::whole(data, trailers)
            }
            Early::Begun(ahead) => {
                let shared = Shared::new(Instant::now());
                let drain = self.drain.clone();
                let drained = async move { drain.overdue().await };
                let company = Company {
                    watches_idle: limits.watches_idle(),
                    relay: relay::spawn(upload, send, limits, Arc::clone(&shared), drained),
                    shared,
                    index,
                    code,
                    admission,
                    slot,
                };
                Body::stream(recv, ahead, company)
            }
            Early::Broken(error) => {
                admission.answered(index, Code::Internal);
                Body::broken(error)
            }
        };
        Response::from_parts(parts, body)
    }
}

impl<B> hyper::service::Service<Request<B>> for Proxy
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, request: Request<B>) -> Self::Future {
        let proxy = self.clone();
        Box::pin(async move { Ok(proxy.handle(request).await) })
    }
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy")
            .field("clusters", &self.table.clusters)
            .finish_non_exhaustive()
    }
}

/// Tries endpoints until one answers or asking another would not be safe.
async fn attempts<B, D>(
    cluster: &Arc<Cluster>,
    parts: &Parts,
    upload: &mut Upload<B>,
    watch: &mut Watch<'_, D>,
    admission: &mut Admission,
) -> Result<(usize, Answer), Refusal>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    D: Future<Output = ()>,
{
    let service = split_path(parts.uri.path()).map_or("", |(service, _)| service);
    let mut avoid = None;
    let mut made = 0;
    loop {
        let picked = cluster.pick(service, &parts.headers, avoid);
        let index = picked.ok_or(Refusal::NoHealthyUpstream)?;
        let endpoint = &cluster.endpoints()[index];
        let Failure { refusal, fate } = match exchange::attempt(cluster, endpoint, parts, upload, watch).await
        {
            Ok(answer) => return Ok((index, answer)),
            Err(failure) => failure,
        };
        made += 1;
        if fate != Fate::Ours && fate != Fate::Unsent {
            admission.answered(index, refusal.code());
        }
        let most = match fate {
            Fate::Unsent => UNSENT_ATTEMPTS,
            Fate::Unprocessed => ATTEMPTS,
            Fate::Unsure | Fate::Ours => 0,
        };
        if made >= most || !upload.rewind() {
            return Err(refusal);
        }
        tracing::debug!(endpoint = endpoint.name(), %refusal, "not processed, trying again");
        cluster.metrics.retries.increment(1);
        if fate == Fate::Unprocessed {
            avoid = Some(index);
        }
    }
}
