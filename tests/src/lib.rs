//! The mesh under test: `polyphony up` as its own process on free ports.
//!
//! The binaries come from this build (`cargo test --workspace` makes them); what the scripts of `setup/` install is
//! found below `POLYPHONY_HOME`.

mod mesh;
mod stand_in;
mod tools;

pub use mesh::Mesh;
pub use stand_in::StandIn;
pub use tools::{
    binary, clients_python, deploy_python, grpcurl, home, node, repository, speech, speech_bytes, wav,
};
