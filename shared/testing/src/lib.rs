//! Test tools: throw-away CA, port 0, log capture, patience.
