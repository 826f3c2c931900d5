//! A stream of features: its first message becomes a worker, each later one a command; on the worker's thread bytes
//! become samples, and samples features.

use std::sync::Arc;
use std::time::{Duration, Instant};

use polyphony_audio::pcm::Pcm;
use polyphony_chassis::duplex::{self, Inbox, Outbox, Replies, Stop, What};
use polyphony_chassis::places::StreamPlace;
use polyphony_error::Fault;
use polyphony_inference::Cancel;
use polyphony_proto::analysis::v1 as pb;
use polyphony_proto::analysis::v1::streaming_features_request::Request;
use polyphony_proto::analysis::v1::streaming_features_response::Event;
use polyphony_proto::types::v1 as types;
use polyphony_wire::hearing::{self, Hearing, Mono};
use polyphony_wire::{Spent, another_config, no_config, receipt, wire_duration};
use prost::bytes::Bytes;
use tonic::Streaming;

use super::Shared;
use crate::convert::features::Asked;
use crate::convert::measured;
use crate::features::loudness::LoudnessMeter;
use crate::features::{self, Feature, FeatureStream, Matrix};
use crate::metrics::{self, Mode};
use crate::whole::provenance;

/// A stream's work.
struct Worker {
    asked: Asked,
    hearing: Hearing,
    mono: Mono,
    /// Made by the first block, if loudness is wanted.
    meter: Option<LoudnessMeter>,
    cancel: Cancel,
    id: String,
    outbox: Outbox<pb::StreamingFeaturesResponse>,
    sequence: u64,
    busy: Duration,
    _place: StreamPlace,
}

/// Opens a stream.
pub(super) fn open(
    shared: Arc<Shared>,
    place: StreamPlace,
    id: String,
    requests: Streaming<pb::StreamingFeaturesRequest>,
) -> Replies<pb::StreamingFeaturesResponse> {
    let cancel = Cancel::default();
    let guard = cancel.on_drop();
    let idle = shared.idle();
    let begin = async move |first: pb::StreamingFeaturesRequest, outbox| {
        let Some(Request::Config(config)) = first.request else {
            return Err(no_config("config", first.request.is_none()));
        };
        let asked = Asked::parse(Some(config))?;
        let hearing = shared.hearing(asked.format)?;
        let stream = FeatureStream::new(&asked.settings).map_err(Fault::internal)?;
        let worker = Worker {
            mono: Mono::new(asked.settings.rate),
            asked,
            hearing,
            meter: None,
            cancel,
            id,
            outbox,
            sequence: 0,
            busy: Duration::ZERO,
            _place: place,
        };
        Ok(move |commands| worker.run(stream, commands))
    };
    duplex::open(requests, idle, guard, begin, sent)
}

fn sent(message: pb::StreamingFeaturesRequest) -> Result<Bytes, Fault> {
    match message.request {
        Some(Request::Audio(bytes)) => hearing::piece(bytes),
        Some(Request::Config(_)) => Err(another_config("config")),
        None => Err(Fault::invalid("request", "must be audio")),
    }
}

// === impl Worker ===

impl Worker {
    /// Works until the stream is over. Blocks.
    fn run(mut self, stream: FeatureStream, mut commands: Inbox<Bytes>) {
        let span = tracing::info_span!("stream", id = %self.id);
        let _entered = span.enter();
        let ended = self.serve(stream, &mut commands);
        let audio = self.hearing.duration();
        metrics::analysed(features::NAME, Mode::Stream, audio, self.busy);
        self.outbox.end(ended);
        tracing::debug!(?audio, busy = ?self.busy, "stream over");
    }

    fn serve(&mut self, mut stream: FeatureStream, commands: &mut Inbox<Bytes>) -> Result<(), Stop> {
        let ready = pb::StreamingFeaturesReady {
            session_id: self.id.clone(),
            effective_config: Some(self.asked.effective(None)),
            receipt: Some(self.receipt(None)),
        };
        self.send(Event::Ready(ready))?;
        loop {
            // A reader that ended without a word was stopped because the client is gone.
            match commands.recv().ok_or(Stop::Gone)?.what {
                What::Message(bytes) => {
                    self.hearing.feed(&bytes)?;
                    self.hear(&mut stream)?;
                }
                What::End => {
                    self.hearing.finish();
                    self.hear(&mut stream)?;
                    return self.end(stream);
                }
                What::Silence(status) | What::Fail(status) => return Err(Stop::Failed(status)),
            }
        }
    }

    /// Measures all blocks that the bytes so far hold; what follows from a block is told before the next.
    fn hear(&mut self, stream: &mut FeatureStream) -> Result<(), Stop> {
        while let Some(block) = self.hearing.next_block()? {
            let began = Instant::now();
            self.meter(&block)?;
            let samples = self.mono.push(block)?;
            let matrices = stream.push(samples).map_err(Fault::internal)?;
            self.busy += began.elapsed();
            self.tell(matrices)?;
        }
        Ok(())
    }

    /// Loudness is measured in the stream's own rate and channels.
    fn meter(&mut self, block: &Pcm) -> Result<(), Stop> {
        if !self.asked.settings.has(Feature::Loudness) {
            return Ok(());
        }
        let meter = match &mut self.meter {
            Some(meter) => meter,
            none => none.insert(LoudnessMeter::new(block.spec())?),
        };
        Ok(meter.push(block.samples())?)
    }

    fn end(&mut self, mut stream: FeatureStream) -> Result<(), Stop> {
        let began = Instant::now();
        let samples = self.mono.finish()?;
        let matrices = stream.push(samples).map_err(Fault::internal)?;
        let (whole, tuning) = stream.finish(&self.cancel)?;
        let loudness = self.meter.as_ref().map(LoudnessMeter::finish).transpose()?;
        self.busy += began.elapsed();
        self.tell(matrices)?;
        self.tell(whole.matrices)?;
        let settings = &self.asked.settings;
        let ended = pb::FeaturesResponse {
            loudness: loudness.map(measured::loudness),
            tempo: whole.tempo.map(|tempo| measured::tempo(tempo, settings)),
            key: whole.key.map(measured::key),
            matrices: Vec::new(),
            audio_duration: Some(wire_duration(self.hearing.duration())),
            effective_config: Some(self.asked.effective(tuning)),
            receipt: Some(self.receipt(Some(self.busy))),
        };
        self.send(Event::Ended(ended))
    }

    fn tell(&mut self, matrices: Vec<Matrix>) -> Result<(), Stop> {
        for message in measured::messages(matrices, &self.asked.settings) {
            self.send(Event::Matrices(message))?;
        }
        Ok(())
    }

    fn receipt(&self, inference: Option<Duration>) -> types::Receipt {
        let spent = Spent {
            inference,
            ..Spent::default()
        };
        receipt(&self.id, &provenance(), spent)
    }

    fn send(&mut self, event: Event) -> Result<(), Stop> {
        self.sequence += 1;
        let reply = pb::StreamingFeaturesResponse {
            sequence: self.sequence,
            event: Some(event),
        };
        Ok(self.outbox.send(reply)?)
    }
}
