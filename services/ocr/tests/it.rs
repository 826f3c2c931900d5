//! What the crate promises, through its public interface and through a real socket.

#![allow(clippy::unwrap_used, reason = "a test has nobody to hand an error to")]

mod bad_input;
mod batches;
mod documents;
mod hostile;
mod images;
mod mutations;
mod real;
mod streams;
mod support;
