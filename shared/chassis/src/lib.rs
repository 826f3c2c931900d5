//! How a process lives on the mesh: telemetry, TLS, health, layers, serve, connect.
//!
//! A service is its business logic and a `main` of one sentence; everything every gRPC process needs is here, once:
//! [`Server`] puts the platform's layers around generated services, [`accept`] owns the sockets and the bounded stop,
//! [`Readiness`] says who serves, [`tls`] follows its files, [`connect`] calls others. Not here: what any service does,
//! routing (the gateway's), and the meaning of errors (`polyphony-error`).
//!
//! The life of a call: a connection is greeted ([`accept`], [`tls`]); the call gets a span and a name; what is not gRPC,
//! not ready, or too much is refused; its deadline starts; the handler answers; the reply ends with a status that has
//! details, whatever happened.

pub mod accept;
pub mod admin;
mod batched;
mod caller;
mod checks;
pub mod config;
pub mod connect;
mod drain;
pub mod duplex;
mod layers;
mod metrics;
pub mod models;
pub mod operations;
mod peer;
pub mod places;
mod process;
mod readiness;
mod serve;
mod shutdown;
pub mod telemetry;
pub mod tls;

pub use batched::batched;
pub use caller::{ANONYMOUS, Caller};
pub use checks::{Checks, MOST_THREADS};
pub use drain::Drain;
pub use layers::admission::{Admission, Permit};
pub use layers::lifetime::Deadline;
pub use layers::request_id::RequestId;
pub use peer::{Identity, Peer};
pub use process::{Launch, Program, Runtime, SECTIONS, SharedResidents, StartError, main};
pub use readiness::{Guard, HealthService, Readiness};
pub use serve::{Error, Server};
pub use shutdown::{Shutdown, Trigger};

/// What the macros of this crate name.
#[doc(hidden)]
pub mod reexport {
    pub use tonic::codec::CompressionEncoding::Gzip;
}

/// An error of any make, where HTTP libraries want one.
type BoxError = Box<dyn std::error::Error + Send + Sync>;
