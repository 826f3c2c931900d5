//! One whole recording from bytes to an answer: what `Pitch` and `Features` do.

use std::time::{Duration, Instant};

use polyphony_audio::limits::{Cancel as StopDecoding, Limits};
use polyphony_chassis::places::{Patience, Places};
use polyphony_error::Fault;
use polyphony_inference::Cancel;
use polyphony_models::Provenance;
use polyphony_proto::analysis::v1 as pb;
use polyphony_wire::{Spent, audio, receipt, wire_duration};
use prost::bytes::Bytes;
use tokio::task;

use crate::analyzers::Analyzers;
use crate::convert::{self, measured};
use crate::features::{self, recording};
use crate::metrics::{self, Mode};

/// Where the recording stands in its request.
pub(crate) const FIELD: &str = "audio";
/// What an answer needs besides values.
const ROOM: u64 = 64 << 10;

/// Stops decoder and engine when nobody waits any more.
#[derive(Debug, Default)]
pub(crate) struct Abandon {
    pub(crate) engine: Cancel,
    pub(crate) decoder: StopDecoding,
}

/// How much is taken, and by whom it is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) places: &'a Places,
    pub(crate) request_id: &'a str,
    /// The longest recording.
    pub(crate) longest: Duration,
    /// The largest answer, in bytes.
    pub(crate) most_bytes: u64,
}

/// What made features.
pub(crate) fn provenance() -> Provenance {
    Provenance {
        engine: features::NAME,
        version: concat!("polyphony ", env!("CARGO_PKG_VERSION")).to_owned(),
        model: String::new(),
        digest: String::new(),
        device: "cpu".to_owned(),
        degraded: None,
    }
}

/// Finds the pitch of a recording. Dropping the future stops the work within a batch of frames.
pub(crate) async fn pitch(
    asked: convert::pitch::Asked,
    bytes: Bytes,
    analyzers: &Analyzers,
    call: Call<'_>,
) -> Result<pb::PitchResponse, Fault> {
    let began = Instant::now();
    let abandon = Abandon::default();
    let place = call.places.worker(Patience::Queue).await?;
    let waited = place.waited;
    let (limits, format) = (audio::limits(&bytes, call.longest), asked.format);
    let stop = abandon.decoder.clone();
    // Bad audio is refused before a model is loaded for it. The place goes with the work: who leaves early frees it
    // when the work has really stopped.
    let decoded = task::spawn_blocking(move || (audio::decode(&bytes, format, &limits, &stop), place));
    let (decoded, place) = decoded.await.map_err(Fault::internal)?;
    let pcm = decoded.map_err(|error| audio::fault(error, FIELD))?.pcm;
    let model = analyzers.pitch(&asked.model).await?;
    let effective = asked.fit(model.provenance())?;
    let (options, cancel, load) = (asked.options, abandon.engine.clone(), model.load);
    let work = task::spawn_blocking(move || {
        let _place = place;
        let began = Instant::now();
        let tracked = model.track(pcm.samples(), &options, &cancel);
        let spent = began.elapsed();
        let made = model.provenance().clone();
        metrics::analysed(made.engine, Mode::Whole, pcm.duration(), spent);
        (tracked, pcm.duration(), spent, made)
    });
    let (tracked, length, inference, made) = work.await.map_err(Fault::internal)?;
    let track = tracked?;
    let spent = Spent {
        queue: Some(waited),
        load,
        inference: Some(inference),
        total: Some(began.elapsed()),
    };
    let voiced_ratio = track.voiced_ratio();
    Ok(pb::PitchResponse {
        track: Some(convert::pitch::track(track)),
        voiced_ratio,
        audio_duration: Some(wire_duration(length)),
        effective_config: Some(effective),
        receipt: Some(receipt(call.request_id, &made, spent)),
    })
}

/// Measures a recording. Dropping the future stops the work within a block.
pub(crate) async fn measure(
    asked: convert::features::Asked,
    bytes: Bytes,
    call: Call<'_>,
) -> Result<pb::FeaturesResponse, Fault> {
    let began = Instant::now();
    let abandon = Abandon::default();
    let place = call.places.worker(Patience::Queue).await?;
    let waited = place.waited;
    let limits = Limits {
        max_bytes: bytes.len() as u64,
        max_duration: call.longest,
        ..Limits::default()
    };
    // A value is four bytes.
    let most_values = call.most_bytes.saturating_sub(ROOM) / 4;
    let (format, settings) = (asked.format, asked.settings.clone());
    let (cancel, stop) = (abandon.engine.clone(), abandon.decoder.clone());
    let work = task::spawn_blocking(move || {
        let _place = place;
        let began = Instant::now();
        let open = || audio::open(&bytes, format, &limits, &stop);
        (
            features::measure(open, &settings, most_values, &cancel),
            began.elapsed(),
        )
    });
    let (measured, inference) = work.await.map_err(Fault::internal)?;
    let measured = measured.map_err(fault)?;
    metrics::analysed(features::NAME, Mode::Whole, measured.duration, inference);
    let spent = Spent {
        queue: Some(waited),
        load: None,
        inference: Some(inference),
        total: Some(began.elapsed()),
    };
    let settings = &asked.settings;
    Ok(pb::FeaturesResponse {
        loudness: measured.loudness.map(measured::loudness),
        tempo: measured.tempo.map(|tempo| measured::tempo(tempo, settings)),
        key: measured.key.map(measured::key),
        matrices: measured
            .matrices
            .into_iter()
            .map(|matrix| measured::matrix(matrix, settings))
            .collect(),
        audio_duration: Some(wire_duration(measured.duration)),
        effective_config: Some(asked.effective(measured.tuning)),
        receipt: Some(receipt(call.request_id, &provenance(), spent)),
    })
}

fn fault(error: recording::Error) -> Fault {
    match error {
        recording::Error::Audio(error) => audio::fault(error, FIELD),
        recording::Error::Work(error) => error.into(),
    }
}

impl Drop for Abandon {
    fn drop(&mut self) {
        self.engine.cancel();
        self.decoder.cancel();
    }
}
