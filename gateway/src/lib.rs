//! The door: the gateway process.
