//! With what a result was made: what receipts and capabilities say of a loaded model.

/// What did the work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// The engine, as "whisper" or "espeak".
    pub engine: &'static str,
    /// The engine's runtime and its version, as "onnxruntime 1.31.1".
    pub version: String,
    /// The model's id in the catalogue.
    pub model: String,
    /// The model's digest, `sha256:` and hexadecimal.
    pub digest: String,
    /// "cpu", "cuda:0".
    pub device: String,
    /// Set when this is a fallback.
    pub degraded: Option<Degradation>,
}

/// A fallback and why it was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Degradation {
    /// A stable reason for programs, as "NO_NEURAL_MODEL".
    pub reason: &'static str,
    /// The same for a person, with the remedy.
    pub message: String,
}
