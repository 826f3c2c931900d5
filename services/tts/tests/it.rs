//! The integration tests of this crate: one binary, because each one is linked anew.
//!
//! `engines` tries each engine by its own promise; the others serve espeak-ng as `make setup` installs it through a real
//! socket.

mod bad_input;
mod engines;
mod program;
mod streams;
mod support;
mod voices;
mod whole;
