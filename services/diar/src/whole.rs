//! One whole recording from bytes to samples, and a place to work on it.

use std::time::{Duration, Instant};

use polyphony_audio::limits::Cancel as StopDecoding;
use polyphony_audio::stream::Format;
use polyphony_chassis::places::{Patience, Places, WorkerPlace};
use polyphony_error::Fault;
use polyphony_wire::audio;
use prost::bytes::Bytes;
use tokio::task;

use crate::domain::Cancel;

/// A recording, decoded, with the right to work on it.
#[derive(Debug)]
pub(crate) struct Recording {
    /// Mono at 16 kHz.
    pub(crate) samples: Vec<f32>,
    pub(crate) length: Duration,
    /// The place goes with the work: who leaves early frees it when the work has really stopped.
    pub(crate) place: WorkerPlace,
    pub(crate) began: Instant,
}

/// Stops decoder and engine when nobody waits any more.
#[derive(Debug, Default)]
pub(crate) struct Abandon {
    pub(crate) engine: Cancel,
    decoder: StopDecoding,
}

// === impl Recording ===

impl Recording {
    /// Waits for a place and decodes. Bad audio is refused before a model is loaded for it. `field` is that of the media.
    pub(crate) async fn open(
        bytes: Bytes,
        format: Format,
        field: &str,
        longest: Duration,
        places: &Places,
        abandon: &Abandon,
    ) -> Result<Self, Fault> {
        let began = Instant::now();
        let place = places.worker(Patience::Queue).await?;
        let (limits, stop) = (audio::limits(&bytes, longest), abandon.decoder.clone());
        let decoded = task::spawn_blocking(move || (audio::decode(&bytes, format, &limits, &stop), place));
        let (decoded, place) = decoded.await.map_err(Fault::internal)?;
        let pcm = decoded.map_err(|error| audio::fault(error, field))?.pcm;
        Ok(Self {
            length: pcm.duration(),
            samples: pcm.into_samples(),
            place,
            began,
        })
    }
}

impl Drop for Abandon {
    fn drop(&mut self) {
        self.engine.cancel();
        self.decoder.cancel();
    }
}
