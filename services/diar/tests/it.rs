//! The integration tests of this crate, in one binary so that they link once.

mod service;
