//! The integration tests of this crate: one binary, because each one is linked anew.
//!
//! Upstreams are raw sockets that send exactly the bytes that a test says, so that what servers do wrong can be done; the
//! proxy is served through real sockets, by gRPC and by HTTP.

mod cache;
mod chat;
mod converse;
mod door;
mod faults;
mod program;
mod routing;
mod support;
mod texts;
