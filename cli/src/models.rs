//! `polyphony models`: list, pull, load and unload, through the mesh's ModelService; and pull without a mesh.

mod local;

use std::process::ExitCode;

use anyhow::bail;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use polyphony_proto::models::v1::model_service_client::ModelServiceClient;
use polyphony_proto::models::v1::{
    ListModelsRequest, LoadModelRequest, Model, ModelState, PullModelRequest, UnloadModelRequest,
};
use serde_json::{Value, json};
use tokio_stream::StreamExt;

use tonic::transport::Channel;

use crate::args::{Mesh, Models, ModelsCommand, Pull};
use crate::{client, output};

pub(crate) async fn run(mesh: &Mesh, json: bool, args: Models) -> anyhow::Result<ExitCode> {
    if let ModelsCommand::Pull(args) = &args.command {
        if args.local {
            local::pull(args, json).await?;
            return Ok(ExitCode::SUCCESS);
        }
        if args.config.config.is_some() || !args.config.sets.is_empty() {
            bail!("--config and --set say where models lie on this machine: they go with --local");
        }
    }
    let mut models = ModelServiceClient::new(client::connect(mesh).await?);
    match args.command {
        ModelsCommand::List { task, installed } => {
            let mut all = Vec::new();
            let mut page_token = String::new();
            loop {
                let request = ListModelsRequest {
                    task: task.clone().unwrap_or_default(),
                    installed_only: installed,
                    page_size: 100,
                    page_token,
                };
                let page = models.list_models(request).await?.into_inner();
                all.extend(page.models);
                page_token = page.next_page_token;
                if page_token.is_empty() {
                    break;
                }
            }
            list(&all, json)?;
        }
        ModelsCommand::Pull(args) => pull(&mut models, &args, json).await?,
        ModelsCommand::Load { model, pin } => {
            let request = LoadModelRequest {
                model,
                pin: pin.then_some(true),
            };
            let loaded = models
                .load_model(request)
                .await?
                .into_inner()
                .model
                .unwrap_or_default();
            report(&loaded, json)?;
        }
        ModelsCommand::Unload { model } => {
            let unloaded = models
                .unload_model(UnloadModelRequest { model })
                .await?
                .into_inner()
                .model
                .unwrap_or_default();
            report(&unloaded, json)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Lets the mesh pull, one model after the other.
async fn pull(mesh: &mut ModelServiceClient<Channel>, args: &Pull, json: bool) -> anyhow::Result<()> {
    for model in &args.models {
        let request = PullModelRequest {
            model: model.clone(),
            revision: args.revision.clone().unwrap_or_default(),
        };
        let mut progress = mesh.pull_model(request).await?.into_inner();
        let bar = progress_bar(json);
        let mut placed = false;
        while let Some(step) = progress.next().await {
            let step = step?;
            bar.set_length(step.total_bytes);
            bar.set_position(step.done_bytes);
            bar.set_message(step.file.clone());
            placed |= step.model.is_some();
            if json {
                output::object(&json!({
                    "state": state_name(step.state()),
                    "file": step.file,
                    "doneBytes": step.done_bytes,
                    "totalBytes": step.total_bytes,
                    "model": step.model.as_ref().map(object),
                }))?;
            } else if let Some(model) = step.model {
                bar.finish_and_clear();
                output::line(&format!("{} is on disk, {}", model.model, model.digest))?;
            }
        }
        if !placed {
            bail!("the pull broke off: the mesh ended it without saying how");
        }
    }
    Ok(())
}

fn list(models: &[Model], json: bool) -> anyhow::Result<()> {
    if json {
        return models.iter().try_for_each(|model| output::object(&object(model)));
    }
    let widest = |text: fn(&Model) -> &str| models.iter().map(|model| text(model).len()).max();
    let width = widest(|model| &model.model).unwrap_or_default();
    let task = widest(|model| &model.task).unwrap_or_default();
    for model in models {
        output::line(&format!(
            "{:width$}  {:11}  {:task$}  {:>8}  {}",
            model.model,
            state_name(model.state()),
            model.task,
            size(model.size_bytes),
            if model.state_message.is_empty() {
                &model.description
            } else {
                &model.state_message
            },
        ))?;
    }
    Ok(())
}

fn report(model: &Model, json: bool) -> anyhow::Result<()> {
    if json {
        output::object(&object(model))
    } else {
        output::line(&format!("{}: {}", model.model, state_name(model.state())))
    }
}

fn object(model: &Model) -> Value {
    json!({
        "model": model.model,
        "task": model.task,
        "engine": model.engine,
        "description": model.description,
        "licence": model.licence,
        "state": state_name(model.state()),
        "stateMessage": model.state_message,
        "sizeBytes": model.size_bytes,
        "memoryBytes": model.memory_bytes,
        "digest": model.digest,
        "revision": model.revision,
        "pinned": model.pinned,
        "inUse": model.in_use,
        "device": model.device,
    })
}

/// "available" for MODEL_STATE_AVAILABLE.
fn state_name(state: ModelState) -> String {
    state
        .as_str_name()
        .trim_start_matches("MODEL_STATE_")
        .to_ascii_lowercase()
}

/// "148 MB"; empty when it is not known.
fn size(bytes: u64) -> String {
    match bytes {
        0 => String::new(),
        1..1_000_000 => format!("{} kB", bytes.div_ceil(1_000)),
        1_000_000..10_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{} GB", bytes / 1_000_000_000),
    }
}

fn progress_bar(json: bool) -> ProgressBar {
    let target = if json || !output::is_watched() {
        ProgressDrawTarget::hidden()
    } else {
        ProgressDrawTarget::stderr()
    };
    let style = ProgressStyle::with_template(
        "{bytes:>10}/{total_bytes:10} [{bar:30}] {bytes_per_sec:>12} {eta:>4} {msg}",
    );
    let bar = ProgressBar::with_draw_target(None, target);
    if let Ok(style) = style {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}
