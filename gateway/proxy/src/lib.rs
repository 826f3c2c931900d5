//! The built-in L7 data plane: HTTP/2 in, HTTP/2 out, no message ever decoded.
//!
//! # Life of a call
//!
//! 1. [`Proxy::handle`] gets a request from the accept loop of the chassis. Its path is looked up in the routes; the
//!    deadline is read and cut; headers that must not pass are taken off (`head`).
//! 2. The cluster admits it or refuses it (circuit breaker), and picks an endpoint among those that are healthy and not
//!    ejected (`cluster`).
//! 3. The endpoint's pool lends a stream of an HTTP/2 connection, or opens one (`pool`, `connection`).
//! 4. The request body flows up (`upload`) while the response headers are awaited (`exchange`). What fails here, before
//!    anybody has seen a byte of answer, may be tried once more elsewhere if the endpoint never processed it.
//! 5. With the headers here, a small answer is taken whole; else the answer flows down as the client reads it (`body`),
//!    and a task beside it (`relay`) finishes the upload and watches deadline, idle time and drain: it can cancel the
//!    endpoint's side even while the client does not read.
//! 6. Failures of the gateway's own become gRPC statuses in one place (`refusal`).
//!
//! # Why h2 and not hyper towards the endpoints
//!
//! The statuses that must agree with Envoy's depend on which frame ended a stream (REFUSED_STREAM, GOAWAY below the
//! stream's id, a reset before or after headers), and a client's cancel must reach the endpoint also while its window
//! is shut. The h2 crate shows the first and allows the second; hyper's client hides both behind a task of its own.
//!
//! Invariants: no message is decoded; no retry once the endpoint may have processed a call; nothing waits without a
//! bound; nothing is buffered beyond the windows; control headers (`x-envoy-*`) from outside are never honoured.

mod body;
mod channel;
mod check;
mod cluster;
mod connection;
mod endpoint;
mod exchange;
mod head;
mod limits;
mod metrics;
mod pool;
mod proxy;
mod refusal;
mod relay;
mod table;
mod trace;
mod upload;

pub use body::{Body, BodyError};
pub use channel::EndpointChannel;
pub use cluster::{Cluster, ServiceStatus};
pub use endpoint::Endpoint;
pub use proxy::{Proxy, StartError};
pub use refusal::Refusal;

/// What a body may fail with.
type BoxError = Box<dyn std::error::Error + Send + Sync>;
