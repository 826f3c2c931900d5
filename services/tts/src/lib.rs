//! Speech synthesis: text in, speech out, as it is written.

pub mod voices;
