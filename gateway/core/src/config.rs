//! What is written in the configuration: the raw form of clusters and routes, every key optional.
//!
//! These types only read; [`MeshConfig::resolve`] decides what they mean.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use polyphony_config::HumanDuration;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::HeaderMatch;

/// Clusters by name, and the routes that lead to them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MeshConfig {
    /// Clusters by name.
    pub clusters: BTreeMap<String, ClusterConfig>,
    /// Routes in any order: the most specific one wins.
    pub routes: Vec<RouteConfig>,
}

/// A cluster as written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterConfig {
    /// `host:port`, or `{ address = "host:port", weight = 2 }`.
    pub endpoints: Vec<EndpointConfig>,
    /// How an endpoint is chosen.
    pub balance: BalanceConfig,
    /// The header that `ring_hash` hashes.
    pub hash_header: String,
    /// The longest that opening a connection may take.
    pub connect_timeout: HumanDuration,
    /// Calls in flight at once; more are refused with UNAVAILABLE.
    pub max_requests: usize,
    /// Calls waiting for a connection; more are refused with UNAVAILABLE.
    pub max_pending: usize,
    /// HTTP/2 connections per endpoint.
    pub max_connections: usize,
    /// Active health checks.
    pub health_check: HealthCheckConfig,
    /// Ejection of endpoints that keep failing.
    pub outlier: OutlierConfig,
    /// TLS towards the endpoints; clear text if absent.
    pub tls: Option<TlsConfig>,
}

/// An endpoint as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EndpointConfig {
    /// `host:port`.
    pub address: String,
    /// Its share of the calls.
    pub weight: u32,
}

/// How an endpoint is chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BalanceConfig {
    /// Each in its turn.
    #[default]
    RoundRobin,
    /// The less busy of two drawn at random.
    LeastRequest,
    /// By the value of `hash_header`.
    RingHash,
}

/// Active health checks as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HealthCheckConfig {
    /// Whether endpoints are asked at all.
    pub enabled: bool,
    /// Between two checks.
    pub interval: HumanDuration,
    /// The longest one may take.
    pub timeout: HumanDuration,
    /// Good answers in a row until used again.
    pub healthy_threshold: u32,
    /// Failures in a row until no longer used.
    pub unhealthy_threshold: u32,
    /// The service name to ask for; empty asks for the whole process.
    pub service: String,
}

/// Ejection as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutlierConfig {
    /// Failures in a row until ejected; 0 never ejects.
    pub consecutive_failures: u32,
    /// The first ejection lasts this long, the second twice as long, and so on.
    pub base_ejection: HumanDuration,
    /// The longest ejection.
    pub max_ejection: HumanDuration,
    /// The most endpoints that may be ejected at once, in percent; one always may if there is another.
    pub max_ejected_percent: u32,
}

/// TLS towards endpoints as written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// PEM file of the trusted authorities.
    pub ca: PathBuf,
    /// The name in the certificate, if it is not the endpoint's host.
    pub server_name: Option<String>,
    /// PEM file of the client's certificate chain.
    pub cert: Option<PathBuf>,
    /// PEM file of the client's key.
    pub key: Option<PathBuf>,
}

/// A route as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    /// A full service name, a prefix that ends in `.`, or `*` for whatever nothing else matches.
    pub service: String,
    /// One method of that service; all of them if absent.
    #[serde(default)]
    pub method: Option<String>,
    /// Of these, only calls with this header; such routes come before those without. All of them if absent.
    #[serde(default)]
    pub header: Option<HeaderMatch>,
    /// The cluster that serves it.
    pub cluster: String,
    /// The client's deadline is cut to this. Absent: the gateway's own; `0`: not cut.
    #[serde(default)]
    pub max_timeout: Option<HumanDuration>,
    /// The deadline of unary calls whose client sets none. Absent: the gateway's own; `0`: none.
    #[serde(default)]
    pub default_timeout: Option<HumanDuration>,
    /// A call on which nothing moves for this long ends. Absent: the gateway's own; `0`: never.
    #[serde(default)]
    pub idle_timeout: Option<HumanDuration>,
    /// No call lasts longer, streams included. Absent or `0`: no limit.
    #[serde(default)]
    pub max_duration: Option<HumanDuration>,
}

// === impl ClusterConfig ===

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            endpoints: Vec::new(),
            balance: BalanceConfig::default(),
            hash_header: "x-session-affinity".to_owned(),
            connect_timeout: HumanDuration::from_secs(2),
            max_requests: 1024,
            max_pending: 1024,
            max_connections: 8,
            health_check: HealthCheckConfig::default(),
            outlier: OutlierConfig::default(),
            tls: None,
        }
    }
}

// === impl EndpointConfig ===

impl EndpointConfig {
    /// An address with weight 1.
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            weight: 1,
        }
    }
}

impl<'de> Deserialize<'de> for EndpointConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrTable;

        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            address: String,
            #[serde(default = "one")]
            weight: u32,
        }

        fn one() -> u32 {
            1
        }

        impl<'de> Visitor<'de> for TextOrTable {
            type Value = EndpointConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"host:port\" or { address = \"host:port\", weight = 1 }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<EndpointConfig, E> {
                Ok(EndpointConfig::new(text))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<EndpointConfig, A::Error> {
                let Table { address, weight } =
                    Table::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(EndpointConfig { address, weight })
            }
        }

        deserializer.deserialize_any(TextOrTable)
    }
}

// === impl HealthCheckConfig ===

impl Default for HealthCheckConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            interval: HumanDuration::from_secs(1),
            timeout: HumanDuration::from_secs(1),
            healthy_threshold: 1,
            unhealthy_threshold: 2,
            service: String::new(),
        }
    }
}

// === impl OutlierConfig ===

impl Default for OutlierConfig {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            base_ejection: HumanDuration::from_secs(30),
            max_ejection: HumanDuration::from_secs(300),
            max_ejected_percent: 10,
        }
    }
}

// === impl RouteConfig ===

impl RouteConfig {
    /// A route for a service or prefix, with the gateway's own timeouts.
    pub fn new(service: impl Into<String>, cluster: impl Into<String>) -> Self {
        Self {
            service: service.into(),
            method: None,
            header: None,
            cluster: cluster.into(),
            max_timeout: None,
            default_timeout: None,
            idle_timeout: None,
            max_duration: None,
        }
    }
}
