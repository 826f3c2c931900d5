//! Sessions on ONNX Runtime, devices and GPU truth.
