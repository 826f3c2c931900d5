//! Where files come from: the hub, over the network, and places on this machine.

mod hub;
mod local;
mod trouble;
mod url;

pub(crate) use hub::{Etag, Hub, Remote};
pub(crate) use local::root_of;
pub(crate) use trouble::{Again, Trouble};
