//! What an operator may set about how a process serves and calls: plain data with its defaults, no behaviour.
//!
//! Durations are written `"250ms"`, `"10s"`, `"5m"`; sizes `"4MiB"`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use polyphony_config::{ByteSize, HumanDuration};
use serde::{Deserialize, Serialize};

/// One listening gRPC server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Where to listen. Port 0 takes a free one. Default: the service's own port on the loopback interface.
    pub listen: Option<SocketAddr>,
    /// Where `/livez`, `/readyz`, `/metrics` and `/configz` answer. Default: the port of `listen` plus 1000 (0 stays 0) on
    /// the same interface.
    pub admin: Option<SocketAddr>,
    /// TLS; without it the server speaks h2 in the clear.
    pub tls: Option<TlsConfig>,
    /// How much one process takes on.
    pub limits: LimitsConfig,
    /// How long a call may live.
    pub deadlines: DeadlineConfig,
    /// How connections are kept.
    pub connections: ConnectionConfig,
    /// How the server stops.
    pub drain: DrainConfig,
}

/// The identity of a server, and whom it lets in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// PEM file with the certificate chain, leaf first.
    pub cert: PathBuf,
    /// PEM file with the private key of the leaf (PKCS#8, SEC1 or PKCS#1).
    pub key: PathBuf,
    /// PEM file with the authorities whose clients are let in. Set, it makes a client certificate mandatory (mTLS).
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
    /// SPIFFE ids or DNS names, one of which the client's certificate must carry. Empty lets in whoever `client_ca`
    /// signed. Needs `client_ca`.
    #[serde(default)]
    pub allowed_clients: Vec<String>,
    /// How often the files are looked at. Default 5 s.
    #[serde(default = "reload_default")]
    pub reload_interval: HumanDuration,
}

/// What a process takes on before it refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Calls and streams in flight in the whole process; one more is refused with `RESOURCE_EXHAUSTED`, never queued.
    /// Health and reflection are not counted. Default 512.
    pub max_in_flight: usize,
    /// The largest message received, after decompression. None: 4 MiB, as gRPC; 32 MiB where recordings or documents
    /// come whole.
    pub max_receive_message: Option<ByteSize>,
    /// The largest message sent. Default 4 MiB, which is what clients accept unless told otherwise.
    pub max_send_message: ByteSize,
    /// Gzip replies to callers that accept it. Gzipped requests are always understood. Off by default: most replies
    /// are a few hundred bytes or compressed media, and nearly every client claims to accept it.
    pub gzip_replies: bool,
}

/// How long calls may live. A caller's own `grpc-timeout` is always kept when it is shorter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeadlineConfig {
    /// The longest life of a unary call. Default 5 min.
    pub unary_max: HumanDuration,
    /// The longest life of a stream; `"0"`, the default, sets none.
    pub stream_max: HumanDuration,
    /// A stream on which no message went either way for so long is ended. `"0"` sets none. Default 5 min.
    pub stream_idle: HumanDuration,
}

/// How connections are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConnectionConfig {
    /// Connections held at once; one more is closed unread. Default 4096.
    pub max_connections: usize,
    /// The time for the TLS handshake, and then for the first bytes of HTTP. Default 10 s.
    pub handshake_timeout: HumanDuration,
    /// A ping is sent on a connection that was quiet for so long. Default 30 s.
    pub keepalive_interval: HumanDuration,
    /// A ping unanswered for so long closes the connection. Default 10 s.
    pub keepalive_timeout: HumanDuration,
    /// A connection of this age, give or take a tenth, is asked to reconnect: running calls finish, and a rotated
    /// identity takes hold. `"0"` sets none. Default 1 h.
    pub max_age: HumanDuration,
    /// Streams open at once on one connection. Default 256.
    pub max_concurrent_streams: u32,
    /// All headers of one request together. Default 16 KiB.
    pub max_header_list: ByteSize,
    /// Bytes that a caller may send ahead on one stream. Default 256 KiB.
    pub stream_window: ByteSize,
    /// Bytes that a caller may send ahead on all streams of a connection. Many stream windows, so that handlers that
    /// do not read cannot starve the others. Default 16 MiB.
    pub connection_window: ByteSize,
    /// Bytes kept for a reader slower than the handler, on each stream. Default 128 KiB.
    pub send_buffer: ByteSize,
}

/// How a server stops: health says NOT_SERVING at once; new calls are still taken for the lame-duck time, until load
/// balancers have noticed; then no new ones, and running ones have until the deadline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DrainConfig {
    /// How long new calls are still taken after the signal. Default 0; set it to what discovery needs (5 s on Kubernetes).
    pub lame_duck: HumanDuration,
    /// How long running calls get after that. Streams still open then end with `UNAVAILABLE`, reason `DRAINING`.
    /// Default 25 s, within the 30 s that Kubernetes grants.
    pub deadline: HumanDuration,
    /// How long those last words may take before connections are cut. Default 500 ms.
    pub grace: HumanDuration,
}

/// A channel to another service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChannelConfig {
    /// The time for TCP and TLS together. Default 5 s.
    pub connect_timeout: HumanDuration,
    /// A ping is sent so often, also while no call runs. At least 30 s, or servers take it for abuse. Default 30 s.
    pub keepalive_interval: HumanDuration,
    /// A ping unanswered for so long closes the connection. Default 10 s.
    pub keepalive_timeout: HumanDuration,
    /// What is kept back of the caller's deadline for our own answer. Default 10 ms.
    pub deadline_margin: HumanDuration,
    /// TLS; needed for `https` addresses.
    pub tls: Option<ClientTlsConfig>,
}

/// Whom a client trusts, and who it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientTlsConfig {
    /// PEM file with the authorities whose servers are trusted.
    pub ca: PathBuf,
    /// PEM file with our certificate chain, for servers that want one. Needs `key`.
    #[serde(default)]
    pub cert: Option<PathBuf>,
    /// PEM file with our private key. Needs `cert`.
    #[serde(default)]
    pub key: Option<PathBuf>,
    /// The name the server's certificate must carry, where it is not the host of the address.
    #[serde(default)]
    pub server_name: Option<String>,
    /// How often the files are looked at. Default 5 s.
    #[serde(default = "reload_default")]
    pub reload_interval: HumanDuration,
}

/// How far an admin port is from its service's.
const ADMIN_OFFSET: u16 = 1000;

fn reload_default() -> HumanDuration {
    HumanDuration::from_secs(5)
}

// === impl ServerConfig ===

impl ServerConfig {
    /// Where to listen, for a service whose own port this is.
    pub fn listen_or(&self, port: u16) -> SocketAddr {
        self.listen
            .unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    /// Where the admin pages answer, for a service whose own port this is.
    pub fn admin_or(&self, port: u16) -> SocketAddr {
        self.admin.unwrap_or_else(|| {
            let mut addr = self.listen_or(port);
            if addr.port() != 0 {
                addr.set_port(addr.port().saturating_add(ADMIN_OFFSET));
            }
            addr
        })
    }
}

// === impl LimitsConfig ===

impl LimitsConfig {
    /// The largest message received.
    pub fn receive(&self) -> ByteSize {
        self.max_receive_message.unwrap_or(ByteSize::mib(4))
    }

    /// For a service to which recordings or documents come whole: its own default.
    pub fn take_media(&mut self) {
        self.max_receive_message.get_or_insert(ByteSize::mib(32));
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            max_in_flight: 512,
            max_receive_message: None,
            max_send_message: ByteSize::mib(4),
            gzip_replies: false,
        }
    }
}

// === impl DeadlineConfig ===

impl Default for DeadlineConfig {
    fn default() -> Self {
        Self {
            unary_max: HumanDuration::from_secs(300),
            stream_max: HumanDuration::default(),
            stream_idle: HumanDuration::from_secs(300),
        }
    }
}

// === impl ConnectionConfig ===

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self {
            max_connections: 4096,
            handshake_timeout: HumanDuration::from_secs(10),
            keepalive_interval: HumanDuration::from_secs(30),
            keepalive_timeout: HumanDuration::from_secs(10),
            max_age: HumanDuration::from_secs(3600),
            max_concurrent_streams: 256,
            max_header_list: ByteSize::kib(16),
            stream_window: ByteSize::kib(256),
            connection_window: ByteSize::mib(16),
            send_buffer: ByteSize::kib(128),
        }
    }
}

// === impl DrainConfig ===

impl Default for DrainConfig {
    fn default() -> Self {
        Self {
            lame_duck: HumanDuration::default(),
            deadline: HumanDuration::from_secs(25),
            grace: HumanDuration::from_millis(500),
        }
    }
}

// === impl ChannelConfig ===

impl Default for ChannelConfig {
    fn default() -> Self {
        Self {
            connect_timeout: HumanDuration::from_secs(5),
            keepalive_interval: HumanDuration::from_secs(30),
            keepalive_timeout: HumanDuration::from_secs(10),
            deadline_margin: HumanDuration::from_millis(10),
            tls: None,
        }
    }
}
