//! The proxy against backends that behave and backends that do not.
//!
//! `row_N` is row N of the parity table: the same code that Envoy 1.40 answers. Where the frames matter, both ends are
//! raw h2 or bytes on a socket.

#![allow(missing_docs, unreachable_pub, reason = "tests are no interface")]

mod backend;
mod client;
mod gate;

mod balance;
mod cancel;
mod failures;
mod flow;
mod health;
mod limits;
mod passing;
