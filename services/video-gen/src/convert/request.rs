//! The requests besides their spec: names, pages, priorities.

use std::time::Duration;

use polyphony_chassis::operations::is_uuid;
use polyphony_error::{Fault, Kind};
use polyphony_jobs::{Priority, State};
use polyphony_proto::types::v1::JobState;
use polyphony_proto::video::v1 as pb;
use polyphony_video_worker::catalogue;
use polyphony_wire::Refusals;

/// A `GenerateVideoRequest` that is well formed.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) spec: Option<pb::VideoSpec>,
    pub(crate) request_id: String,
    pub(crate) priority: Priority,
    pub(crate) deadline: Option<Duration>,
    pub(crate) validate_only: bool,
}

const PAGE: usize = 100;
const MOST_PAGE: usize = 1_000;

// === impl Wanted ===

impl Wanted {
    pub(crate) fn parse(request: pb::GenerateVideoRequest) -> Result<Self, Fault> {
        let pb::GenerateVideoRequest {
            spec,
            request_id,
            priority,
            deadline_duration,
            validate_only,
            continue_from,
        } = request;
        let mut refusals = Refusals::at("");
        if !request_id.is_empty() && !is_uuid(&request_id) {
            refusals.add(
                "request_id",
                "must be a UUID, as \"7f0c1f9e-3d3a-4a35-9df5-0b8f5a6d7c11\"",
            );
        }
        let priority = match pb::Priority::try_from(priority) {
            Ok(pb::Priority::Unspecified | pb::Priority::Normal) => Priority::Normal,
            Ok(pb::Priority::Low) => Priority::Low,
            Ok(pb::Priority::High) => Priority::High,
            Err(_) => {
                refusals.add(
                    "priority",
                    "must be PRIORITY_LOW, PRIORITY_NORMAL or PRIORITY_HIGH",
                );
                Priority::Normal
            }
        };
        let deadline = match deadline_duration.as_ref().map(polyphony_proto::time::from_wire) {
            None => None,
            Some(Ok(deadline)) if !deadline.is_zero() => Some(deadline),
            Some(Ok(_)) => {
                refusals.add("deadline_duration", "must be more than 0");
                None
            }
            Some(Err(error)) => {
                refusals.add("deadline_duration", error.to_string());
                None
            }
        };
        if continue_from.is_some() {
            let text = "is not supported: no model that is there goes on from another video; leave it out";
            refusals.add("continue_from", text);
        }
        refusals.finish()?;
        Ok(Self {
            spec,
            request_id,
            priority,
            deadline,
            validate_only,
        })
    }
}

/// The job of a video's name.
pub(crate) fn job_id(name: &str) -> Result<&str, Fault> {
    name.strip_prefix("videos/")
        .filter(|id| !id.is_empty() && id.len() <= 64)
        .ok_or_else(|| Fault::invalid("name", "must be \"videos/\" and an id, as GenerateVideo gives it"))
}

/// The states that a list is asked for; empty: all.
pub(crate) fn wanted_states(state: i32) -> Result<Vec<State>, Fault> {
    Ok(match JobState::try_from(state) {
        Ok(JobState::Unspecified) => Vec::new(),
        Ok(JobState::Queued) => vec![State::Queued],
        Ok(JobState::Loading) => vec![State::Loading],
        Ok(JobState::Running) => vec![State::Running],
        Ok(JobState::Succeeded) => vec![State::Succeeded],
        Ok(JobState::Failed) => vec![State::Failed],
        Ok(JobState::Cancelled) => vec![State::Cancelled],
        Err(_) => {
            return Err(Fault::invalid(
                "state",
                "must be a state of jobs, or unset for all",
            ));
        }
    })
}

/// The model that a list is asked for, by any of its names; none: all.
pub(crate) fn label(model: &str) -> Result<Option<String>, Fault> {
    if model.is_empty() {
        return Ok(None);
    }
    match catalogue::find(model) {
        Ok(model) => Ok(Some(model.id.to_owned())),
        Err(missing) => Err(Fault::new(
            Kind::NotFound,
            "NOT_FOUND",
            format!("model: {missing}"),
        )),
    }
}

/// The size of a page, and the id after which it begins.
pub(crate) fn page(size: u32, token: &str) -> Result<(usize, String), Fault> {
    let size = match size as usize {
        0 => PAGE,
        size if size <= MOST_PAGE => size,
        _ => {
            return Err(Fault::invalid(
                "page_size",
                "must be at most 1,000; go on with page_token",
            ));
        }
    };
    if token.is_empty() {
        return Ok((size, String::new()));
    }
    let well_formed = token.len() <= 64 && token.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !well_formed {
        return Err(Fault::invalid(
            "page_token",
            "must be next_page_token of the page before",
        ));
    }
    Ok((size, token.to_owned()))
}
