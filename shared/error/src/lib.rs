//! The closed set of fault kinds, their gRPC status and their `google.rpc` details.
//!
//! A crate has its own error enum; at the edge each variant becomes a [`Fault`], and a fault becomes a
//! [`tonic::Status`] in one place, here. A fault has two texts: its `message`, which a client may read, and its
//! [`source`](std::error::Error::source), which only the log gets ([`chain`]). There is deliberately no conversion
//! from `anyhow::Error` or `Box<dyn Error>`: that is how secrets reach clients.
//!
//! Details follow AIP-193: `ErrorInfo` always, and by kind `BadRequest`, `RetryInfo`, `QuotaFailure`, `ResourceInfo`.

mod chain;
mod fault;
mod kind;
mod status;

pub use chain::chain;
pub use fault::{Fault, Resource, Violation};
pub use kind::Kind;
pub use status::DOMAIN;
