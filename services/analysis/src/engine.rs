//! The verbs of pitch and separation: what every engine can do. One file an engine in `engine/`.
//!
//! An engine knows nothing of gRPC. It is blocking and CPU-bound: callers run it on a blocking thread. Streaming is a
//! state machine fed with samples ([`PitchFollower`], [`Separator`]), so it is tested without a socket. What is measured
//! without a model (loudness, tempo, spectra) is no engine.

pub mod crepe;
pub mod htdemucs;

use std::path::PathBuf;
use std::time::Duration;

use polyphony_audio::pcm::{Pcm, Spec};
use polyphony_inference::Cancel;
use polyphony_models::{Installed, Provenance};

pub use polyphony_inference::EngineError as Error;

use crate::domain::{PitchOptions, PitchTrack, SeparationOptions, SeparationPlan, StemBlock};

/// Finds pitch, with its model loaded; shared by all requests.
pub trait PitchEngine: Send + Sync {
    /// What it is, for receipts.
    fn provenance(&self) -> &Provenance;

    /// The pitch of a whole recording of any length, mono at [`PITCH_RATE`](crate::domain::PITCH_RATE), -1 to 1.
    /// `options` were checked.
    ///
    /// # Errors
    /// [`Error::Cancelled`] within a batch of frames of `cancel`; [`Error::Engine`] when the model fails.
    fn track(&self, audio: &[f32], options: &PitchOptions, cancel: &Cancel) -> Result<PitchTrack, Error>;

    /// Follows the pitch of a stream. Takes little memory and runs nothing yet.
    ///
    /// # Errors
    /// [`Error::Engine`] when the model fails.
    fn follow(&self, options: &PitchOptions, cancel: &Cancel) -> Result<Box<dyn PitchFollower>, Error>;
}

/// The pitch of one stream, fed as it comes. Memory does not grow with its length.
pub trait PitchFollower: Send {
    /// Takes the next samples, mono at [`PITCH_RATE`](crate::domain::PITCH_RATE), and gives the frames that are now
    /// decided, often none. What comes out altogether depends on the samples alone, not on how they were cut.
    ///
    /// # Errors
    /// As [`PitchEngine::track`]. The follower is then of no further use.
    fn accept(&mut self, samples: &[f32]) -> Result<PitchTrack, Error>;

    /// The frames that were still open, now that no more comes.
    ///
    /// # Errors
    /// As [`PitchEngine::track`].
    fn finish(self: Box<Self>) -> Result<PitchTrack, Error>;
}

/// Takes mixes apart, with its model loaded; shared by all requests.
pub trait SeparationEngine: Send + Sync {
    /// What it is, for receipts.
    fn provenance(&self) -> &Provenance;

    /// The stems that the model knows, in its order.
    fn stems(&self) -> &[String];

    /// What would be done. The seed, if none was given, is drawn here: give the plan's options to what follows.
    ///
    /// # Errors
    /// [`Error::Request`] names the field that is out of range, or that this model cannot do.
    fn plan(&self, options: &SeparationOptions) -> Result<SeparationPlan, Error>;

    /// Takes a whole recording apart, of any rate and number of channels. Blocks come as they are ready; their frames
    /// together are the mix's.
    ///
    /// # Errors
    /// [`Error::Cancelled`] soon after `cancel`; [`Error::Engine`] when the model fails; what `sink` says.
    fn separate(
        &self,
        mix: &Pcm,
        plan: &SeparationPlan,
        cancel: &Cancel,
        sink: &mut dyn StemSink,
    ) -> Result<(), Error>;

    /// Begins a mix that is fed as it comes.
    ///
    /// # Errors
    /// [`Error::Engine`] when there is no way from the mix's rate to the model's.
    fn separator(
        &self,
        mix: Spec,
        plan: &SeparationPlan,
        cancel: &Cancel,
    ) -> Result<Box<dyn Separator>, Error>;
}

/// One mix, fed as it comes. Memory does not grow with its length.
pub trait Separator: Send {
    /// Takes the next samples, interleaved, any number of them. What comes out altogether depends on the samples alone,
    /// not on how they were cut.
    ///
    /// # Errors
    /// As [`SeparationEngine::separate`]. The separator is then of no further use.
    fn accept(&mut self, samples: &[f32], sink: &mut dyn StemSink) -> Result<(), Error>;

    /// Gives the rest, now that no more comes.
    ///
    /// # Errors
    /// As [`SeparationEngine::separate`].
    fn finish(self: Box<Self>, sink: &mut dyn StemSink) -> Result<(), Error>;
}

/// Where stems go.
pub trait StemSink {
    /// Takes the next piece of every stem.
    ///
    /// # Errors
    /// Whatever makes further work useless, as [`Error::Cancelled`].
    fn block(&mut self, block: StemBlock) -> Result<(), Error>;

    /// Told after each run of the model: so much of the mix is worked through, in proportion to all the work. Never
    /// falls; runs ahead of what blocks have brought.
    ///
    /// # Errors
    /// As [`StemSink::block`].
    fn progress(&mut self, _done: Duration) -> Result<(), Error> {
        Ok(())
    }
}

/// The graphs among the files of a model, in the order of their names.
fn graphs(installed: &Installed) -> Vec<PathBuf> {
    let names = installed.files.iter().map(|file| file.path.as_str());
    names
        .filter(|name| name.ends_with(".onnx"))
        .filter_map(|name| installed.path(name))
        .collect()
}
