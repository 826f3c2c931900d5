//! What the models can make.

use polyphony_error::Fault;
use polyphony_proto::types::v1 as types;
use polyphony_proto::video::v1 as pb;
use polyphony_video_worker::catalogue::{self, Model};

use super::spec::supported_fields;

const ENGINE: &str = "wan";

/// The models, the default first, each with whether its weights are on disk. None of them can be had while something is
/// `lacking` that all of them need.
pub(crate) fn capabilities(
    models: &[(&'static Model, bool)],
    lacking: Option<Fault>,
    max_queue: usize,
) -> pb::GetCapabilitiesResponse {
    let capable = |(model, on_disk): &(&'static Model, bool)| types::ModelCapabilities {
        model: model.id.to_owned(),
        engine: ENGINE.to_owned(),
        language_codes: Vec::new(),
        supported_fields: supported_fields(),
        degraded: (!on_disk).then(|| types::Degradation {
            reason: "WEIGHTS_ABSENT".to_owned(),
            message: format!(
                "its weights are not on disk, so LOAD_FORMAT_DUMMY alone can be asked for; \
                 `polyphony models pull {}` brings them",
                model.id
            ),
        }),
    };
    let able = if lacking.is_none() { models } else { &[] };
    let unable = lacking.iter().flat_map(|fault| {
        models.iter().map(|(model, _)| types::ModelCapabilities {
            model: model.id.to_owned(),
            engine: ENGINE.to_owned(),
            degraded: Some(types::Degradation {
                reason: fault.reason.to_owned(),
                message: fault.message.to_string(),
            }),
            ..types::ModelCapabilities::default()
        })
    });
    let unavailable = catalogue::unavailable().iter().map(|model| {
        let reason = if model.released {
            "MODEL_NOT_YET"
        } else {
            "MODEL_UNRELEASED"
        };
        types::ModelCapabilities {
            model: model.id.to_owned(),
            degraded: Some(types::Degradation {
                reason: reason.to_owned(),
                message: format!("{} cannot be had: {}", model.title, model.reason),
            }),
            ..types::ModelCapabilities::default()
        }
    });
    pb::GetCapabilitiesResponse {
        models: able.iter().map(capable).collect(),
        limits: able.iter().map(|(model, _)| limits(model)).collect(),
        unavailable_models: unable.chain(unavailable).collect(),
        max_queue_depth: u32::try_from(max_queue).unwrap_or(u32::MAX),
    }
}

fn limits(model: &Model) -> pb::VideoModelLimits {
    let size = |(width, height): &(u32, u32)| pb::FrameSize {
        width: *width,
        height: *height,
    };
    pb::VideoModelLimits {
        model: model.id.to_owned(),
        sizes: model.sizes.iter().map(size).collect(),
        size_multiple: model.size_multiple,
        max_frames: model.max_frames,
        frame_multiple: model.frame_multiple,
        audio: false,
        image_to_video: false,
    }
}
