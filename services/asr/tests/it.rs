//! The integration tests of this crate, in one binary so that they link once.
//!
//! `whisper` compares the engine with the reference implementation, and serves it from a model store; `real` runs the
//! program with CMU Sphinx, Silero and the store as they are installed; the others use an engine that counts, so that what they say is about the service
//! alone.

mod bad_input;
mod bad_streams;
mod batches;
mod load;
mod real;
mod streams;
mod support;
mod whisper;
