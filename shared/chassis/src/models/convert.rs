//! Models of the store and the residency as they stand on the wire.

use std::collections::BTreeMap;
use std::time::SystemTime;

use polyphony_error::Fault;
use polyphony_models::{
    Listing, ModelRef, Presence, Progress, PullOptions, Stage, State, Status as Resident,
};
use polyphony_proto::models::v1 as pb;
use tonic::Status;

/// A model's name as the caller gave it.
pub(super) fn name(model: &str) -> Result<ModelRef, Status> {
    let parsed = ModelRef::try_from(model.to_owned());
    parsed.map_err(|error| Fault::invalid("model", error.to_string()).into())
}

/// What the caller wants pulled.
pub(super) fn pull(request: pb::PullModelRequest) -> Result<(ModelRef, PullOptions), Status> {
    let pb::PullModelRequest { model, revision } = request;
    let model = name(&model)?;
    let revision = match revision.as_str() {
        "" => None,
        text => Some(
            text.parse()
                .map_err(|error: polyphony_models::Error| Fault::invalid("revision", error.to_string()))?,
        ),
    };
    Ok((model, PullOptions { revision }))
}

/// What the store says.
pub(super) fn on_disk(listing: Listing) -> pb::Model {
    let Listing {
        model,
        task,
        engine,
        description,
        licence,
        memory_bytes,
        presence,
    } = listing;
    let mut on_wire = pb::Model {
        model: model.to_string(),
        task,
        engine,
        description,
        licence,
        memory_bytes,
        ..Default::default()
    };
    let state = match presence {
        Presence::Absent => pb::ModelState::Absent,
        Presence::OnDisk {
            dir: _,
            revision,
            bytes,
            digest,
        } => {
            on_wire.size_bytes = bytes;
            on_wire.revision = revision.map(|revision| revision.to_string()).unwrap_or_default();
            on_wire.digest = digest
                .map(|digest| format!("sha256:{digest}"))
                .unwrap_or_default();
            pb::ModelState::Available
        }
        Presence::Damaged(reason) => {
            on_wire.state_message = reason;
            pb::ModelState::Failed
        }
        Presence::Unavailable(reason) => {
            on_wire.state_message = reason;
            pb::ModelState::Unavailable
        }
    };
    on_wire.set_state(state);
    on_wire
}

/// What the residency says, over what the store said: it knows better about memory, and nothing about damage.
pub(super) fn in_memory(model: &mut pb::Model, resident: Resident) {
    let Resident {
        spec,
        state,
        pinned,
        in_use,
        last_used,
        device,
        load_time: _,
        loads: _,
        failures: _,
        last_failure: _,
    } = resident;
    if model.model.is_empty() {
        model.model = spec.model.to_string();
        model.task = spec.task;
        model.engine = spec.engine;
    }
    model.memory_bytes = spec.memory_bytes;
    model.pinned = pinned;
    model.in_use = in_use;
    model.last_used_time = last_used.map(prost_types::Timestamp::from);
    model.device = device.unwrap_or_default();
    let (state, since, message) = match state {
        // The store has looked closer, where it knows of it: a model of random weights is in no store.
        State::Absent | State::Available if model.state() != pb::ModelState::Unspecified => return,
        State::Absent => (pb::ModelState::Absent, None, String::new()),
        State::Available => (pb::ModelState::Available, None, String::new()),
        State::Loading { since } => (pb::ModelState::Loading, Some(since), String::new()),
        State::Ready { since } => (pb::ModelState::Ready, Some(since), String::new()),
        State::Unloading => (pb::ModelState::Unloading, None, String::new()),
        State::Failed { reason, since } => (pb::ModelState::Failed, Some(since), reason.to_string()),
    };
    model.set_state(state);
    model.state_time = since.map(|since: SystemTime| since.into());
    model.state_message = message;
}

/// What a pull says.
pub(super) fn pulling(model: &mut pb::Model, progress: &Progress) {
    // A pull of what is here only looks, and takes nothing out of service.
    if is_installed(model) {
        return;
    }
    model.set_state(pb::ModelState::Pulling);
    model.state_message = stage(progress);
}

/// A message about a pull.
pub(super) fn progress(progress: &Progress) -> pb::PullModelResponse {
    let current = progress.current();
    let mut response = pb::PullModelResponse {
        file: current.map(|file| file.path.to_string()).unwrap_or_default(),
        file_done_bytes: current.map_or(0, |file| file.done),
        file_total_bytes: current.map_or(0, |file| file.total),
        done_bytes: progress.done(),
        total_bytes: progress.total(),
        ..Default::default()
    };
    response.set_state(pb::ModelState::Pulling);
    response
}

/// Whether its files are here.
pub(super) fn is_installed(model: &pb::Model) -> bool {
    use pb::ModelState::{Available, Loading, Ready, Unloading};
    matches!(model.state(), Available | Loading | Ready | Unloading)
}

/// Of the forms of a model: the first that is here, else the first.
pub(super) fn best_of(models: &BTreeMap<String, pb::Model>, id: &str) -> Option<String> {
    let forms = || {
        models
            .iter()
            .filter(|(name, _)| name.split('@').next() == Some(id))
    };
    let (name, _) = forms()
        .find(|(_, model)| is_installed(model))
        .or_else(|| forms().next())?;
    Some(name.clone())
}

fn stage(progress: &Progress) -> String {
    match &progress.stage {
        Stage::Starting => "starting".to_owned(),
        Stage::Waiting => "waiting for another process that pulls it".to_owned(),
        Stage::Resolving => "asking the hub".to_owned(),
        Stage::Downloading => format!("{} of {} bytes", progress.done(), progress.total()),
        Stage::Retrying { reason } => format!("trying again: {reason}"),
        Stage::Verifying => "verifying".to_owned(),
        Stage::Placing | Stage::Done => "placing".to_owned(),
    }
}
