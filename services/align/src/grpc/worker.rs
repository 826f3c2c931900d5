//! The thread of a stream: decodes what comes, feeds the session, and tells what it says.

use std::time::{Duration, Instant};

use polyphony_audio::pcm::SampleRate;
use polyphony_audio::stream::Format;
use polyphony_chassis::duplex::{Inbox, Outbox, Stop, What};
use polyphony_chassis::places::StreamPlace;
use polyphony_error::Fault;
use polyphony_proto::align::v1 as pb;
use polyphony_proto::types::v1 as types;
use polyphony_wire::hearing::{Hearing, Mono};
use polyphony_wire::{Spent, receipt, wire_duration};

use crate::aligners::Aligner;
use crate::config::Config;
use crate::convert::request::Piece;
use crate::convert::response;
use crate::convert::streaming::{Sent, StreamPlan};
use crate::domain::{Cancel, time};
use crate::metrics::{self, Mode};
use crate::session::{Ended, Event, Session};

/// A stream at work.
pub(super) struct Worker {
    aligner: Aligner,
    session: Session,
    effective: Option<pb::StreamingAlignmentConfig>,
    hearing: Hearing,
    mono: Mono,
    id: String,
    outbox: Outbox<pb::StreamingAlignResponse>,
    sequence: u64,
    busy: Duration,
    words: u64,
    /// Whether audio came, so that the end of it can be missed.
    fed: bool,
    events: Vec<Event>,
    _place: StreamPlace,
}

/// Words in a message: with all their characters and phones they stay far below what clients accept.
const MOST_WORDS: usize = 500;

// === impl Worker ===

impl Worker {
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a part of the stream, and used once"
    )]
    pub(super) fn new(
        aligner: Aligner,
        plan: StreamPlan,
        format: Format,
        config: &Config,
        id: String,
        place: StreamPlace,
        outbox: Outbox<pb::StreamingAlignResponse>,
        cancel: &Cancel,
    ) -> Result<Self, Fault> {
        let longest = config.max_stream_duration.get();
        let hearing = Hearing::new(format, longest, "streaming_config.config.explicit_decoding")?;
        Ok(Self {
            session: Session::new(&**aligner, &plan.plan.options, plan.lookahead, cancel)?,
            aligner,
            effective: Some(plan.effective),
            hearing,
            mono: Mono::new(SampleRate::SPEECH),
            id,
            outbox,
            sequence: 0,
            busy: Duration::ZERO,
            words: 0,
            fed: false,
            events: Vec::new(),
            _place: place,
        })
    }

    /// Works until the stream is over. Blocks.
    pub(super) fn run(mut self, mut commands: Inbox<Sent>) {
        let span = tracing::info_span!("stream", id = %self.id);
        let _entered = span.enter();
        let ended = self.serve(&mut commands);
        let audio = time(self.session.samples());
        let engine = self.aligner.info().made.engine;
        metrics::aligned(engine, Mode::Stream, audio, self.busy, self.words);
        self.outbox.end(ended);
        tracing::debug!(?audio, words = self.words, busy = ?self.busy, "stream over");
    }

    fn serve(&mut self, commands: &mut Inbox<Sent>) -> Result<(), Stop> {
        self.send_ready()?;
        loop {
            // A reader that ended without a word was stopped because the client is gone.
            let command = commands.recv().ok_or(Stop::Gone)?;
            let is_last = matches!(command.what, What::End);
            let done = self.step(command.what);
            // What was aligned before an error is told before it.
            self.send_events()?;
            done?;
            if is_last {
                return Ok(());
            }
        }
    }

    fn step(&mut self, what: What<Sent>) -> Result<(), Stop> {
        match what {
            What::Message(Sent::Audio(bytes)) => {
                self.fed |= !bytes.is_empty();
                self.hearing.feed(&bytes)?;
                self.decode()
            }
            What::Message(Sent::Text(piece)) => {
                let Piece {
                    content,
                    start,
                    end,
                    speaker,
                } = piece;
                Ok(self.timed(|worker| worker.session.text(&content, (start, end), &speaker))?)
            }
            What::Message(Sent::Marker(id)) => Ok(self.session.marker(id, &mut self.events)?),
            What::End => self.end(),
            What::Silence(status) | What::Fail(status) => Err(Stop::Failed(status)),
        }
    }

    /// Takes all blocks that the bytes so far hold. What follows from a block is told before the next: the bytes of one
    /// message may be minutes of audio.
    fn decode(&mut self) -> Result<(), Stop> {
        loop {
            let heard = self.timed(Self::hear);
            self.send_events()?;
            if !heard? {
                return Ok(());
            }
        }
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
        if !self.fed {
            let fault =
                Fault::invalid("audio", "is missing; a stream needs audio").with_reason("EMPTY_MEDIA");
            return Err(fault.into());
        }
        self.hearing.finish();
        self.decode()?;
        self.timed(Self::finish)
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
        let ready = pb::StreamingAlignReady {
            session_id: self.id.clone(),
            effective_config: self.effective.take(),
            receipt: Some(self.receipt(None)),
        };
        self.send(pb::streaming_align_response::Event::Ready(ready))
    }

    fn send_events(&mut self) -> Result<(), Stop> {
        use pb::streaming_align_response::Event as Wire;
        for event in std::mem::take(&mut self.events) {
            match event {
                Event::Words(words) => {
                    self.words += words.len() as u64;
                    let mut words = response::words(words).into_iter().peekable();
                    while words.peek().is_some() {
                        let words = words.by_ref().take(MOST_WORDS).collect();
                        self.send(Wire::Words(pb::AlignedWords { words }))?;
                    }
                }
                Event::Marker(id) => self.send(Wire::Marker(types::Marker { id }))?,
                Event::Ended(Ended { quality, loose }) => {
                    let ended = pb::StreamingAlignEnded {
                        audio_duration: Some(wire_duration(time(self.session.samples()))),
                        alignment_quality: quality,
                        unaligned_spans: response::loose(loose),
                        receipt: Some(self.receipt(Some(self.busy))),
                    };
                    self.send(Wire::Ended(ended))?;
                }
            }
        }
        Ok(())
    }

    fn receipt(&self, inference: Option<Duration>) -> types::Receipt {
        let spent = Spent {
            load: self.aligner.load,
            inference,
            ..Spent::default()
        };
        receipt(&self.id, &self.aligner.info().made, spent)
    }

    fn send(&mut self, event: pb::streaming_align_response::Event) -> Result<(), Stop> {
        self.sequence += 1;
        let heard = time(self.session.samples());
        let reply = pb::StreamingAlignResponse {
            sequence: self.sequence,
            acked_audio_offset: Some(wire_duration(heard)),
            lag_duration: Some(wire_duration(heard.saturating_sub(self.session.decided()))),
            event: Some(event),
        };
        Ok(self.outbox.send(reply)?)
    }
}
