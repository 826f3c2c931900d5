//! The integration tests of this crate, in one binary so that they link once.
//!
//! `engines` compares with torchcrepe and demucs; `features` compares with librosa and pyloudnorm; the others run the
//! program and speak to it through a socket.

mod bad_configs;
mod bad_input;
mod engines;
mod features;
mod load;
mod served;
mod stems;
mod streams;
mod support;
