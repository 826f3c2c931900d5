//! The integration tests of this crate, in one binary so that they link once.
//!
//! `engines` compares with torchcrepe and demucs; `features` compares with librosa and pyloudnorm.

mod engines;
mod features;
