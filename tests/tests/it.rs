//! What needs more than one service, in one binary: `cargo test -p polyphony-tests`.

mod clients;
mod command_line;
mod dashboards;
mod deploy;
mod docs;
mod language;
mod layers;
mod mesh;
mod tls;
mod video;
