//! Denoising steps of a transformer, for the script that measures them beside PyTorch.
//!
//! The first line of standard input is `{"folder", "inputs", "flows", "threads"}`: a folder with the transformer's
//! `config.json` and weights, a file with `latents`, `with` and `without` (the vectors of two prompts), a file to write. Then
//! "ready" is printed, and for each further line, "guided" or "single", the seconds of a step. What came last is written.

use std::io::{self, BufRead as _, Write as _};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use polyphony_video_worker::device::Device;
use polyphony_video_worker::protocol::Precision;
use polyphony_video_worker::shapes::LatentSize;
use polyphony_video_worker::stop::Stop;
use polyphony_video_worker::wan::checkpoint::Checkpoint;
use polyphony_video_worker::wan::layout;
use polyphony_video_worker::wan::rope::Rope;
use polyphony_video_worker::wan::transformer::Transformer;
use serde::Deserialize;
use tch::{Kind, Tensor};

#[derive(Deserialize)]
struct Asked {
    folder: PathBuf,
    inputs: PathBuf,
    flows: PathBuf,
    threads: i32,
}

fn main() -> Result<()> {
    let mut lines = io::stdin().lock().lines();
    let asked: Asked = serde_json::from_str(&lines.next().context("nothing was asked")??)?;
    tch::set_num_threads(asked.threads);
    let _no_gradients = tch::no_grad_guard();
    let device = Device::find("cpu", Some(Precision::Fp32))?;
    let shape = layout::transformer(&asked.folder.join("config.json"))?;
    let transformer = Transformer::new(Checkpoint::open(&asked.folder, device, Kind::Float)?, &shape)?;
    let inputs = Tensor::read_safetensors(&asked.inputs)?;
    let input = |name: &str| {
        let found = inputs.iter().find(|(known, _)| known == name);
        found
            .map(|(_, tensor)| tensor.shallow_clone())
            .with_context(|| format!("no {name}"))
    };
    let latents = input("latents")?;
    let size = latents.size();
    let size = LatentSize {
        frames: size[2],
        rows: size[3],
        columns: size[4],
    };
    let stop = Stop::default();
    let rope = Rope::new(&shape, &size, device.torch());
    let times = transformer.embed_times(&[500.0]);
    let guided = transformer.read(&[input("without")?, input("with")?], &stop)?;
    let single = transformer.read(&[input("with")?], &stop)?;
    let mut out = io::stdout();
    writeln!(out, "ready")?;
    let mut flows = None;
    for line in lines {
        let prompts = match line?.as_str() {
            "guided" => &guided,
            "single" => &single,
            other => bail!("\"{other}\" is no step"),
        };
        let began = Instant::now();
        let kept = device.keep_freed();
        flows = Some(transformer.flow(&latents, &times, 0, prompts, &rope, &stop)?);
        drop(kept);
        writeln!(out, "{}", began.elapsed().as_secs_f64())?;
    }
    Tensor::write_safetensors(
        &[("flows", flows.context("no step was asked for")?)],
        &asked.flows,
    )?;
    Ok(())
}
