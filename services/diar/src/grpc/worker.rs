//! The thread of a stream: bytes to samples, samples through the engine, its events to replies.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use polyphony_audio::limits::Limits;
use polyphony_audio::pcm::SampleRate;
use polyphony_audio::resample::Resampler;
use polyphony_audio::stream::{Format, StreamDecoder};
use polyphony_chassis::duplex::{Gone, Inbox, Outbox, What, told};
use polyphony_chassis::places::StreamPlace;
use polyphony_error::Fault;
use polyphony_proto::diar::v1 as pb;
use polyphony_proto::diar::v1::streaming_diarize_response::Event as Wire;
use polyphony_proto::types::v1 as types;
use polyphony_wire::{Spent, audio, receipt, wire_duration};
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
    decoder: StreamDecoder,
    resampler: Option<Resampler>,
    /// Markers, and the samples that must be settled before each is echoed.
    markers: VecDeque<(u64, String)>,
    id: String,
    outbox: Outbox<pb::StreamingDiarizeResponse>,
    sequence: u64,
    received: u64,
    busy: Duration,
    samples: Vec<f32>,
    _place: StreamPlace,
}

/// Why a worker stops before its end.
enum Stop {
    /// Nobody reads any more.
    Gone,
    /// The client is told.
    Failed(Status),
}

/// A stream without a limit ends before this.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

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
        let limits = Limits {
            max_bytes: u64::MAX,
            max_duration: if longest.is_zero() { FOREVER } else { longest },
            ..Limits::default()
        };
        let decoder = StreamDecoder::new(format, limits)
            .map_err(|error| audio::fault(error, "streaming_config.config.explicit_decoding"))?;
        let stream = diarizer.stream(&plan.options, cancel)?;
        Ok(Self {
            diarizer,
            plan,
            known,
            stream: Some(stream),
            decoder,
            resampler: None,
            markers: VecDeque::new(),
            id,
            outbox,
            sequence: 0,
            received: 0,
            busy: Duration::ZERO,
            samples: Vec::new(),
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
        match ended {
            Ok(()) | Err(Stop::Gone) => {}
            Err(Stop::Failed(status)) => self.outbox.fail(status),
        }
        tracing::debug!(audio = ?time(self.received), busy = ?self.busy, "stream over");
    }

    fn serve(&mut self, commands: &mut Inbox<Sent>) -> Result<(), Stop> {
        self.send_ready()?;
        while self.stream.is_some() {
            // A reader that ended without a word was stopped because the client is gone.
            let command = commands.recv().ok_or(Stop::Gone)?;
            match command.what {
                What::Message(Sent::Audio(bytes)) => {
                    self.decoder.feed(&bytes).map_err(bad_audio)?;
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
        while let Some(block) = self.decoder.next_block().map_err(bad_audio)? {
            let rate = block.spec().rate;
            let mono = block.into_mono();
            let resampler = match &mut self.resampler {
                Some(resampler) => resampler,
                none => none.insert(Resampler::new(rate, SampleRate::SPEECH).map_err(bad_audio)?),
            };
            self.samples.clear();
            resampler
                .push(mono.samples(), &mut self.samples)
                .map_err(bad_audio)?;
            self.hear()?;
        }
        Ok(())
    }

    /// Hands the samples to the engine, and tells what follows.
    fn hear(&mut self) -> Result<(), Stop> {
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        let began = Instant::now();
        let events = stream.push(&self.samples).map_err(failed);
        self.busy += began.elapsed();
        self.received += self.samples.len() as u64;
        self.tell(events?)?;
        self.echo()
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
        self.decoder.finish();
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
        self.samples.clear();
        if let Some(resampler) = &mut self.resampler {
            resampler.finish(&mut self.samples).map_err(bad_audio)?;
        }
        self.hear()?;
        let Some(stream) = self.stream.take() else {
            return Ok(Ended::default());
        };
        let began = Instant::now();
        let finished = stream.finish().map_err(failed);
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
        self.outbox.send(reply).map_err(|Gone| Stop::Gone)
    }
}

fn time(samples: u64) -> Duration {
    Duration::from_secs_f64(samples as f64 / f64::from(SAMPLE_RATE))
}

fn bad_audio(error: polyphony_audio::Error) -> Stop {
    Stop::Failed(audio::fault(error, "audio").into())
}

fn failed(error: crate::Error) -> Stop {
    match error {
        crate::Error::Cancelled => Stop::Gone,
        error => Stop::Failed(told(error.into())),
    }
}
