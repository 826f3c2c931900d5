//! One whole recording from bytes to words.

use std::time::{Duration, Instant};

use polyphony_audio::limits::Cancel as StopDecoding;
use polyphony_chassis::places::{Patience, Places};
use polyphony_error::Fault;
use polyphony_proto::align::v1 as pb;
use polyphony_wire::{Spent, audio as wire_audio, receipt, wire_duration};
use prost::bytes::Bytes;
use tokio::task;

use crate::aligners::Aligners;
use crate::convert::request::{Asked, Plan};
use crate::convert::response;
use crate::domain::{Alignment, Cancel};
use crate::engine;
use crate::metrics::{self, Mode};
use crate::text::Text;

/// A recording, its text, and how to align them.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) bytes: Bytes,
    pub(crate) text: Text,
    pub(crate) asked: Asked,
    /// The longest that is accepted.
    pub(crate) longest: Duration,
}

/// Stops decoder and engine when nobody waits any more.
#[derive(Debug, Default)]
struct Abandon {
    engine: Cancel,
    decoder: StopDecoding,
}

/// Aligns a recording. Dropping the future stops the work soon.
pub(crate) async fn align(
    recording: Recording,
    aligners: &Aligners,
    places: &Places,
    request_id: &str,
) -> Result<pb::AlignResponse, Fault> {
    let began = Instant::now();
    let abandon = Abandon::default();
    let Recording {
        bytes,
        text,
        asked,
        longest,
    } = recording;
    let place = places.worker(Patience::Queue).await?;
    let waited = place.waited;
    let limits = wire_audio::limits(&bytes, longest);
    let (format, stop) = (asked.format, abandon.decoder.clone());
    // Bad audio is refused before a model is loaded for it. The place goes with the work: who leaves early frees it
    // when the work has really stopped.
    let decoded = task::spawn_blocking(move || (wire_audio::decode(&bytes, format, &limits, &stop), place));
    let (decoded, place) = decoded.await.map_err(Fault::internal)?;
    let audio = decoded.map_err(|error| wire_audio::fault(error, "audio"))?.pcm;
    let language = asked.language.clone();
    let fits = move |info: &crate::domain::EngineInfo| Asked::suits(&language, info);
    let aligner = aligners.acquire_for(&asked.model, fits).await?;
    let Plan { options, effective } = asked.fit(aligner.info())?;
    let (load, cancel) = (aligner.load, abandon.engine.clone());
    let work = task::spawn_blocking(move || {
        let _place = place;
        let began = Instant::now();
        let length = audio.duration();
        let alignment = engine::align(&**aligner, audio.samples(), &text, &options, &cancel);
        let words = alignment
            .as_ref()
            .map_or(0, |alignment| alignment.words.len() as u64);
        metrics::aligned(
            aligner.info().made.engine,
            Mode::Whole,
            length,
            began.elapsed(),
            words,
        );
        (alignment, length, began.elapsed(), aligner)
    });
    let (alignment, length, inference, aligner) = work.await.map_err(Fault::internal)?;
    let Alignment {
        words,
        quality,
        loose,
    } = alignment?;
    let spent = Spent {
        queue: Some(waited),
        load,
        inference: Some(inference),
        total: Some(began.elapsed()),
    };
    Ok(pb::AlignResponse {
        words: response::words(words),
        alignment_quality: quality,
        unaligned_spans: response::loose(loose),
        audio_duration: Some(wire_duration(length)),
        effective_config: Some(effective),
        receipt: Some(receipt(request_id, &aligner.info().made, spent)),
    })
}

impl Drop for Abandon {
    fn drop(&mut self) {
        self.engine.cancel();
        self.decoder.cancel();
    }
}
