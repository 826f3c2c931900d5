//! The crate from outside: real containers, hostile bytes, features against a reference.

mod it {
    pub(crate) mod alloc;
    pub(crate) mod bombs;
    pub(crate) mod fbank;
    pub(crate) mod formats;
    pub(crate) mod media;
    pub(crate) mod mel;
    pub(crate) mod mfcc;
    pub(crate) mod mutations;
    pub(crate) mod streams;
    pub(crate) mod vad;
    pub(crate) mod wav;
}
