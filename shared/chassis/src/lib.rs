//! How a process lives on the mesh: telemetry, TLS, health, layers, serve, connect.
