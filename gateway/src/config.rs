//! The section `[gateway]`: where the door listens, and what the mesh behind it looks like.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use polyphony_chassis::config::{ConnectionConfig, DrainConfig, ServerConfig, TlsConfig};
use polyphony_config::HumanDuration;
use polyphony_gateway_core as core;
use polyphony_gateway_core::{ClusterConfig, EndpointConfig, Mesh, MeshConfig, RouteConfig, Timeouts};
use serde::{Deserialize, Serialize};

use crate::builtin;

/// The section, and what the chassis needs to know of it.
#[derive(Debug, Clone, PartialEq)]
pub struct GatewayConfig {
    keys: Keys,
    server: ServerConfig,
    spans: bool,
    /// Built-in services that are not to be found.
    absent: BTreeSet<String>,
}

/// Every key of the section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keys {
    /// Where plaintext HTTP/2 is spoken.
    pub listen: SocketAddr,
    /// Where the admin pages answer.
    pub admin: SocketAddr,
    /// Whether `listen` may be reached from other machines, in plaintext. Only behind something that speaks TLS.
    pub allow_plaintext: bool,
    /// A second listener, in TLS.
    pub tls: Option<TlsKeys>,
    /// The client's deadline is cut to this; `0`: not cut.
    pub max_timeout: HumanDuration,
    /// The deadline of unary calls whose client sets none; `0`: none.
    pub default_timeout: HumanDuration,
    /// A call on which nothing moves either way for so long ends; `0`: never.
    pub idle_timeout: HumanDuration,
    /// No call lasts longer, streams included; `0`: no limit.
    pub max_duration: HumanDuration,
    /// Whether the services of the mesh are routed to their loopback ports unless `routes` and `clusters` say otherwise.
    pub builtin_routes: bool,
    /// Clusters by name.
    pub clusters: BTreeMap<String, ClusterConfig>,
    /// Routes in any order: the most specific one wins.
    pub routes: Vec<RouteConfig>,
    /// How clients' connections are kept.
    pub connections: ConnectionConfig,
    /// How the gateway stops.
    pub drain: DrainConfig,
}

/// The listener in TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsKeys {
    /// Where TLS is spoken.
    #[serde(default = "tls_listen")]
    pub listen: SocketAddr,
    /// PEM file with the certificate chain, leaf first.
    pub cert: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
    /// PEM file with the authorities whose clients are let in; set, it makes a client certificate mandatory.
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
    /// SPIFFE ids or DNS names of which a client's certificate must carry one. Needs `client_ca`.
    #[serde(default)]
    pub allowed_clients: Vec<String>,
    /// How often the files are looked at.
    #[serde(default = "reload_interval")]
    pub reload_interval: HumanDuration,
}

const PORT: u16 = 8080;
const TLS_PORT: u16 = 8443;
const ADMIN_PORT: u16 = 9900;

// === impl GatewayConfig ===

impl GatewayConfig {
    /// The keys as they are set.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Where a service that runs in this process is to be found: replaces the endpoints of its cluster.
    pub fn find_at(&mut self, cluster: &str, addr: SocketAddr) {
        let cluster = self.keys.clusters.entry(cluster.to_owned()).or_default();
        cluster.endpoints = vec![EndpointConfig::new(addr.to_string())];
    }

    /// Nothing is routed to this service unless the configuration says where it is.
    pub fn leave_out(&mut self, cluster: &str) {
        self.absent.insert(cluster.to_owned());
    }

    /// Gives each call a span of the gateway's own, between its client's and its service's. Without it the client's trace
    /// passes through as it came, at no cost.
    #[must_use]
    pub fn with_spans(mut self, spans: bool) -> Self {
        self.spans = spans;
        self
    }

    pub(crate) fn spans(&self) -> bool {
        self.spans
    }

    pub(crate) fn server(&self) -> &ServerConfig {
        &self.server
    }

    /// The mesh behind the door, checked.
    pub(crate) fn mesh(&self) -> Result<Mesh, core::Error> {
        let mut mesh = MeshConfig {
            clusters: self.keys.clusters.clone(),
            routes: self.keys.routes.clone(),
        };
        if self.keys.builtin_routes {
            builtin::complete(&mut mesh, &self.absent);
        }
        let limit = |key: HumanDuration| (key.get() > Duration::ZERO).then_some(key.get());
        let timeouts = Timeouts {
            max: limit(self.keys.max_timeout),
            unary: limit(self.keys.default_timeout),
            idle: limit(self.keys.idle_timeout),
            duration: limit(self.keys.max_duration),
        };
        mesh.resolve(timeouts, builtin::unary_methods())
    }

    /// Whether `listen` is where nobody else can hear.
    pub(crate) fn is_private(&self) -> bool {
        self.keys.allow_plaintext || self.keys.listen.ip().to_canonical().is_loopback()
    }
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Keys::default().into()
    }
}

impl From<Keys> for GatewayConfig {
    fn from(keys: Keys) -> Self {
        let server = ServerConfig {
            listen: Some(keys.listen),
            admin: Some(keys.admin),
            connections: keys.connections.clone(),
            drain: keys.drain.clone(),
            ..ServerConfig::default()
        };
        Self {
            keys,
            server,
            spans: false,
            absent: BTreeSet::new(),
        }
    }
}

// === impl Keys ===

impl Default for Keys {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)),
            admin: SocketAddr::from((Ipv4Addr::LOCALHOST, ADMIN_PORT)),
            allow_plaintext: false,
            tls: None,
            max_timeout: HumanDuration::from_secs(3600),
            default_timeout: HumanDuration::from_secs(300),
            idle_timeout: HumanDuration::from_secs(300),
            max_duration: HumanDuration::default(),
            builtin_routes: true,
            clusters: BTreeMap::new(),
            routes: Vec::new(),
            connections: ConnectionConfig::default(),
            drain: DrainConfig::default(),
        }
    }
}

// === impl TlsKeys ===

impl From<&TlsKeys> for TlsConfig {
    fn from(keys: &TlsKeys) -> Self {
        let TlsKeys {
            listen: _,
            cert,
            key,
            client_ca,
            allowed_clients,
            reload_interval,
        } = keys.clone();
        Self {
            cert,
            key,
            client_ca,
            allowed_clients,
            reload_interval,
        }
    }
}

fn tls_listen() -> SocketAddr {
    SocketAddr::from((Ipv6Addr::UNSPECIFIED, TLS_PORT))
}

fn reload_interval() -> HumanDuration {
    HumanDuration::from_secs(5)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> GatewayConfig {
        toml::from_str::<Keys>(text).expect(text).into()
    }

    #[test]
    fn plaintext_is_for_loopback_unless_it_is_allowed_by_name() {
        assert!(read("").is_private());
        assert!(read("listen = '127.0.0.2:1'").is_private());
        assert!(read("listen = '[::1]:1'").is_private());
        assert!(!read("listen = '0.0.0.0:8080'").is_private());
        assert!(!read("listen = '[::]:8080'").is_private());
        assert!(read("listen = '0.0.0.0:8080'\nallow_plaintext = true").is_private());
    }

    #[test]
    fn a_service_of_this_process_is_found_where_it_listens_and_keeps_its_other_settings() {
        let mut config = read("[clusters.asr]\nmax_requests = 7");
        config.find_at("asr", "127.0.0.1:4711".parse().expect("an address"));
        let mesh = config.mesh().expect("valid");
        let asr = mesh
            .clusters
            .iter()
            .find(|cluster| cluster.name == "asr")
            .expect("a cluster");
        assert_eq!(asr.endpoints[0].address.port(), 4711);
        assert_eq!(asr.max_requests, 7);
    }

    #[test]
    fn the_section_survives_being_written_and_read() {
        let config = read("max_timeout = '5s'\n[tls]\ncert = 'c'\nkey = 'k'");
        let text = toml::to_string(config.keys()).expect("printable");
        assert_eq!(read(&text), config);
        assert_eq!(
            config.keys().tls.as_ref().map(|tls| tls.listen.port()),
            Some(8443)
        );
    }
}
