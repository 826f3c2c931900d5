//! Forced alignment: when each word of a known text is said.
