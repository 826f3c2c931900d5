//! `polyphony.type.v1` to what engines know, and back: what every service does alike with media, audio encodings,
//! markers, digests and receipts, and how it says which fields it refuses.
//!
//! Only conversions: it serves nothing, and holds nothing but a stream of audio half decoded. What one service alone knows
//! is in that service's `convert`.

pub mod audio;
mod clock;
mod digest;
pub mod hearing;
mod marker;
pub mod media;
mod opening;
mod receipt;
mod refusals;

pub use clock::{Clock, duration};
pub use digest::Expected;
pub use marker::marker;
pub use opening::{another_config, no_config};
pub use polyphony_proto::time::to_wire as wire_duration;
pub use receipt::{Spent, degradation, receipt};
pub use refusals::Refusals;
