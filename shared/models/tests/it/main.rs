//! Pulls from a stand-in of the model hub: the hub's own paths and headers over real sockets, and everything that can
//! go wrong on the way.

mod hub;
mod pull;
mod refusals;
mod resume;
mod world;
