//! Clusters and their endpoints: where calls go and what protects them. Plain data, already checked.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::OutlierPolicy;

/// A set of endpoints that serve the same thing.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    /// The name that routes use.
    pub name: String,
    /// Who serves. None at all is allowed and answers "no healthy upstream".
    pub endpoints: Vec<Endpoint>,
    /// How one of them is chosen.
    pub balance: Balance,
    /// The longest that TCP, TLS and the HTTP/2 preface may take together.
    pub connect_timeout: Duration,
    /// Calls in flight at once, at least 1. More are refused at once.
    pub max_requests: usize,
    /// Calls that may wait for a connection or a stream of it. More are refused at once.
    pub max_pending: usize,
    /// HTTP/2 connections to one endpoint, at least 1. Opened as load asks for them.
    pub max_connections: usize,
    /// Active checks. `None` holds every endpoint for healthy.
    pub health_check: Option<HealthCheck>,
    /// Ejection of endpoints that keep failing. `None` never ejects.
    pub outlier: Option<OutlierPolicy>,
    /// TLS towards the endpoints. `None` is HTTP/2 in clear text.
    pub tls: Option<UpstreamTls>,
}

/// One address that serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Where it listens.
    pub address: Address,
    /// Its share of the calls against its neighbours', 1 to 128.
    pub weight: u32,
}

/// A host, by name or by number, and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    host: String,
    port: u16,
}

/// How an endpoint is chosen among the usable ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Balance {
    /// Each in its turn, by weight.
    RoundRobin,
    /// The less busy of two drawn at random.
    LeastRequest,
    /// The same header value goes to the same endpoint for as long as it is usable.
    RingHash {
        /// The header, in lower case. A call without it goes anywhere.
        header: String,
    },
}

/// How endpoints are asked whether they serve (`grpc.health.v1.Health/Check`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// Between two checks of one endpoint.
    pub interval: Duration,
    /// The longest one check may take.
    pub timeout: Duration,
    /// Good answers in a row until an unhealthy endpoint is used again, at least 1. The first check of all needs one.
    pub healthy_threshold: u32,
    /// Failed checks in a row until an endpoint is no longer used, at least 1. `NOT_SERVING` needs no second one.
    pub unhealthy_threshold: u32,
    /// The service name that stands for the whole endpoint; empty by convention.
    pub service: String,
}

/// How to speak TLS to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamTls {
    /// PEM file of the authorities that may sign the endpoint's certificate.
    pub ca: PathBuf,
    /// The name the certificate must carry; the endpoint's host if `None`.
    pub server_name: Option<String>,
    /// PEM files of the client's certificate chain and key, for endpoints that ask for one.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// The text is not `host:port`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected host:port")]
pub struct InvalidAddress;

// === impl Address ===

impl Address {
    /// The host without brackets, as a resolver wants it.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, never 0.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let (host, port) = text.rsplit_once(':').ok_or(InvalidAddress)?;
        let port: u16 = port.parse().map_err(|_| InvalidAddress)?;
        let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(v6) => v6.parse::<std::net::Ipv6Addr>().map(|ip| ip.to_string()).ok(),
            None => is_host(host).then(|| host.to_ascii_lowercase()),
        };
        match host {
            Some(host) if port != 0 => Ok(Self { host, port }),
            _ => Err(InvalidAddress),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Letters, digits, `-`, `_` and `.`, as in host names and IPv4 addresses (RFC 1123; `_` is met in the wild).
fn is_host(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !text.is_empty() && text.len() <= 253 && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_host_and_port() {
        for (text, shown) in [
            ("127.0.0.1:7001", "127.0.0.1:7001"),
            ("Asr.Mesh.svc:80", "asr.mesh.svc:80"),
            ("[::1]:7001", "[::1]:7001"),
        ] {
            assert_eq!(text.parse::<Address>().expect(text).to_string(), shown);
        }
        for text in [
            "",
            "host",
            ":80",
            "host:0",
            "host:65536",
            "http://host:80",
            "::1:80",
            "a b:80",
            "[x]:80",
        ] {
            assert_eq!(text.parse::<Address>(), Err(InvalidAddress), "{text:?}");
        }
    }
}
