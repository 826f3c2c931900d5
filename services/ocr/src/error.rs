//! What can go wrong in text recognition, and its kind: what can in any engine.

pub use polyphony_inference::EngineError as Error;
