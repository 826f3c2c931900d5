//! From samples to a line of pitch, around whatever network gives each frame its probabilities.
//!
//! In reading order: `frames` cuts the audio as torchcrepe does, `bins` are its 360 steps of 20 cents, `line` joins
//! frames to a line (by `viterbi`, or each alone), `loudness` tells silence, and `follow` is the machine that a stream
//! feeds and that a whole recording goes through as well. Parity is with torchcrepe 0.0.24 and, where that adds noise to
//! hide the width of a bin, with CREPE itself (Kim et al. 2018): the pitch is placed within its bin by the weights of its
//! neighbours, so that the same audio gives the same numbers twice.
//!
//! No model is opened here.

mod bins;
mod follow;
mod frames;
mod line;
mod loudness;
mod viterbi;

pub use bins::BINS;
pub use follow::{Follower, Network, track};
pub use frames::FRAME;
