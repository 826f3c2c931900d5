//! A stream: its first message becomes a worker, each later one a command.

use std::sync::Arc;

use polyphony_chassis::duplex::{self, Idle, Replies};
use polyphony_chassis::places::StreamPlace;
use polyphony_proto::align::v1 as pb;
use tonic::Streaming;

use super::Shared;
use super::worker::Worker;
use crate::convert::request::Asked;
use crate::convert::streaming::{AskedStream, sent};
use crate::domain::{Cancel, EngineInfo};

/// Opens a stream.
pub(super) fn open(
    shared: Arc<Shared>,
    place: StreamPlace,
    id: String,
    requests: Streaming<pb::StreamingAlignRequest>,
) -> Replies<pb::StreamingAlignResponse> {
    let cancel = Cancel::default();
    let idle = Idle {
        after: shared.config.stream_idle.get(),
        key: "align.stream_idle",
    };
    let guard = cancel.on_drop();
    duplex::open(
        requests,
        idle,
        guard,
        async move |first, outbox| {
            let asked = AskedStream::parse(first)?;
            let language = asked.asked.language.clone();
            let fits = move |info: &EngineInfo| Asked::suits(&language, info);
            let aligner = shared.aligners.acquire_for(&asked.asked.model, fits).await?;
            let plan = asked.fit(aligner.info())?;
            let format = asked.asked.format;
            let worker = Worker::new(aligner, plan, format, &shared.config, id, place, outbox, &cancel)?;
            Ok(|commands| worker.run(commands))
        },
        sent,
    )
}
