//! Wire to domain, once, at receipt; domain to wire, without failing. Nothing else.
//!
//! Every message is destructured, so that a new field does not compile until somebody has decided whether it is
//! honoured or refused.

pub(crate) mod pages;
pub(crate) mod request;
pub(crate) mod response;
