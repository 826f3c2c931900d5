//! The thread of a stream: bytes to samples, samples through the engine, its events to replies.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use polyphony_audio::pcm::SampleRate;
use polyphony_audio::stream::Format;
use polyphony_chassis::duplex::{Inbox, Outbox, Stop, What};
use polyphony_chassis::places::StreamPlace;
use polyphony_error::Fault;
use polyphony_proto::diar::v1 as pb;
use polyphony_proto::diar::v1::streaming_diarize_response::Event as Wire;
use polyphony_proto::types::v1 as types;
use polyphony_wire::hearing::{Hearing, Mono};
use polyphony_wire::{Spent, receipt, wire_duration};
use prost::bytes::Bytes;
use tonic::Status;

use crate::config::Config;
use crate::convert::response;
use crate::convert::streaming::StreamPlan;
use crate::diarizers::Diarizer;
use crate::domain::{Cancel, Ended, Event, SAMPLE_RATE, label};
use crate::engine::Stream;
use crate::identify::Known;
use crate::metrics::{self, Mode};

/// What the client sent after its config.
#[derive(Debug)]
pub(super) enum Sent {
    Audio(Bytes),
    Marker(String),
}

/// A stream's work.
pub(super) struct Worker {
    diarizer: Diarizer,
    plan: StreamPlan,
    known: Option<Known>,
    /// None once it is finished.
    stream: Option<Box<dyn Stream>>,
    hearing: Hearing,
    mono: Mono,
    /// Markers, and the samples that must be settled before each is echoed.
    markers: VecDeque<(u64, String)>,
    id: String,
    outbox: Outbox<pb::StreamingDiarizeResponse>,
    sequence: u64,
    received: u64,
    busy: Duration,
    _place: StreamPlace,
}

// === impl Worker ===

impl Worker {
    #[expect(clippy::too_many_arguments, reason = "all that a stream is made of, once")]
    pub(super) fn new(
        diarizer: Diarizer,
        plan: StreamPlan,
        format: Format,
        known: Option<Known>,
        config: &Config,
        id: String,
        place: StreamPlace,
        outbox: Outbox<pb::StreamingDiarizeResponse>,
        cancel: &Cancel,
    ) -> Result<Self, Fault> {
        let longest = config.max_stream_duration.get();
        let hearing = Hearing::new(format, longest, "streaming_config.config.explicit_decoding")?;
        let stream = diarizer.stream(&plan.options, cancel)?;
        Ok(Self {
            diarizer,
            plan,
            known,
            stream: Some(stream),
            hearing,
            mono: Mono::new(SampleRate::SPEECH),
            markers: VecDeque::new(),
            id,
            outbox,
            sequence: 0,
            received: 0,
            busy: Duration::ZERO,
            _place: place,
        })
    }

    /// Works until the stream is over. Blocks.
    pub(super) fn run(mut self, mut commands: Inbox<Sent>) {
        let span = tracing::info_span!("stream", id = %self.id);
        let _entered = span.enter();
        let ended = self.serve(&mut commands);
        let engine = self.diarizer.info().made.engine;
        metrics::diarized(engine, Mode::Stream, time(self.received), self.busy);
        self.outbox.end(ended);
        tracing::debug!(audio = ?time(self.received), busy = ?self.busy, "stream over");
    }

    fn serve(&mut self, commands: &mut Inbox<Sent>) -> Result<(), Stop> {
        self.send_ready()?;
        while self.stream.is_some() {
            // A reader that ended without a word was stopped because the client is gone.
            let command = commands.recv().ok_or(Stop::Gone)?;
            match command.what {
                What::Message(Sent::Audio(bytes)) => {
                    self.hearing.feed(&bytes)?;
                    self.decode()?;
                }
                What::Message(Sent::Marker(id)) => {
                    self.markers.push_back((self.received, id));
                    self.echo()?;
                }
                What::End => self.end()?,
                What::Silence(status) => return Err(self.cut_off(status)),
                What::Fail(status) => return Err(Stop::Failed(status)),
            }
        }
        Ok(())
    }

    /// Takes all blocks that the bytes so far hold; what follows from a block is told before the next.
    fn decode(&mut self) -> Result<(), Stop> {
        while let Some(block) = self.hearing.next_block()? {
            let samples = self.mono.push(block)?;
            self.received += samples.len() as u64;
            let events = hear(&mut self.stream, samples, &mut self.busy)?;
            self.tell(events)?;
            self.echo()?;
        }
        Ok(())
    }

    fn tell(&mut self, events: Vec<Event>) -> Result<(), Stop> {
        for event in events {
            let wire = match event {
                Event::Segments(told) => Wire::Segments(pb::SpeakerSegments {
                    segments: told.iter().map(response::told).collect(),
                }),
                Event::Merged { from, into } => Wire::Merged(pb::SpeakersMerged {
                    from_label: label(from),
                    into_label: label(into),
                }),
            };
            self.send(wire)?;
        }
        Ok(())
    }

    /// Echoes the markers that are passed.
    fn echo(&mut self) -> Result<(), Stop> {
        let settled = self.stream.as_ref().map_or(u64::MAX, |stream| stream.settled());
        while let Some((at, _)) = self.markers.front()
            && *at <= settled
            && let Some((_, id)) = self.markers.pop_front()
        {
            self.send(Wire::Marker(types::Marker { id }))?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Stop> {
        self.hearing.finish();
        self.decode()?;
        let ended = self.finish()?;
        let names = self.known.take().map(|known| {
            let threshold = self.plan.plan.identification;
            known.name(&ended.speakers, threshold)
        });
        let speakers = response::speakers(
            &ended.speakers,
            &names.unwrap_or_default(),
            self.plan.plan.embeddings,
        );
        let spent = Spent {
            load: self.diarizer.load,
            inference: Some(self.busy),
            ..Spent::default()
        };
        self.send(Wire::Ended(pb::StreamingDiarizeEnded {
            audio_duration: Some(wire_duration(time(self.received))),
            speakers,
            receipt: Some(receipt(&self.id, &self.diarizer.info().made, spent)),
        }))
    }

    /// Hears what the resampler holds back, and ends the engine's stream.
    fn finish(&mut self) -> Result<Ended, Stop> {
        let samples = self.mono.finish()?;
        self.received += samples.len() as u64;
        let events = hear(&mut self.stream, samples, &mut self.busy)?;
        self.tell(events)?;
        self.echo()?;
        let Some(stream) = self.stream.take() else {
            return Ok(Ended::default());
        };
        let began = Instant::now();
        let finished = stream.finish();
        self.busy += began.elapsed();
        let (events, ended) = finished?;
        self.tell(events)?;
        self.echo()?;
        Ok(ended)
    }

    /// A client that fell silent hears what was found until then, and why the stream ends.
    fn cut_off(&mut self, status: Status) -> Stop {
        match self.finish() {
            Err(Stop::Gone) => Stop::Gone,
            Ok(_) | Err(Stop::Failed(_)) => Stop::Failed(status),
        }
    }

    fn send_ready(&mut self) -> Result<(), Stop> {
        let spent = Spent {
            load: self.diarizer.load,
            ..Spent::default()
        };
        self.send(Wire::Ready(pb::StreamingDiarizeReady {
            session_id: self.id.clone(),
            effective_config: Some(self.plan.effective.clone()),
            receipt: Some(receipt(&self.id, &self.diarizer.info().made, spent)),
        }))
    }

    fn send(&mut self, event: Wire) -> Result<(), Stop> {
        self.sequence += 1;
        let settled = self
            .stream
            .as_ref()
            .map_or(self.received, |stream| stream.settled());
        let behind = self.received.saturating_sub(settled);
        let reply = pb::StreamingDiarizeResponse {
            sequence: self.sequence,
            acked_audio_offset: Some(wire_duration(time(self.received))),
            lag_duration: Some(wire_duration(time(behind))),
            event: Some(event),
        };
        Ok(self.outbox.send(reply)?)
    }
}

fn time(samples: u64) -> Duration {
    Duration::from_secs_f64(samples as f64 / f64::from(SAMPLE_RATE))
}

/// Hands samples to the engine, and counts the time that it takes.
fn hear(
    stream: &mut Option<Box<dyn Stream>>,
    samples: &[f32],
    busy: &mut Duration,
) -> Result<Vec<Event>, crate::Error> {
    let Some(stream) = stream else {
        return Ok(Vec::new());
    };
    let began = Instant::now();
    let events = stream.push(samples);
    *busy += began.elapsed();
    events
}
