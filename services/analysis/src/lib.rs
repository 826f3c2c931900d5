//! Pitch, stems, loudness, tempo, key and spectral features.

pub mod domain;
pub mod engine;
pub mod features;
pub mod pitch;
