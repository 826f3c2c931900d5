//! Receipts: with what a request was done, and where its time went.

use std::time::Duration;

use polyphony_models::Provenance;
use polyphony_proto::time::to_wire;
use polyphony_proto::types::v1 as types;

/// Where the time of a request went. None: the stage did not happen.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spent {
    /// Waiting for a place.
    pub queue: Option<Duration>,
    /// Loading the model, for the request that caused it.
    pub load: Option<Duration>,
    /// Running the model.
    pub inference: Option<Duration>,
    /// Everything, from the last byte of the request to the first of the answer.
    pub total: Option<Duration>,
}

/// With what a request was done.
pub fn receipt(request_id: &str, made: &Provenance, spent: Spent) -> types::Receipt {
    types::Receipt {
        request_id: request_id.to_owned(),
        model: made.model.clone(),
        model_digest: made.digest.clone(),
        engine: made.engine.to_owned(),
        engine_version: made.version.clone(),
        device: made.device.clone(),
        seed: None,
        timings: Some(types::Timings {
            queue_duration: spent.queue.map(to_wire),
            load_duration: spent.load.map(to_wire),
            inference_duration: spent.inference.map(to_wire),
            total_duration: spent.total.map(to_wire),
        }),
        degraded: degradation(made),
    }
}

/// Why and how it is a fallback, if it is one.
pub fn degradation(made: &Provenance) -> Option<types::Degradation> {
    let degraded = made.degraded.as_ref()?;
    Some(types::Degradation {
        reason: degraded.reason.to_owned(),
        message: degraded.message.clone(),
    })
}
