//! The thread of a stream: bytes to samples, samples through the state machine, its events to replies.

use std::time::{Duration, Instant};

use polyphony_audio::pcm::SampleRate;
use polyphony_chassis::duplex::{Inbox, Outbox, Stop, What};
use polyphony_chassis::places::StreamPlace;
use polyphony_error::Fault;
use polyphony_proto::asr::v1 as pb;
use polyphony_wire::hearing::{Hearing, Mono};
use polyphony_wire::{Spent, receipt, wire_duration};
use prost::bytes::Bytes;

use crate::config::Config;
use crate::convert::response;
use crate::convert::streaming::{StreamPlan, View};
use crate::domain::Cancel;
use crate::metrics::{self, Mode};
use crate::recognizers::Recognizer;
use crate::session::{self, EndReason, Event, Session};

/// What the client sent after its config.
#[derive(Debug)]
pub(super) enum Sent {
    Audio(Bytes),
    Marker(String),
    Flush,
}

/// A stream's work.
pub(super) struct Worker {
    recognizer: Recognizer,
    session: Session,
    view: View,
    effective: Option<pb::StreamingRecognitionConfig>,
    hearing: Hearing,
    mono: Mono,
    id: String,
    outbox: Outbox<pb::StreamingRecognizeResponse>,
    sequence: u64,
    /// When what is being worked on arrived.
    arrived: Instant,
    busy: Duration,
    events: Vec<Event>,
    _place: StreamPlace,
}

// === impl Worker ===

impl Worker {
    pub(super) fn new(
        recognizer: Recognizer,
        plan: StreamPlan,
        config: &Config,
        id: String,
        place: StreamPlace,
        outbox: Outbox<pb::StreamingRecognizeResponse>,
        cancel: &Cancel,
    ) -> Result<Self, Fault> {
        let longest = config.max_stream_duration.get();
        let hearing = Hearing::new(plan.format, longest, "streaming_config.config.explicit_decoding")?;
        let (engine, vad) = (recognizer.engine.clone(), recognizer.vad.stream());
        Ok(Self {
            session: Session::new(plan.settings, engine, vad, cancel)?,
            recognizer,
            view: plan.view,
            effective: Some(plan.effective),
            hearing,
            mono: Mono::new(SampleRate::SPEECH),
            id,
            outbox,
            sequence: 0,
            arrived: Instant::now(),
            busy: Duration::ZERO,
            events: Vec::new(),
            _place: place,
        })
    }

    /// Works until the stream is over. Blocks.
    pub(super) fn run(mut self, mut commands: Inbox<Sent>) {
        let span = tracing::info_span!("stream", id = %self.id);
        let _entered = span.enter();
        let ended = self.serve(&mut commands);
        let audio = session::time(self.session.received());
        let engine = self.recognizer.engine.info().made.engine;
        metrics::recognised(engine, Mode::Stream, audio, self.busy);
        self.outbox.end(ended);
        tracing::debug!(?audio, utterances = self.session.utterances(), busy = ?self.busy, "stream over");
    }

    fn serve(&mut self, commands: &mut Inbox<Sent>) -> Result<(), Stop> {
        self.send_ready()?;
        while !self.session.is_over() {
            // A reader that ended without a word was stopped because the client is gone.
            let command = commands.recv().ok_or(Stop::Gone)?;
            self.arrived = command.arrived;
            let done = self.step(command.what);
            // What was heard before an error is told before it.
            self.send_events()?;
            done?;
        }
        Ok(())
    }

    fn step(&mut self, what: What<Sent>) -> Result<(), Stop> {
        match what {
            What::Message(Sent::Audio(bytes)) => {
                self.hearing.feed(&bytes)?;
                self.decode()
            }
            What::Message(Sent::Marker(id)) => {
                self.session.marker(id, &mut self.events);
                Ok(())
            }
            What::Message(Sent::Flush) => Ok(self.timed(|worker| worker.session.flush(&mut worker.events))?),
            What::End => self.end(),
            What::Silence(status) => {
                // That the audio is cut off is no news here.
                drop(self.end());
                self.events.retain(|event| !matches!(event, Event::Ended(_)));
                Err(Stop::Failed(status))
            }
            What::Fail(status) => Err(Stop::Failed(status)),
        }
    }

    /// Takes all blocks that the bytes so far hold. What follows from a block is told before the next: the bytes of one
    /// message may be minutes of audio.
    fn decode(&mut self) -> Result<(), Stop> {
        while !self.session.is_over() {
            let heard = self.timed(Self::hear);
            self.send_events()?;
            if !heard? {
                break;
            }
        }
        Ok(())
    }

    /// Hears the next block; false if the bytes so far hold none.
    fn hear(&mut self) -> Result<bool, Stop> {
        let Some(block) = self.hearing.next_block()? else {
            return Ok(false);
        };
        self.session.push(self.mono.push(block)?, &mut self.events)?;
        Ok(true)
    }

    fn end(&mut self) -> Result<(), Stop> {
        self.hearing.finish();
        let decoded = match self.decode() {
            Err(Stop::Failed(status)) if self.session.received() == 0 => return Err(Stop::Failed(status)),
            decoded => decoded,
        };
        self.timed(Self::finish)?;
        if decoded.is_err() {
            // The last words were heard, but the stream did not end well.
            self.events.retain(|event| !matches!(event, Event::Ended(_)));
        }
        decoded
    }

    /// Hears what the resampler holds back, and ends the session.
    fn finish(&mut self) -> Result<(), Stop> {
        self.session.push(self.mono.finish()?, &mut self.events)?;
        Ok(self.session.finish(&mut self.events)?)
    }

    /// Does work, and counts the time that it takes.
    fn timed<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let began = Instant::now();
        let done = work(self);
        self.busy += began.elapsed();
        done
    }

    fn send_ready(&mut self) -> Result<(), Stop> {
        let spent = Spent {
            load: self.recognizer.load,
            ..Spent::default()
        };
        let ready = pb::StreamReady {
            session_id: self.id.clone(),
            effective_config: self.effective.take(),
            receipt: Some(receipt(&self.id, &self.recognizer.engine.info().made, spent)),
        };
        self.send(pb::streaming_recognize_response::Event::Ready(ready))
    }

    fn send_events(&mut self) -> Result<(), Stop> {
        for event in std::mem::take(&mut self.events) {
            if let Event::Result(result) = &event
                && result.is_final
            {
                metrics::final_result(self.recognizer.engine.info().made.engine, self.arrived.elapsed());
            }
            let wire = match event {
                Event::Ended(reason) => Some(self.ended(reason)),
                event => response::event(event, &self.view),
            };
            if let Some(wire) = wire {
                self.send(wire)?;
            }
        }
        Ok(())
    }

    fn ended(&self, reason: EndReason) -> pb::streaming_recognize_response::Event {
        let spent = Spent {
            load: self.recognizer.load,
            inference: Some(self.busy),
            ..Spent::default()
        };
        pb::streaming_recognize_response::Event::Ended(pb::StreamEnded {
            reason: response::end_reason(reason).into(),
            audio_duration: Some(wire_duration(session::time(self.session.received()))),
            utterance_count: self.session.utterances(),
            receipt: Some(receipt(&self.id, &self.recognizer.engine.info().made, spent)),
        })
    }

    fn send(&mut self, event: pb::streaming_recognize_response::Event) -> Result<(), Stop> {
        self.sequence += 1;
        let reply = pb::StreamingRecognizeResponse {
            sequence: self.sequence,
            acked_audio_offset: Some(wire_duration(session::time(self.session.received()))),
            lag_duration: Some(wire_duration(self.arrived.elapsed())),
            event: Some(event),
        };
        Ok(self.outbox.send(reply)?)
    }
}
