//! Wire to domain and back: parse once at receipt, infallible outwards.

pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod status;
