//! The integration tests of this crate, in one binary so that they link once.
//!
//! `features` compares with librosa and pyloudnorm.

mod features;
