//! The door: one port for the whole mesh.
//!
//! It joins the parts that exist already: routes and clusters from the configuration (`polyphony-gateway-core`), the data
//! plane (`polyphony-gateway-proxy`), and the accept loop, TLS, drain and admin pages of the chassis. Its own are two
//! services that no backend could answer for all: health (`health`) and reflection (`reflection`) of the mesh, so
//! that `grpcurl` on this one port lists, describes and calls everything. Every other call is passed on unread.
//!
//! It is not a place for the logic of any service, and it does not translate: JSON, gRPC-Web and the OpenAI shapes are the
//! edge's.

mod builtin;
mod config;
mod door;
mod gateway;
mod health;
mod reflection;

pub use config::{GatewayConfig, Keys, TlsKeys};
pub use gateway::{Error, Gateway, Listeners};
