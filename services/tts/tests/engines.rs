//! The engines, each on what it needs to speak: the library of the espeak-ng wheel, tiny models with random weights.

mod espeak;
mod kokoro;
mod piper;
mod support;
