//! Channels to other services: bounded, kept alive, and carrying what a call carries onwards.
//!
//! A channel connects on its first call and reconnects by itself; a dead peer is noticed by pings, also while idle. Each
//! call takes along the trace context of the current span and, if its extensions hold a
//! [`Deadline`](crate::Deadline), what is left of it. Not here: which of many replicas to call; that is the gateway's.

mod connector;
mod outgoing;

use std::time::Duration;

use http::Uri;
use tonic::transport::{Channel, Endpoint};

use crate::config::ChannelConfig;
use crate::tls::{self, ClientTls};
use connector::Connector;

pub use outgoing::Outgoing;

/// What generated clients are made with: `AsrServiceClient::new(connect::client(uri, &config)?)`.
pub type Client = Outgoing<Channel>;

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
            .max_decoding_message_size(limits.max_receive_message.as_usize())
            .max_encoding_message_size(limits.max_send_message.as_usize())
            .accept_compressed($crate::reexport::Gzip)
    }};
}

/// A channel to the server at `uri`, connected on first use. Must be called within a Tokio runtime.
///
/// # Errors
/// When the address is none, or TLS cannot be set up. That nobody listens there is an error of the first call.
pub fn client(uri: &Uri, config: &ChannelConfig) -> Result<Client, Error> {
    if uri.host().is_none() {
        return Err(Error::Address { uri: uri.clone() });
    }
    let tls = match (uri.scheme_str(), &config.tls) {
        (Some("http"), _) => None,
        (Some("https"), Some(tls)) => Some(ClientTls::load(tls).map_err(Error::Tls)?),
        (Some("https"), None) => return Err(Error::NoAuthorities { uri: uri.clone() }),
        _ => return Err(Error::Address { uri: uri.clone() }),
    };
    let endpoint = Endpoint::from(uri.clone())
        .connect_timeout(config.connect_timeout.get())
        .http2_keep_alive_interval(config.keepalive_interval.get().max(MIN_KEEPALIVE))
        .keep_alive_timeout(config.keepalive_timeout.get())
        .keep_alive_while_idle(true);
    let channel = endpoint.connect_with_connector_lazy(Connector::new(tls));
    Ok(Outgoing::new(channel, config.deadline_margin.get()))
}
