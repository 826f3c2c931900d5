//! The chassis over real sockets: one test for each way in which a gRPC server of this stack is known to fail.

mod abuse;
mod connect;
mod deadlines;
mod drain;
mod echo;
mod errors;
mod harness;
mod health;
mod limits;
mod process;
mod raw;
mod tls;
