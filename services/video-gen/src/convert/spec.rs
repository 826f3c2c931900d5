//! `VideoSpec`: what is asked for, all of it refused at once; then the order of a model, with every default filled in.

use std::time::Duration;

use polyphony_error::{Fault, Kind};
use polyphony_proto::video::v1 as pb;
use polyphony_proto::video::v1::video_spec::{Length, Parameters};
use polyphony_video_worker::catalogue::{self, Missing, Model};
use polyphony_video_worker::protocol::{Order, Sampler, Weights};
use polyphony_wire::{Expected, Refusals};

/// A spec that is well formed.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The model that was named. None: the best on disk.
    pub(crate) model: Option<&'static Model>,
    /// The weights are to be random.
    pub(crate) dummy: bool,
    /// The digest that the caller expects.
    pub(crate) expected: Expected,
    prompt: String,
    negative_prompt: Option<String>,
    size: Option<(u32, u32)>,
    length: Option<Asking>,
    frame_rate: Option<f32>,
    seed: Option<u64>,
    steps: Option<u32>,
    guidance: Option<f32>,
    wan: pb::WanParameters,
}

#[derive(Debug, Clone, Copy)]
enum Asking {
    For(Duration),
    Frames(u32),
}

/// As the contract has it.
const PATH: &str = "spec.";
const MOST_PROMPT: usize = 4_000;
/// A length in time that no model comes near.
const LONGEST: Duration = Duration::from_secs(3_600);

/// The paths that are honoured, for `GetCapabilities`.
pub(crate) fn supported_fields() -> Vec<String> {
    [
        "spec.model",
        "spec.prompt",
        "spec.negative_prompt",
        "spec.size",
        "spec.duration",
        "spec.num_frames",
        "spec.frame_rate",
        "spec.seed",
        "spec.num_inference_steps",
        "spec.guidance_scale",
        "spec.load_format",
        "spec.wan.sampler",
        "spec.wan.flow_shift",
        "spec.wan.vae_tiling",
        "spec.expected_model_digest",
    ]
    .map(str::to_owned)
    .to_vec()
}

// === impl Asked ===

impl Asked {
    /// Parses a spec.
    pub(crate) fn parse(spec: Option<pb::VideoSpec>) -> Result<Self, Fault> {
        let Some(spec) = spec else {
            return Err(Fault::invalid("spec", "is missing; say at least spec.prompt"));
        };
        let pb::VideoSpec {
            model,
            prompt,
            negative_prompt,
            size,
            length,
            frame_rate,
            seed,
            num_inference_steps,
            guidance_scale,
            keyframes,
            include_audio,
            enhance_prompt,
            load_format,
            parameters,
            expected_model_digest,
        } = spec;
        let model = if model.is_empty() {
            None
        } else {
            Some(named(&model)?)
        };
        let mut refusals = Refusals::at(PATH);
        if prompt.trim().is_empty() {
            refusals.add("prompt", "is empty; say what is to be seen");
        }
        for (field, text) in [
            ("prompt", Some(&prompt)),
            ("negative_prompt", negative_prompt.as_ref()),
        ] {
            if text.is_some_and(|text| text.chars().count() > MOST_PROMPT) {
                refusals.add(field, "must have at most 4,000 characters");
            }
        }
        if !keyframes.is_empty() {
            let text = "are not supported: these models make videos of text alone; leave them out";
            refusals.add("keyframes", text);
        }
        if include_audio == Some(true) {
            refusals.add(
                "include_audio",
                "is not supported: these models make no sound; leave it out",
            );
        }
        if enhance_prompt == Some(true) {
            let text = "is not supported here; let llm-proxy enrich the prompt, and send what it writes";
            refusals.add("enhance_prompt", text);
        }
        let dummy = match pb::LoadFormat::try_from(load_format) {
            Ok(pb::LoadFormat::Unspecified | pb::LoadFormat::Weights) => false,
            Ok(pb::LoadFormat::Dummy) => true,
            Err(_) => {
                refusals.add("load_format", "must be LOAD_FORMAT_WEIGHTS or LOAD_FORMAT_DUMMY");
                false
            }
        };
        let expected = Expected::parse(&expected_model_digest, &mut refusals);
        if dummy && !expected_model_digest.is_empty() {
            refusals.add(
                "expected_model_digest",
                "is of no use: random weights have no digest",
            );
        }
        let length = asking(length, &mut refusals);
        let wan = wan(parameters, &mut refusals);
        refusals.finish()?;
        Ok(Self {
            model,
            dummy,
            expected,
            prompt,
            negative_prompt,
            size: size.map(|size| (size.width, size.height)),
            length,
            frame_rate,
            seed,
            steps: num_inference_steps,
            guidance: guidance_scale,
            wan,
        })
    }

    /// The order of a model with these weights; refused by the field where the model cannot take it.
    pub(crate) fn order(self, model: &Model, weights: Weights) -> Result<Order, Fault> {
        let defaults = model.defaults(&weights);
        let frame_rate = self.frame_rate.unwrap_or(defaults.frame_rate);
        let (width, height) = self.size.unwrap_or((defaults.width, defaults.height));
        let num_frames = match self.length {
            None => defaults.num_frames,
            Some(Asking::Frames(frames)) => frames,
            Some(Asking::For(duration)) => {
                let wanted = (duration.as_secs_f64() * f64::from(frame_rate)).round();
                let most = f64::from(model.max_frames);
                // Half a step beyond the longest is still the longest.
                if wanted > most + f64::from(model.frame_multiple) / 2.0 {
                    let longest = most / f64::from(frame_rate.max(1.0));
                    let text = format!(
                        "is too long; {} makes at most {longest:.2} s at {frame_rate} frames a second",
                        model.title
                    );
                    return Err(Fault::invalid("spec.duration", text));
                }
                model.nearest_frames(wanted as u32)
            }
        };
        let sampler = match self.wan.sampler() {
            pb::Sampler::Euler => Sampler::Euler,
            pb::Sampler::Unspecified | pb::Sampler::Unipc => Sampler::Unipc,
        };
        let order = Order {
            prompt: self.prompt,
            negative_prompt: self
                .negative_prompt
                .unwrap_or_else(|| model.negative_prompt.to_owned()),
            width,
            height,
            num_frames,
            frame_rate,
            seed: self.seed.unwrap_or_else(|| fastrand::u64(..)),
            num_inference_steps: self.steps.unwrap_or(defaults.num_inference_steps),
            guidance_scale: self.guidance.unwrap_or(defaults.guidance_scale),
            sampler,
            flow_shift: self
                .wan
                .flow_shift
                .unwrap_or_else(|| model.flow_shift(width, height)),
            vae_tiling: self.wan.vae_tiling.unwrap_or(false),
            // Its id is the job's, and whether the text encoder is offloaded the device's to say, when it is begun.
            ..model.order("new", weights)
        };
        match model.check(&order) {
            Ok(()) => Ok(order),
            Err(refused) => Err(Fault::invalid(path(refused.field), refused.problem)),
        }
    }

    /// Whether tiles were asked for, or refused.
    pub(crate) fn tiling(&self) -> Option<bool> {
        self.wan.vae_tiling
    }
}

/// The model of a name, or why there is none.
fn named(name: &str) -> Result<&'static Model, Fault> {
    catalogue::find(name).map_err(|missing| match &missing {
        Missing::Unknown { name, known } => {
            let known = format!("there are {known}; `polyphony models list --task video` shows them");
            Fault::not_found("model", name.clone(), known)
        }
        Missing::Unavailable(model) => {
            let reason = if model.released {
                "MODEL_NOT_YET"
            } else {
                "MODEL_UNRELEASED"
            };
            Fault::new(Kind::FailedPrecondition, reason, format!("spec.model: {missing}"))
        }
    })
}

fn asking(length: Option<Length>, refusals: &mut Refusals) -> Option<Asking> {
    match length? {
        Length::NumFrames(frames) => Some(Asking::Frames(frames)),
        Length::Duration(duration) => match polyphony_proto::time::from_wire(&duration) {
            Ok(duration) if !duration.is_zero() && duration <= LONGEST => Some(Asking::For(duration)),
            Ok(_) => {
                refusals.add("duration", "must be more than 0, at most 1 h");
                None
            }
            Err(error) => {
                refusals.add("duration", error.to_string());
                None
            }
        },
    }
}

fn wan(parameters: Option<Parameters>, refusals: &mut Refusals) -> pb::WanParameters {
    let family = match parameters {
        None => return pb::WanParameters::default(),
        Some(Parameters::Wan(wan)) => {
            let pb::WanParameters {
                sampler,
                flow_shift: _,
                guidance_scale_2,
                boundary_ratio,
                vae_tiling: _,
            } = &wan;
            if pb::Sampler::try_from(*sampler).is_err() {
                refusals.add("wan.sampler", "must be SAMPLER_UNIPC or SAMPLER_EULER");
            }
            for (field, set) in [
                ("wan.guidance_scale_2", guidance_scale_2.is_some()),
                ("wan.boundary_ratio", boundary_ratio.is_some()),
            ] {
                if set {
                    refusals.add(
                        field,
                        "is of Wan 2.2 A14B alone, which is not there yet; leave it out",
                    );
                }
            }
            return wan;
        }
        Some(Parameters::LtxVideo(_)) => "ltx_video",
        Some(Parameters::Ltx2(_)) => "ltx2",
        Some(Parameters::Magi1(_)) => "magi1",
    };
    refusals.add(
        family,
        "is of another family of models; those that are there take `wan`",
    );
    pb::WanParameters::default()
}

/// Where a field of an order stands in the request.
fn path(field: &'static str) -> String {
    match field {
        "width" | "height" => format!("{PATH}size.{field}"),
        "flow_shift" => format!("{PATH}wan.{field}"),
        field => format!("{PATH}{field}"),
    }
}

/// An order as a spec with every default filled in.
pub(crate) fn effective(order: &Order) -> pb::VideoSpec {
    let sampler = match order.sampler {
        Sampler::Unipc => pb::Sampler::Unipc,
        Sampler::Euler => pb::Sampler::Euler,
    };
    let load_format = match order.weights {
        Weights::Folder { .. } => pb::LoadFormat::Weights,
        Weights::Dummy { .. } => pb::LoadFormat::Dummy,
    };
    pb::VideoSpec {
        model: order.model.clone(),
        prompt: order.prompt.clone(),
        negative_prompt: Some(order.negative_prompt.clone()),
        size: Some(pb::FrameSize {
            width: order.width,
            height: order.height,
        }),
        length: Some(Length::NumFrames(order.num_frames)),
        frame_rate: Some(order.frame_rate),
        seed: Some(order.seed),
        num_inference_steps: Some(order.num_inference_steps),
        guidance_scale: Some(order.guidance_scale),
        keyframes: Vec::new(),
        include_audio: Some(false),
        enhance_prompt: Some(false),
        load_format: load_format.into(),
        parameters: Some(Parameters::Wan(pb::WanParameters {
            sampler: sampler.into(),
            flow_shift: Some(order.flow_shift),
            guidance_scale_2: None,
            boundary_ratio: None,
            vae_tiling: Some(order.vae_tiling),
        })),
        expected_model_digest: String::new(),
    }
}
