//! The encoders of this crate on real files, in one binary.

mod it {
    mod bad_input;
    mod parity;
    mod shared;
    mod support;
}
