//! What the crate promises, through its public interface and through a real socket.

#![allow(clippy::unwrap_used, reason = "a test has nobody to hand an error to")]

mod documents;
mod hostile;
mod mutations;
mod support;
