//! The model store: catalogue, pull, verify, load, unload, memory budget.
