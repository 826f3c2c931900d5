//! Channels to other services: bounded, kept alive, and carrying what a call carries onwards.
//!
//! A channel connects on its first call and reconnects by itself; a dead peer is noticed by pings, also while idle. Each
//! call takes along the trace context of the current span and, if its extensions hold a
//! [`Deadline`](crate::Deadline), what is left of it. Not here: which of many replicas to call; that is the gateway's.
//!
//! Not tonic's own channel: that one fails calls which it never sent with CANCELLED when the server says GOAWAY, which
//! every drain and every [`max_age`](crate::config::ConnectionConfig::max_age) does. hyper-util's client sends them
//! again.

mod client;
mod connector;

use std::time::Duration;

use http::Uri;

use crate::config::ChannelConfig;
use crate::tls::{self, ClientTls};
use connector::Connector;

pub use client::Client;

/// A channel that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is not `http://host:port` or `https://host:port`.
    #[error("\"{uri}\" is not the address of a server; write http://host:port or https://host:port")]
    Address {
        /// The address.
        uri: Uri,
    },
    /// An `https` address without trusted authorities.
    #[error("\"{uri}\" needs tls.ca, the authorities whose servers are trusted")]
    NoAuthorities {
        /// The address.
        uri: Uri,
    },
    /// The certificate, key or authorities cannot be used.
    #[error("cannot set up TLS")]
    Tls(#[source] tls::Error),
}

/// Servers take more frequent pings for abuse (gRFC A8).
const MIN_KEEPALIVE: Duration = Duration::from_secs(30);

/// Sets the message limits of a generated client:
/// `chassis::client!(AsrServiceClient::new(channel), &limits)`. Gzipped replies are understood.
#[macro_export]
macro_rules! client {
    ($client:expr, $limits:expr) => {{
        let limits: &$crate::config::LimitsConfig = $limits;
        $client
            .max_decoding_message_size(limits.receive().as_usize())
            .max_encoding_message_size(limits.max_send_message.as_usize())
            .accept_compressed($crate::reexport::Gzip)
    }};
}

/// A channel to the server at `uri`, connected on first use. Must be called within a Tokio runtime.
///
/// # Errors
/// When the address is none, or TLS cannot be set up. That nobody listens there is an error of the first call.
pub fn client(uri: &Uri, config: &ChannelConfig) -> Result<Client, Error> {
    let address = || Error::Address { uri: uri.clone() };
    let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
        return Err(address());
    };
    let tls = match (scheme.as_str(), &config.tls) {
        ("http", _) => None,
        ("https", Some(tls)) => Some(ClientTls::load(tls).map_err(Error::Tls)?),
        ("https", None) => return Err(Error::NoAuthorities { uri: uri.clone() }),
        _ => return Err(address()),
    };
    let connector = Connector::new(tls, config.connect_timeout.get());
    Ok(Client::new(scheme.clone(), authority.clone(), connector, config))
}
