//! Separation of a whole mix: decoded, then taken apart on a thread whose pieces go out as they are made. A mix that is
//! still sounding is in `separate::live`.

mod live;

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::Stream;
use polyphony_audio::encode;
use polyphony_audio::limits::{Cancel as StopDecoding, Limits};
use polyphony_audio::pcm::{Pcm, SampleRate};
use polyphony_audio::stream::Format;
use polyphony_chassis::duplex::{Stop, told};
use polyphony_chassis::places::{Patience, WorkerPlace};
use polyphony_error::Fault;
use polyphony_inference::Cancel;
use polyphony_proto::analysis::v1 as pb;
use polyphony_proto::analysis::v1::separate_response::Event;
use polyphony_proto::types::v1 as types;
use polyphony_wire::{Spent, audio, receipt, wire_duration};
use prost::bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task;
use tonic::Status;

use super::stems::Stems;
use crate::analyzers::{Analyzers, SeparationModel};
use crate::convert::separation::Asked;
use crate::domain::SeparationPlan;
use crate::engine::Error;
use crate::metrics::{self, Mode};
use crate::whole::{Abandon, Call, FIELD};

pub(super) use live::open;

/// Pieces held for a client that is behind.
const OUTBOX: usize = 16;

type Reply = Result<pb::SeparateResponse, Status>;

/// What the client reads. Dropping it stops the work.
#[derive(Debug)]
pub(crate) struct Pieces {
    replies: mpsc::Receiver<Reply>,
    _abandon: Abandon,
}

/// A model, and what it will do for a request.
#[derive(Debug)]
struct Work {
    model: SeparationModel,
    plan: SeparationPlan,
    settings: encode::Settings,
    effective: pb::SeparationConfig,
    id: String,
    waited: Option<Duration>,
}

/// Decodes a mix, finds a model for it, and begins to take it apart.
pub(super) async fn whole(
    asked: Asked,
    bytes: Bytes,
    analyzers: &Analyzers,
    call: Call<'_>,
) -> Result<Pieces, Fault> {
    let abandon = Abandon::default();
    let place = call.places.worker(Patience::Queue).await?;
    let waited = Some(place.waited);
    let limits = Limits {
        max_bytes: bytes.len() as u64,
        max_duration: call.longest,
        ..Limits::default()
    };
    let (format, stop) = (asked.format, abandon.decoder.clone());
    let decoded = task::spawn_blocking(move || (decode(&bytes, format, &limits, &stop), place));
    let (decoded, place) = decoded.await.map_err(Fault::internal)?;
    let mix = decoded.map_err(|error| audio::fault(error, FIELD))?;
    let model = analyzers.separation(&asked.model).await?;
    let plan = Work::plan(&asked, &model)?;
    let work = Work::new(&asked, model, plan, mix.spec().rate, call.request_id.to_owned())?;
    let work = Work { waited, ..work };
    let (outbox, replies) = mpsc::channel(OUTBOX);
    let (cancel, panicked) = (abandon.engine.clone(), outbox.clone());
    let working = task::spawn_blocking(move || work.run(&mix, &cancel, &outbox, place));
    tokio::spawn(async move {
        if let Err(panic) = working.await {
            // If nobody reads any more, nobody needs to know.
            drop(panicked.send(Err(told(Fault::internal(panic)))).await);
        }
    });
    Ok(Pieces {
        replies,
        _abandon: abandon,
    })
}

/// All of a mix, in its own rate and channels. Blocks.
fn decode(
    bytes: &[u8],
    format: Format,
    limits: &Limits,
    stop: &StopDecoding,
) -> Result<Pcm, polyphony_audio::Error> {
    let mut decoder = audio::open(bytes, format, limits, stop)?;
    let mut samples: Vec<f32> = Vec::new();
    let mut spec = None;
    while let Some(block) = decoder.next_block()? {
        let limit = limits.max_decoded_bytes;
        if ((samples.len() + block.samples().len()) * size_of::<f32>()) as u64 > limit {
            return Err(polyphony_audio::Error::DecodedTooLarge { limit });
        }
        spec = Some(block.spec());
        samples.extend_from_slice(block.samples());
    }
    // Every reader refuses audio without samples, so a spec is there.
    let container = decoder.container();
    let spec = spec.ok_or(polyphony_audio::Error::NoSamples { container })?;
    Ok(Pcm::new(samples, spec))
}

// === impl Work ===

impl Work {
    /// What the model says to what is asked for.
    fn plan(asked: &Asked, model: &SeparationModel) -> Result<SeparationPlan, Fault> {
        asked.check_model(model.provenance())?;
        Ok(model.plan(&asked.options)?)
    }

    fn new(
        asked: &Asked,
        model: SeparationModel,
        plan: SeparationPlan,
        rate: SampleRate,
        id: String,
    ) -> Result<Self, Fault> {
        Ok(Self {
            settings: asked.stem_settings(rate, &plan)?,
            effective: asked.effective(model.provenance(), &plan),
            model,
            plan,
            id,
            waited: None,
        })
    }

    /// Takes a mix apart. Blocks.
    fn run(self, mix: &Pcm, cancel: &Cancel, outbox: &mpsc::Sender<Reply>, place: WorkerPlace) {
        let _place = place;
        let span = tracing::info_span!("separation", id = %self.id);
        let _entered = span.enter();
        let began = Instant::now();
        let done = self.separate(mix, cancel, outbox, began);
        let engine = self.model.provenance().engine;
        metrics::analysed(engine, Mode::Whole, mix.duration(), began.elapsed());
        match done {
            Ok(()) | Err(Stop::Gone) => {}
            // If nobody reads any more, nobody needs to know.
            Err(Stop::Failed(status)) => drop(outbox.blocking_send(Err(status))),
        }
    }

    fn separate(
        &self,
        mix: &Pcm,
        cancel: &Cancel,
        outbox: &mpsc::Sender<Reply>,
        began: Instant,
    ) -> Result<(), Stop> {
        let send = |event| {
            let reply = pb::SeparateResponse { event: Some(event) };
            outbox.blocking_send(Ok(reply)).map_err(|_| Error::Cancelled)
        };
        send(self.ready())?;
        let total = Some(mix.duration());
        let mut stems = self.stems(total)?;
        let mut sink = stems.sink(send);
        self.model.separate(mix, &self.plan, cancel, &mut sink)?;
        sink.finish()?;
        Ok(send(self.ended(mix.duration(), began.elapsed()))?)
    }

    fn stems(&self, total: Option<Duration>) -> Result<Stems, Fault> {
        Stems::new(self.plan.stems.clone(), self.settings, total)
    }

    fn ready(&self) -> Event {
        let spec = self.settings.spec;
        Event::Ready(pb::SeparationReady {
            stems: self.plan.stems.clone(),
            sample_rate_hertz: spec.rate.hz(),
            audio_channel_count: spec.channels.count() as u32,
            effective_config: Some(self.effective.clone()),
            receipt: Some(self.receipt(None)),
        })
    }

    fn ended(&self, length: Duration, inference: Duration) -> Event {
        Event::Ended(pb::SeparationEnded {
            audio_duration: Some(wire_duration(length)),
            receipt: Some(self.receipt(Some(inference))),
        })
    }

    fn receipt(&self, inference: Option<Duration>) -> types::Receipt {
        let spent = Spent {
            queue: self.waited,
            load: self.model.load,
            inference,
            total: None,
        };
        types::Receipt {
            seed: self.plan.options.seed,
            ..receipt(&self.id, self.model.provenance(), spent)
        }
    }
}

impl Stream for Pieces {
    type Item = Reply;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Reply>> {
        self.replies.poll_recv(cx)
    }
}
