//! A stream of pitch: its first message becomes a worker, each later one a command; on the worker's thread bytes become
//! samples, and samples frames.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use polyphony_audio::pcm::SampleRate;
use polyphony_chassis::duplex::{self, Idle, Inbox, Outbox, Replies, Stop, What};
use polyphony_chassis::places::StreamPlace;
use polyphony_error::Fault;
use polyphony_inference::Cancel;
use polyphony_proto::analysis::v1 as pb;
use polyphony_proto::analysis::v1::streaming_pitch_request::Request;
use polyphony_proto::analysis::v1::streaming_pitch_response::Event;
use polyphony_proto::types::v1 as types;
use polyphony_wire::hearing::{self, Hearing, Mono};
use polyphony_wire::{Spent, another_config, marker, no_config, receipt, wire_duration};
use prost::bytes::Bytes;
use tonic::Streaming;

use super::Shared;
use crate::analyzers::PitchModel;
use crate::convert::pitch::{Asked, track};
use crate::domain::PitchTrack;
use crate::engine::PitchFollower;
use crate::metrics::{self, Mode};

/// Markers that wait at once.
const MOST_MARKERS: usize = 1_024;

/// What the client sent after its config.
#[derive(Debug)]
pub(super) enum Sent {
    Audio(Bytes),
    Marker(String),
}

/// A stream's work.
struct Worker {
    model: PitchModel,
    effective: pb::PitchConfig,
    hop: Duration,
    hearing: Hearing,
    mono: Mono,
    /// Samples given to the follower, and frames that it gave.
    received: u64,
    frames: u64,
    /// Markers, and the time before which every frame must be told first.
    markers: VecDeque<(Duration, String)>,
    id: String,
    outbox: Outbox<pb::StreamingPitchResponse>,
    sequence: u64,
    busy: Duration,
    _place: StreamPlace,
}

/// Opens a stream.
pub(super) fn open(
    shared: Arc<Shared>,
    place: StreamPlace,
    id: String,
    requests: Streaming<pb::StreamingPitchRequest>,
) -> Replies<pb::StreamingPitchResponse> {
    let cancel = Cancel::default();
    let guard = cancel.on_drop();
    let idle: Idle = shared.idle();
    let begin = async move |first: pb::StreamingPitchRequest, outbox| {
        let Some(Request::Config(config)) = first.request else {
            return Err(no_config("config", first.request.is_none()));
        };
        let asked = Asked::parse(Some(config))?;
        let hearing = shared.hearing(asked.format)?;
        let model = shared.analyzers.pitch(&asked.model).await?;
        let effective = asked.fit(model.provenance())?;
        let follower = model.follow(&asked.options, &cancel)?;
        let worker = Worker {
            model,
            effective,
            hop: asked.options.hop,
            hearing,
            mono: Mono::new(SampleRate::SPEECH),
            received: 0,
            frames: 0,
            markers: VecDeque::new(),
            id,
            outbox,
            sequence: 0,
            busy: Duration::ZERO,
            _place: place,
        };
        Ok(move |commands| worker.run(follower, commands))
    };
    duplex::open(requests, idle, guard, begin, sent)
}

fn sent(message: pb::StreamingPitchRequest) -> Result<Sent, Fault> {
    match message.request {
        Some(Request::Audio(bytes)) => hearing::piece(bytes).map(Sent::Audio),
        Some(Request::Marker(id)) => marker(id).map(Sent::Marker),
        Some(Request::Config(_)) => Err(another_config("config")),
        None => Err(Fault::invalid("request", "must be audio or marker")),
    }
}

// === impl Worker ===

impl Worker {
    /// Works until the stream is over. Blocks.
    fn run(mut self, follower: Box<dyn PitchFollower>, mut commands: Inbox<Sent>) {
        let span = tracing::info_span!("stream", id = %self.id);
        let _entered = span.enter();
        let ended = self.serve(follower, &mut commands);
        let (engine, audio) = (self.model.provenance().engine, self.hearing.duration());
        metrics::analysed(engine, Mode::Stream, audio, self.busy);
        self.outbox.end(ended);
        tracing::debug!(?audio, busy = ?self.busy, "stream over");
    }

    fn serve(
        &mut self,
        mut follower: Box<dyn PitchFollower>,
        commands: &mut Inbox<Sent>,
    ) -> Result<(), Stop> {
        let ready = pb::StreamingPitchReady {
            session_id: self.id.clone(),
            effective_config: Some(self.effective.clone()),
            receipt: Some(self.receipt(None)),
        };
        self.send(Event::Ready(ready))?;
        loop {
            // A reader that ended without a word was stopped because the client is gone.
            match commands.recv().ok_or(Stop::Gone)?.what {
                What::Message(Sent::Audio(bytes)) => {
                    self.hearing.feed(&bytes)?;
                    self.hear(&mut *follower)?;
                }
                What::Message(Sent::Marker(id)) => self.mark(id)?,
                What::End => {
                    self.hearing.finish();
                    self.hear(&mut *follower)?;
                    return self.end(follower);
                }
                What::Silence(status) | What::Fail(status) => return Err(Stop::Failed(status)),
            }
        }
    }

    /// Follows all blocks that the bytes so far hold; what follows from a block is told before the next.
    fn hear(&mut self, follower: &mut dyn PitchFollower) -> Result<(), Stop> {
        while let Some(block) = self.hearing.next_block()? {
            let began = Instant::now();
            let samples = self.mono.push(block)?;
            self.received += samples.len() as u64;
            let found = follower.accept(samples);
            self.busy += began.elapsed();
            self.tell(found?)?;
        }
        Ok(())
    }

    fn end(&mut self, mut follower: Box<dyn PitchFollower>) -> Result<(), Stop> {
        let began = Instant::now();
        let samples = self.mono.finish()?;
        self.received += samples.len() as u64;
        let last = follower.accept(samples)?;
        let rest = follower.finish();
        self.busy += began.elapsed();
        self.tell(last)?;
        self.tell(rest?)?;
        while let Some((_, id)) = self.markers.pop_front() {
            self.send(Event::Marker(types::Marker { id }))?;
        }
        let ended = pb::StreamingPitchEnded {
            audio_duration: Some(wire_duration(self.hearing.duration())),
            receipt: Some(self.receipt(Some(self.busy))),
        };
        self.send(Event::Ended(ended))
    }

    fn tell(&mut self, found: PitchTrack) -> Result<(), Stop> {
        if !found.is_empty() {
            self.frames += found.len() as u64;
            self.send(Event::Track(track(found)))?;
        }
        self.echo()
    }

    fn mark(&mut self, id: String) -> Result<(), Stop> {
        if self.markers.len() == MOST_MARKERS {
            let text = "too many markers wait for the audio before them to be worked through";
            return Err(Fault::exhausted("MARKERS_FULL", "marker", text, None).into());
        }
        let now = SampleRate::SPEECH.duration(self.received);
        self.markers.push_back((now, id));
        self.echo()
    }

    /// Echoes the markers whose frames are told.
    fn echo(&mut self) -> Result<(), Stop> {
        let told = self
            .hop
            .saturating_mul(u32::try_from(self.frames).unwrap_or(u32::MAX));
        while let Some((_, id)) = self.markers.pop_front_if(|(at, _)| *at <= told) {
            self.send(Event::Marker(types::Marker { id }))?;
        }
        Ok(())
    }

    fn receipt(&self, inference: Option<Duration>) -> types::Receipt {
        let spent = Spent {
            load: self.model.load,
            inference,
            ..Spent::default()
        };
        receipt(&self.id, self.model.provenance(), spent)
    }

    fn send(&mut self, event: Event) -> Result<(), Stop> {
        self.sequence += 1;
        let reply = pb::StreamingPitchResponse {
            sequence: self.sequence,
            event: Some(event),
        };
        Ok(self.outbox.send(reply)?)
    }
}
