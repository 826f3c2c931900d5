//! Wire to domain and back: parse once at receipt, infallible outwards.

mod limits;
mod request;
mod spec;
mod video;

pub(crate) use limits::capabilities;
pub(crate) use request::{Wanted, job_id, label, page, wanted_states};
pub(crate) use spec::{Asked, effective};
pub(crate) use video::{progress, video};
