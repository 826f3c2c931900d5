//! Layered configuration: defaults < `polyphony.toml` < environment < flags; dump, check, secrets.
//!
//! One file serves every process of the mesh. It is made of sections (`[gateway]`, `[asr]`, `[telemetry]`), and a
//! crate owns the struct of its section: `serde`, `#[serde(default, deny_unknown_fields)]`, with a `Default` that is
//! the documented default. This crate knows none of them. It
//!
//! - reads the layers once ([`Layers::load`]), with the environment passed in as data ([`Sources`]);
//! - parses a section by its type ([`Layers::section`]), so that the text of an environment variable or a flag becomes
//!   the number, list or duration that the field wants;
//! - remembers where every value came from, so that an error names the key, its origin and what was expected, and the
//!   effective configuration can be printed with origins ([`Dump`]);
//! - keeps secrets ([`Secret`]) out of every print, and reads `key_file` where the field `key` is a secret;
//! - checks that a commented reference file tells the truth about every default ([`Reference`]).
//!
//! It does not watch the file, knows no section, and reads no process state but through [`Sources::of_process`].
//!
//! # The names of a key
//!
//! `asr.max_streams` is `max_streams = 64` under `[asr]` in the file, `POLYPHONY_ASR__MAX_STREAMS=64` in the environment
//! and `--set asr.max_streams=64` on the command line. Variables without a double underscore are not keys: Kubernetes
//! puts such into every pod (`POLYPHONY_ASR_SERVICE_HOST`). A list is comma-separated text or a TOML array; a table is
//! a TOML inline table; the empty text unsets an optional value.

mod byte_size;
mod data_dir;
mod de;
mod dump;
mod error;
mod file;
mod human_duration;
mod layers;
mod number;
mod origin;
mod reference;
mod secret;
mod suggest;
mod text;
mod tree;

pub use byte_size::{ByteSize, NotASize};
pub use data_dir::data_dir;
pub use dump::Dump;
pub use error::Error;
pub use human_duration::{HumanDuration, NotADuration};
pub use layers::{Layers, Sources};
pub use origin::Origin;
pub use reference::{Mismatch, Reference};
pub use secret::Secret;
