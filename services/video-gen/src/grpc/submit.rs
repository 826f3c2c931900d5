//! From a request to a job: whatever can be refused is refused here, and nothing that cannot be made waits.

use polyphony_chassis::Caller;
use polyphony_chassis::operations::LastingWork;
use polyphony_error::{Fault, Kind};
use polyphony_jobs::{NewJob, Priority};
use polyphony_proto::google::longrunning::{Operation, operation};
use polyphony_proto::video::v1 as pb;
use polyphony_video_worker::catalogue::{self, Model};
use polyphony_video_worker::protocol::Weights;
use prost::Message;
use prost_types::Any;
use serde_json::json;

use super::{Making, Service};
use crate::config::OffloadTextEncoder;
use crate::convert::{self, Asked, Wanted};
use crate::domain::{Plan, Taken, Told};
use crate::engine;

// === impl Service ===

impl Service {
    pub(super) async fn submit(
        &self,
        request: pb::GenerateVideoRequest,
        caller: &Caller,
        call: String,
    ) -> Result<Operation, Fault> {
        let fingerprint = pb::GenerateVideoRequest {
            request_id: String::new(),
            ..request.clone()
        };
        let Wanted {
            spec,
            request_id,
            priority,
            deadline,
            validate_only,
        } = Wanted::parse(request)?;
        let owner = caller.owner().ok_or_else(|| {
            let text = "a certificate without a name can own no video; give it a SPIFFE id or a DNS name";
            Fault::new(Kind::PermissionDenied, "NO_OWNER", text)
        })?;
        let fingerprint = fingerprint.encode_to_vec();
        // What was asked for before is there, whatever has gone since that it took.
        if let Some(known) = self.queue().known(owner, &request_id, &fingerprint).await? {
            return self.making.operation(&known).await;
        }
        if priority == Priority::High {
            let may = &self.engine.config().high_priority_callers;
            if !may.iter().any(|name| caller.is(name)) {
                let text = "PRIORITY_HIGH is for those whom video-gen.high_priority_callers names; ask for PRIORITY_NORMAL";
                return Err(Fault::new(Kind::PermissionDenied, "PRIORITY_DENIED", text));
            }
        }
        let (plan, taken) = self.planned(spec, call).await?;
        // The device may be known from before.
        self.engine.check_worker()?;
        if taken.peak_memory_bytes > taken.available_memory_bytes {
            let (need, most) = (gib(taken.peak_memory_bytes), gib(taken.available_memory_bytes));
            // Where tiles were not refused, they were reckoned with.
            let tiles = if plan.order.vae_tiling {
                ""
            } else {
                ", or let spec.wan.vae_tiling be true"
            };
            let turns = match self.engine.config().offload_text_encoder {
                OffloadTextEncoder::Never => ", or let video-gen.offload_text_encoder be \"auto\"",
                OffloadTextEncoder::Auto | OffloadTextEncoder::Always => "",
            };
            let text = format!(
                "spec.size and spec.num_frames: it would take {need:.1} GiB of the device's memory, of which {most:.1} \
                 GiB can be had; make it smaller or shorter{tiles}{turns}"
            );
            return Err(Fault::exhausted("DEVICE_TOO_SMALL", "device memory", text, None));
        }
        let told = Told::planned(plan.clone());
        if validate_only {
            return Ok(validated(&told));
        }
        let new = NewJob {
            owner: owner.to_owned(),
            request_id,
            fingerprint,
            label: plan.order.model.clone(),
            priority,
            payload: serde_json::to_vec(&plan).map_err(Fault::internal)?,
            progress: serde_json::to_vec(&told).map_err(Fault::internal)?,
            cost: taken.inference,
            deadline,
        };
        let submitted = self.queue().submit(new).await?;
        self.making.operation(&submitted.job).await
    }

    /// A spec as a plan, with what it takes.
    pub(super) async fn planned(
        &self,
        spec: Option<pb::VideoSpec>,
        call: String,
    ) -> Result<(Plan, Taken), Fault> {
        let asked = Asked::parse(spec)?;
        let (model, weights, digest) = self.chosen(&asked).await?;
        asked.expected.check(&digest, "spec.")?;
        let tiling = asked.tiling();
        let order = asked.order(model, weights)?;
        let mut plan = Plan {
            work: engine::work(&order, model),
            order,
            model_digest: digest,
            call,
        };
        let mut taken = self.engine.taken(&plan, model).await?;
        // Tiles are taken by themselves only when it would not fit otherwise.
        if tiling.is_none() && taken.peak_memory_bytes > taken.available_memory_bytes {
            plan.order.vae_tiling = true;
            taken = self.engine.taken(&plan, model).await?;
        }
        plan.order.receipt = receipt(&plan);
        Ok((plan, taken))
    }

    /// The model that was asked for, its weights and their digest.
    async fn chosen(&self, asked: &Asked) -> Result<(&'static Model, Weights, String), Fault> {
        let configured = &self.engine.config().model;
        let named = match asked.model {
            Some(model) => Some(model),
            None if configured.is_empty() => None,
            None => catalogue::find(configured).ok(),
        };
        let models = self.engine.models();
        if asked.dummy {
            let model = named.or_else(|| catalogue::models().first());
            let model = model.ok_or_else(absent_all)?;
            return Ok((model, models.dummy(), String::new()));
        }
        let candidates = named.map_or_else(|| catalogue::models().iter().collect(), |model| vec![model]);
        for model in candidates {
            if let Some((weights, digest)) = models.on_disk(model).await? {
                return Ok((model, weights, digest));
            }
        }
        Err(named.map_or_else(absent_all, |model| absent(model.id)))
    }
}

/// It is done at once, and nothing of it is kept.
fn validated(told: &Told) -> Operation {
    let video = pb::Video {
        spec: Some(convert::effective(&told.plan.order)),
        state: polyphony_proto::types::v1::JobState::Succeeded.into(),
        dummy_weights: told.plan.is_dummy(),
        ..pb::Video::default()
    };
    let any = |name: &str, value: Vec<u8>| Any {
        type_url: format!("type.googleapis.com/{name}"),
        value,
    };
    let metadata = pb::GenerateVideoMetadata {
        video: Some(video.clone()),
    };
    Operation {
        name: "operations/video-gen-validated".to_owned(),
        metadata: Some(any(Making::METADATA, metadata.encode_to_vec())),
        done: true,
        result: Some(operation::Result::Response(any(
            Making::RESPONSE,
            video.encode_to_vec(),
        ))),
    }
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}

fn absent_all() -> Fault {
    absent(
        catalogue::models()
            .first()
            .map_or("wan2.1-t2v-1.3b", |model| model.id),
    )
}

fn absent(id: &str) -> Fault {
    let text = format!(
        "spec.model: the weights of {id} are not on disk; `polyphony models pull {id}` brings them, and \
         LOAD_FORMAT_DUMMY does without, for tests"
    );
    Fault::new(Kind::FailedPrecondition, "WEIGHTS_ABSENT", text)
}

/// How it was made, for the file's metadata. The same order has the same receipt: so its file has the same bytes.
fn receipt(plan: &Plan) -> String {
    let order = &plan.order;
    json!({
        "generator": concat!("polyphony ", env!("CARGO_PKG_VERSION")),
        "model": order.model,
        "model_digest": plan.model_digest,
        "dummy_weights": plan.is_dummy(),
        "prompt": order.prompt,
        "negative_prompt": order.negative_prompt,
        "width": order.width,
        "height": order.height,
        "num_frames": order.num_frames,
        "frame_rate": order.frame_rate,
        "seed": order.seed,
        "num_inference_steps": order.num_inference_steps,
        "guidance_scale": order.guidance_scale,
        "sampler": order.sampler,
        "flow_shift": order.flow_shift,
    })
    .to_string()
}
