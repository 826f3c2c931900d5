//! Routes, clusters, endpoints and policies of the gateway: pure data and decisions, no I/O.
//!
//! One internal representation, [`Mesh`], says where a call goes and under which limits. It is read from
//! configuration ([`MeshConfig::resolve`]) and, later, from discovery; the built-in proxy reads it, and whatever
//! programs a real Envoy will read the same. What is decided here is decided as a function: which route a call takes
//! ([`RouteTable::find_for`]), which endpoint a call gets ([`Picker::pick`]), how long it may last
//! ([`Timeouts::deadline`]), when a health check flips an endpoint ([`Health::observe`]) and when a failing one is
//! ejected ([`Outlier`]).
//!
//! Nothing here opens a socket, reads a clock, draws a random number, or knows tonic, hyper or Envoy: time and chance
//! are arguments.

mod balance;
mod cluster;
mod config;
mod error;
mod header;
mod health;
mod mesh;
mod outlier;
mod resolve;
mod route;
mod timeout;

pub use balance::{Candidate, Choice, Picker};
pub use cluster::{Address, Balance, Cluster, Endpoint, HealthCheck, UpstreamTls};
pub use config::{
    BalanceConfig, ClusterConfig, EndpointConfig, HealthCheckConfig, MeshConfig, OutlierConfig, RouteConfig,
    TlsConfig,
};
pub use error::Error;
pub use header::HeaderMatch;
pub use health::{Health, Probe};
pub use mesh::Mesh;
pub use outlier::{Outlier, OutlierPolicy};
pub use route::{Route, RouteTable, Rule, Timeouts, split_path};
pub use timeout::{GrpcTimeout, InvalidTimeout};
