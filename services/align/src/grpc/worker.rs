//! The thread of a stream: decodes what comes, feeds the session, and tells what it says.

use std::time::{Duration, Instant};

use polyphony_audio::limits::Limits;
use polyphony_audio::pcm::SampleRate;
use polyphony_audio::resample::Resampler;
use polyphony_audio::stream::{Format, StreamDecoder};
use polyphony_chassis::duplex::{Gone, Inbox, Outbox, What, told};
use polyphony_chassis::places::StreamPlace;
use polyphony_error::Fault;
use polyphony_proto::align::v1 as pb;
use polyphony_proto::types::v1 as types;
use polyphony_wire::{Spent, audio as wire_audio, receipt, wire_duration};
use tonic::Status;

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
    decoder: StreamDecoder,
    resampler: Option<Resampler>,
    id: String,
    outbox: Outbox<pb::StreamingAlignResponse>,
    sequence: u64,
    busy: Duration,
    words: u64,
    /// Whether audio came, so that the end of it can be missed.
    fed: bool,
    samples: Vec<f32>,
    events: Vec<Event>,
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
        let limits = Limits {
            max_bytes: u64::MAX,
            max_duration: if longest.is_zero() { FOREVER } else { longest },
            ..Limits::default()
        };
        let decoder = StreamDecoder::new(format, limits)
            .map_err(|error| wire_audio::fault(error, "streaming_config.config.explicit_decoding"))?;
        Ok(Self {
            session: Session::new(&**aligner, &plan.plan.options, plan.lookahead, cancel)?,
            aligner,
            effective: Some(plan.effective),
            decoder,
            resampler: None,
            id,
            outbox,
            sequence: 0,
            busy: Duration::ZERO,
            words: 0,
            fed: false,
            samples: Vec::new(),
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
        match ended {
            Ok(()) | Err(Stop::Gone) => {}
            Err(Stop::Failed(status)) => self.outbox.fail(status),
        }
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
                self.decoder.feed(&bytes).map_err(bad_audio)?;
                self.decode()
            }
            What::Message(Sent::Text(piece)) => {
                let Piece {
                    content,
                    start,
                    end,
                    speaker,
                } = piece;
                self.timed(|worker| worker.session.text(&content, (start, end), &speaker))
                    .map_err(failed)
            }
            What::Message(Sent::Marker(id)) => self.session.marker(id, &mut self.events).map_err(failed),
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
        let Some(block) = self.decoder.next_block().map_err(bad_audio)? else {
            return Ok(false);
        };
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
        self.session
            .push(&self.samples, &mut self.events)
            .map_err(failed)?;
        Ok(true)
    }

    fn end(&mut self) -> Result<(), Stop> {
        if !self.fed {
            let fault =
                Fault::invalid("audio", "is missing; a stream needs audio").with_reason("EMPTY_MEDIA");
            return Err(Stop::Failed(fault.into()));
        }
        self.decoder.finish();
        self.decode()?;
        self.timed(Self::finish)
    }

    /// Hears what the resampler holds back, and ends the session.
    fn finish(&mut self) -> Result<(), Stop> {
        self.samples.clear();
        if let Some(resampler) = &mut self.resampler {
            resampler.finish(&mut self.samples).map_err(bad_audio)?;
        }
        self.session
            .push(&self.samples, &mut self.events)
            .map_err(failed)?;
        self.session.finish(&mut self.events).map_err(failed)
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
        self.outbox.send(reply).map_err(|Gone| Stop::Gone)
    }
}

fn bad_audio(error: polyphony_audio::Error) -> Stop {
    Stop::Failed(wire_audio::fault(error, "audio").into())
}

fn failed(error: crate::Error) -> Stop {
    match error {
        crate::Error::Cancelled => Stop::Gone,
        error => Stop::Failed(told(error.into())),
    }
}
