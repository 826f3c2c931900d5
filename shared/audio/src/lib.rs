//! PCM, decoding, resampling, features and voice activity: what every service that hears needs, and no model.
//!
//! The life of a recording: bytes → [`mod@probe`] finds the container by its first bytes → [`mod@decode`] (a whole file) or
//! [`stream`] (bytes as they arrive) gives blocks of [`pcm`] under [`limits`] → [`resample`] brings them to 16 kHz →
//! [`mel`] makes what Whisper-like models eat, [`fbank`] what Kaldi's do, [`mfcc`] cepstra, [`endpoint`] finds where people
//! speak. [`mod@write`] makes WAV files,
//! [`mod@encode`] every other kind.
//!
//! Input is hostile here. Every length is checked when it is declared and again when it turns out; a decoder that
//! panics is caught; a decoder that crawls is stopped; what ends early says so ([`Error::Truncated`]).
//! The bytes that are held are bounded by [`limits::Limits`], whatever the input claims.
//!
//! Not here: ONNX Runtime (the Silero session is in `polyphony-inference`), gRPC, files, sockets.

pub mod decode;
pub mod encode;
pub mod endpoint;
pub mod fbank;
pub mod limits;
pub mod mel;
pub mod mfcc;
pub mod pcm;
pub mod probe;
pub mod resample;
pub mod stream;
pub mod write;

mod error;
mod meter;
mod raw;
mod wav;

pub use error::{Class, Error};
