//! What the crate promises, through its public interface and through a real socket.

mod killed;
mod service;
mod store;
