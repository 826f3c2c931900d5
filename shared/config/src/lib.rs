//! Layered configuration: defaults, file, environment, flags; dump, check, secrets.
