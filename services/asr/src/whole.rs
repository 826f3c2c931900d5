//! One whole recording from bytes to results: what `Recognize` and each file of `BatchRecognize` have in common.

use std::time::{Duration, Instant};

use polyphony_audio::limits::Cancel as StopDecoding;
use polyphony_chassis::places::{Patience, Places};
use polyphony_error::Fault;
use polyphony_proto::asr::v1 as pb;
use polyphony_wire::{Spent, audio as wire_audio, receipt, wire_duration};
use prost::bytes::Bytes;
use tokio::task;

use crate::convert::request::Asked;
use crate::convert::response;
use crate::domain::{Cancel, Transcript};
use crate::metrics::{self, Mode};
use crate::recognizers::Recognizers;

/// A recording and how to recognise it.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) bytes: Bytes,
    pub(crate) asked: Asked,
    /// Where the bytes stood in the request.
    pub(crate) field: String,
    /// The longest that is accepted.
    pub(crate) longest: Duration,
    pub(crate) patience: Patience,
}

/// What a recording became.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) response: pb::RecognizeResponse,
    /// As the engine told it, for other formats.
    pub(crate) transcript: Transcript,
}

/// How far a recording is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It has a worker, which looks at the audio.
    Decoding,
    Loading,
    Running,
}

/// Stops decoder and engine when nobody waits any more.
struct Abandon {
    engine: Cancel,
    decoder: StopDecoding,
}

/// Recognises a recording. Dropping the future, or setting `cancel`, stops the work within two decode steps.
pub(crate) async fn recognise(
    recording: Recording,
    recognizers: &Recognizers,
    places: &Places,
    request_id: &str,
    cancel: &Cancel,
    stage: impl Fn(Stage) + Send + Sync,
) -> Result<Outcome, Fault> {
    let began = Instant::now();
    let abandon = Abandon {
        engine: cancel.clone(),
        decoder: StopDecoding::new(),
    };
    let Recording {
        bytes,
        asked,
        field,
        longest,
        patience,
    } = recording;
    let place = places.worker(patience).await?;
    let waited = place.waited;
    stage(Stage::Decoding);
    let limits = wire_audio::limits(&bytes, longest);
    let (format, stop) = (asked.format, abandon.decoder.clone());
    // Bad audio is refused before a model is loaded for it. The place goes with the work: who leaves early frees it
    // when the work has really stopped.
    let decoded = task::spawn_blocking(move || (wire_audio::decode(&bytes, format, &limits, &stop), place));
    let (decoded, place) = decoded.await.map_err(Fault::internal)?;
    let audio = decoded.map_err(|error| wire_audio::fault(error, &field))?.pcm;
    if cancel.is_cancelled() {
        return Err(crate::Error::Cancelled.into());
    }
    stage(Stage::Loading);
    let recognizer = recognizers.acquire(&asked.model).await?;
    let plan = asked.fit(recognizer.engine.info())?;
    stage(Stage::Running);
    let (load, flag) = (recognizer.load, abandon.engine.clone());
    let options = plan.options;
    let work = task::spawn_blocking(move || {
        let _place = place;
        let began = Instant::now();
        let length = audio.duration();
        let transcript = recognizer.engine.recognize(audio.samples(), &options, &flag);
        metrics::recognised(
            recognizer.engine.info().made.engine,
            Mode::Whole,
            length,
            began.elapsed(),
        );
        (transcript, length, began.elapsed(), recognizer)
    });
    let (transcript, length, inference, recognizer) = work.await.map_err(Fault::internal)?;
    let transcript = transcript?;
    let spent = Spent {
        queue: Some(waited),
        load,
        inference: Some(inference),
        total: Some(began.elapsed()),
    };
    let response = pb::RecognizeResponse {
        results: response::results(transcript.clone(), &plan.shown),
        language_code: transcript.language.clone().unwrap_or_default(),
        audio_duration: Some(wire_duration(length)),
        effective_config: Some(plan.effective),
        receipt: Some(receipt(request_id, &recognizer.engine.info().made, spent)),
    };
    Ok(Outcome { response, transcript })
}

impl Drop for Abandon {
    fn drop(&mut self) {
        self.engine.cancel();
        self.decoder.cancel();
    }
}
