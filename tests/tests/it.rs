//! What needs more than one service, in one binary: `cargo test -p polyphony-tests`.

mod clients;
mod layers;
mod mesh;
