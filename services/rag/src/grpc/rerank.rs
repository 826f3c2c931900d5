//! `Rerank`: passages in the order of a cross-encoder.

use polyphony_chassis::places::Patience;
use polyphony_error::{Fault, Kind};
use polyphony_proto::rag::v1 as pb;
use polyphony_wire::{Spent, receipt};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::Shared;
use crate::convert::rerank::{Rerank, ranked};

/// Orders passages.
pub(super) async fn rerank(shared: &Shared, call: &str, asked: Rerank) -> Result<pb::RerankResponse, Fault> {
    let place = shared.places.worker(Patience::Queue).await?;
    let loading = Instant::now();
    let found = shared.encoders.ranker_made(&asked.model).await?;
    let Some((ranker, made)) = found else {
        let text = polyphony_encoders::roster::NO_RERANKER;
        return Err(Fault::new(Kind::Unavailable, "NO_MODEL", text));
    };
    let (began, load, waited) = (Instant::now(), loading.elapsed(), place.waited);
    let work = spawn_blocking(move || {
        // Held to the end, also where nobody waits any more.
        let _place = place;
        let texts: Vec<&str> = asked.passages.iter().map(|(_, text)| text.as_str()).collect();
        let logits = ranker.rank(&asked.query, &texts)?;
        Ok::<_, Fault>(ranked(&asked, &logits))
    });
    let passages = work.await.map_err(Fault::internal)??;
    let spent = Spent {
        queue: Some(waited),
        load: Some(load),
        inference: Some(began.elapsed()),
        total: Some(loading.elapsed() + waited),
    };
    Ok(pb::RerankResponse {
        passages,
        receipt: Some(receipt(call, &made, spent)),
    })
}
