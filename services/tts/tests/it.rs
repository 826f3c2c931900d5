//! The integration tests of this crate: one binary, because each one is linked anew.

mod engines;
