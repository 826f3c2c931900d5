//! What can go wrong in speech recognition, and its kind: what can in any engine.

pub use polyphony_inference::EngineError as Error;
