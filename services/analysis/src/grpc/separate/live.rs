//! Separation of a mix as it comes: its first message becomes a worker, each later one a command; on the worker's thread
//! bytes become samples, and samples stems, a segment at a time.
//!
//! The rate of the mix is in its first bytes, so `ready` comes after them, unless an explicit decoding says it before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use polyphony_audio::pcm::Spec;
use polyphony_audio::stream::Format;
use polyphony_chassis::duplex::{self, Inbox, Outbox, Replies, Stop, What};
use polyphony_chassis::places::StreamPlace;
use polyphony_error::Fault;
use polyphony_inference::Cancel;
use polyphony_proto::analysis::v1 as pb;
use polyphony_proto::analysis::v1::separate_response::Event;
use polyphony_proto::analysis::v1::streaming_separate_request::Request;
use polyphony_wire::hearing::{self, Hearing};
use polyphony_wire::{another_config, no_config, wire_duration};
use prost::bytes::Bytes;
use tonic::Streaming;

use super::super::Shared;
use super::super::stems::Stems;
use super::Work;
use crate::analyzers::SeparationModel;
use crate::convert::separation::Asked;
use crate::domain::SeparationPlan;
use crate::engine::{Error, Separator};
use crate::metrics::{self, Mode};
use crate::whole::FIELD;

/// A stream's work.
struct Worker {
    asked: Asked,
    model: SeparationModel,
    plan: SeparationPlan,
    hearing: Hearing,
    cancel: Cancel,
    id: String,
    replies: Numbered,
    busy: Duration,
    _place: StreamPlace,
}

/// A mix whose rate is known.
struct Mix {
    work: Work,
    separator: Box<dyn Separator>,
    stems: Stems,
}

/// Numbers replies, and says how much was taken in.
struct Numbered {
    outbox: Outbox<pb::StreamingSeparateResponse>,
    sequence: u64,
    acked: Duration,
}

/// Opens a stream.
pub(in super::super) fn open(
    shared: Arc<Shared>,
    place: StreamPlace,
    id: String,
    requests: Streaming<pb::StreamingSeparateRequest>,
) -> Replies<pb::StreamingSeparateResponse> {
    let cancel = Cancel::default();
    let guard = cancel.on_drop();
    let idle = shared.idle();
    let begin = async move |first: pb::StreamingSeparateRequest, outbox| {
        let Some(Request::Config(config)) = first.request else {
            return Err(no_config("config", first.request.is_none()));
        };
        let asked = Asked::parse(Some(config))?;
        let hearing = shared.hearing(asked.format)?;
        let model = shared.analyzers.separation(&asked.model).await?;
        let plan = Work::plan(&asked, &model)?;
        let worker = Worker {
            asked,
            model,
            plan,
            hearing,
            cancel,
            id,
            replies: Numbered {
                outbox,
                sequence: 0,
                acked: Duration::ZERO,
            },
            busy: Duration::ZERO,
            _place: place,
        };
        Ok(move |commands| worker.run(commands))
    };
    duplex::open(requests, idle, guard, begin, sent)
}

fn sent(message: pb::StreamingSeparateRequest) -> Result<Bytes, Fault> {
    match message.request {
        Some(Request::Audio(bytes)) => hearing::piece(bytes),
        Some(Request::Config(_)) => Err(another_config("config")),
        None => Err(Fault::invalid("request", "must be audio")),
    }
}

// === impl Worker ===

impl Worker {
    /// Works until the stream is over. Blocks.
    fn run(mut self, mut commands: Inbox<Bytes>) {
        let span = tracing::info_span!("stream", id = %self.id);
        let _entered = span.enter();
        let ended = self.serve(&mut commands);
        let (engine, audio) = (self.model.provenance().engine, self.hearing.duration());
        metrics::analysed(engine, Mode::Stream, audio, self.busy);
        self.replies.outbox.end(ended);
        tracing::debug!(?audio, busy = ?self.busy, "stream over");
    }

    fn serve(&mut self, commands: &mut Inbox<Bytes>) -> Result<(), Stop> {
        let mut mix = None;
        if let Format::Raw { spec, .. } = self.asked.format {
            mix = Some(self.begin(spec)?);
        }
        loop {
            // A reader that ended without a word was stopped because the client is gone.
            match commands.recv().ok_or(Stop::Gone)?.what {
                What::Message(bytes) => {
                    self.hearing.feed(&bytes)?;
                    self.hear(&mut mix)?;
                }
                What::End => {
                    self.hearing.finish();
                    self.hear(&mut mix)?;
                    return match mix {
                        Some(mix) => self.end(mix),
                        // The decoder refuses what has no sound, so this is no mix that ended well.
                        None => Err(Fault::invalid(FIELD, "has no sound").into()),
                    };
                }
                What::Silence(status) | What::Fail(status) => return Err(Stop::Failed(status)),
            }
        }
    }

    /// Takes apart all blocks that the bytes so far hold; what follows from a block is told before the next.
    fn hear(&mut self, mix: &mut Option<Mix>) -> Result<(), Stop> {
        while let Some(block) = self.hearing.next_block()? {
            if mix.is_none() {
                *mix = Some(self.begin(block.spec())?);
            }
            let Some(Mix { separator, stems, .. }) = mix else {
                break;
            };
            self.replies.acked = self.hearing.duration();
            let began = Instant::now();
            let mut sink = stems.sink(|event| self.replies.send(event));
            separator.accept(block.samples(), &mut sink)?;
            self.busy += began.elapsed();
        }
        Ok(())
    }

    /// Makes what takes a mix of this rate apart, and says so.
    fn begin(&mut self, spec: Spec) -> Result<Mix, Stop> {
        let work = Work::new(
            &self.asked,
            self.model.clone(),
            self.plan.clone(),
            spec.rate,
            self.id.clone(),
        )?;
        let separator = self.model.separator(spec, &self.plan, &self.cancel)?;
        self.replies.send(work.ready())?;
        Ok(Mix {
            stems: work.stems(None)?,
            work,
            separator,
        })
    }

    fn end(&mut self, mix: Mix) -> Result<(), Stop> {
        let Mix {
            work,
            separator,
            mut stems,
        } = mix;
        let began = Instant::now();
        let mut sink = stems.sink(|event| self.replies.send(event));
        separator.finish(&mut sink)?;
        sink.finish()?;
        self.busy += began.elapsed();
        Ok(self
            .replies
            .send(work.ended(self.hearing.duration(), self.busy))?)
    }
}

// === impl Numbered ===

impl Numbered {
    fn send(&mut self, event: Event) -> Result<(), Error> {
        self.sequence += 1;
        let reply = pb::StreamingSeparateResponse {
            sequence: self.sequence,
            acked_audio_offset: Some(wire_duration(self.acked)),
            response: Some(pb::SeparateResponse { event: Some(event) }),
        };
        self.outbox.send(reply).map_err(|_| Error::Cancelled)
    }
}
