//! Retrieval as a process of its own.

fn main() {}
