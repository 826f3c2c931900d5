//! TLS from files that may change while the process runs.
//!
//! A whole rustls configuration is built from one reading of the files and swapped in; connections made afterwards use
//! it, open ones keep theirs until [`max_age`](crate::config::ConnectionConfig::max_age). A rotation caught half-way
//! (a torn file, a key that is not the certificate's) changes nothing and is tried again. The provider is ring, named
//! here, so that nothing depends on a process-wide default. Not here: who may call what; that is policy.

mod client;
mod files;
mod server;

pub use client::ClientTls;
pub use files::{Error, Reload};
pub use server::ServerTls;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

/// What is agreed on by ALPN.
const H2: &[u8] = b"h2";
const HTTP_1_1: &[u8] = b"http/1.1";

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
