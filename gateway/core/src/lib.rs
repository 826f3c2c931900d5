//! Routes, clusters, endpoints and policies of the gateway: pure data, no I/O.
