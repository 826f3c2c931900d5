//! The arguments of a video as its spec.

use polyphony_proto::video::v1 as pb;
use polyphony_proto::video::v1::video_spec::{Length, Parameters};
use tonic::Status;
use tonic_types::StatusExt;

use crate::args::{Spec, VideoSampler};
use crate::output;

pub(super) fn wire(args: &Spec) -> pb::VideoSpec {
    let frames = args.frames.map(Length::NumFrames);
    let duration = args
        .duration
        .map(|duration| Length::Duration(polyphony_proto::time::to_wire(duration)));
    let sampler = args
        .sampler
        .map_or(pb::Sampler::Unspecified, |sampler| match sampler {
            VideoSampler::Unipc => pb::Sampler::Unipc,
            VideoSampler::Euler => pb::Sampler::Euler,
        });
    let wan = pb::WanParameters {
        sampler: sampler.into(),
        flow_shift: args.flow_shift,
        vae_tiling: args.vae_tiling.then_some(true),
        ..pb::WanParameters::default()
    };
    let load_format = if args.dummy {
        pb::LoadFormat::Dummy
    } else {
        pb::LoadFormat::Unspecified
    };
    pb::VideoSpec {
        model: args.model.clone().unwrap_or_default(),
        prompt: args.prompt.clone(),
        negative_prompt: args.negative_prompt.clone(),
        size: args.size.map(|(width, height)| pb::FrameSize { width, height }),
        length: frames.or(duration),
        frame_rate: args.fps,
        seed: args.seed,
        num_inference_steps: args.steps,
        guidance_scale: args.guidance,
        load_format: load_format.into(),
        // Unset unless something of it was asked for: what is set must fit the model's family.
        parameters: (wan != pb::WanParameters::default()).then_some(Parameters::Wan(wan)),
        ..pb::VideoSpec::default()
    }
}

/// Whether no weights are there and none were asked for: then a toy shows that everything works, and it is said.
pub(super) fn may_be_dummy(args: &Spec, status: &Status) -> bool {
    let details = status.get_error_details();
    let absent = details
        .error_info()
        .is_some_and(|info| info.reason == "WEIGHTS_ABSENT");
    let may = absent && args.model.is_none() && !args.dummy;
    if may {
        output::remark(&format!(
            "note: a toy with random weights, as --dummy asks for: {}",
            status.message()
        ));
    }
    may
}

pub(super) fn dummy(spec: pb::VideoSpec) -> pb::VideoSpec {
    pb::VideoSpec {
        load_format: pb::LoadFormat::Dummy.into(),
        ..spec
    }
}
