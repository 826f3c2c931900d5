//! The proxy as a process of its own.

fn main() {}
