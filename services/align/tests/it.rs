//! The integration tests of this crate, in one binary so that they link once.
//!
//! `parity` compares the CTC engine with transformers and torchaudio; `real` runs the program with espeak-ng as it is
//! installed, on the voice of another synthesiser; `bad_input` and `streams` run the same program and send it what it must refuse, or
//! piece by piece.

mod bad_input;
mod parity;
mod real;
mod streams;
mod support;
