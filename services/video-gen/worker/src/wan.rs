//! Wan 2.1 text to video (Wan Team, Alibaba 2025, arXiv 2503.20314) on LibTorch.
//!
//! A prompt becomes tokens ([`prompt`]) and vectors ([`umt5`]); noise becomes latents by a flow that the [`transformer`]
//! predicts and a [`scheduler`] follows; the causal [`vae`] makes frames of latents. [`pipeline`] is the whole.
//!
//! The arithmetic is that of diffusers 0.42.1, which the tests compare every part with. Where it differs it gives the same
//! numbers for less: both halves of guidance go through in one pass and share what does not depend on the prompt, keys and
//! values of the prompt are made once, and a prompt's padding is never computed.

pub mod checkpoint;
pub mod layers;
pub mod layout;
pub mod noise;
pub mod pipeline;
pub mod prompt;
pub mod rope;
pub mod scheduler;
pub mod transformer;
pub mod umt5;
pub mod vae;
