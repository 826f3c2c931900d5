//! What is measured without a model: loudness, tempo, key, chroma, cepstra and spectral descriptors.
//!
//! Definitions and defaults are those of librosa 0.11 (McFee et al. 2015), EBU R128 for loudness, and Krumhansl's
//! profiles for the key; each file names its source. Frames are centred, edges are silence, windows are Hann's.
//!
//! Everything is a state machine fed with samples. Its results do not depend on how they were cut, and it holds one
//! transform, not a spectrogram. Four things need to know the whole before its first frame is made: cepstra, onsets and
//! contrast raise values to 80 dB below the loudest of all, and chroma follow the recording's tuning. So a
//! [`recording`] is played twice, the first time to the [`survey`], if one of them is asked for. A [`stream`] cannot be:
//! there, the loudest so far stands for the loudest of all, and the tuning is that of the first 30 s.

pub mod beats;
pub mod chroma;
pub mod contrast;
pub mod extract;
pub mod frames;
pub mod key;
pub mod loudness;
pub mod matrix;
pub mod mel;
pub mod onset;
pub mod recording;
pub mod settings;
pub mod shape;
pub mod stream;
pub mod survey;
pub mod tempo;
pub mod temporal;
pub mod tuning;

pub use matrix::Matrix;
pub use recording::{Measured, measure};
pub use settings::{Feature, Settings};
pub use stream::FeatureStream;
pub use survey::{Known, Survey};

/// The engine's name in receipts.
pub const NAME: &str = "features";
