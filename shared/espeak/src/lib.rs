//! espeak-ng, opened at run time: phones, speech and the times of both.
//!
//! [`Espeak`] is the library with its data: voices, text as speech with the times of words and phones
//! ([`Espeak::speak`], [`Espeak::render`]), text as phones ([`Espeak::phonemes`]). Two services use it: synthesis as its
//! embedded default and for the phones of its models, alignment to have something to align with.
//!
//! It is no speech synthesis service: no SSML, no streams, no choice of a model. The library is under the GPL and is
//! never linked in; it keeps one state a process and is not safe to use from two threads, so all calls take their turn,
//! and none holds it for longer than a part of a text takes (a quarter of a second at most).
//!
//! Opening it sets the process's locale for characters (`LC_CTYPE`), which nothing else here depends on.

mod error;
mod espeak;
mod ffi;
mod ipa;
mod phonemes;
mod speech;
mod text;
mod voices;

pub use error::Error;
pub use espeak::{Espeak, Script, Settings};
pub use phonemes::PhoneClause;
pub use speech::{Phone, Speech, Word};
pub use text::Pronunciation;
pub use voices::{Gender, VARIANTS, Voice};
