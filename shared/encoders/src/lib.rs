//! Text encoders on ONNX Runtime: sentence embeddings, cross-encoders and their tokenizers.
