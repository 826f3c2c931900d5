//! One door to every language model.
