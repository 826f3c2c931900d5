//! Takes a recording apart without a server, for `tests/eval/separation.py`.
//!
//! Usage: `stems [--shifts N] FILE FOLDER GRAPH.onnx...`; several graphs are a bag.
//!
//! Writes each stem to FOLDER/STEM.f32: 32-bit little-endian floats, channels interleaved, at the file's rate. Prints an
//! object: `stems`, `rate`, `channels`, `audio_seconds`, and `wall_seconds` and `cpu_seconds` of the work, after the model
//! was loaded.

use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use polyphony_analysis::domain::{SeparationOptions, StemBlock};
use polyphony_analysis::engine::htdemucs::HtDemucs;
use polyphony_analysis::engine::{Error as EngineError, SeparationEngine, StemSink};
use polyphony_audio::decode::decode;
use polyphony_audio::limits::{Cancel as Stop, Limits};
use polyphony_inference::{Cancel, InferenceConfig, Runtime};
use serde_json::json;

const USAGE: &str = "usage: stems [--shifts N] FILE FOLDER GRAPH.onnx...";

/// Each stem, put together.
#[derive(Default)]
struct Whole(Vec<Vec<f32>>);

impl StemSink for Whole {
    fn block(&mut self, block: StemBlock) -> Result<(), EngineError> {
        self.0.resize(block.stems.len(), Vec::new());
        for (whole, stem) in self.0.iter_mut().zip(block.stems) {
            whole.extend(stem);
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut options = SeparationOptions {
        seed: Some(1),
        ..SeparationOptions::default()
    };
    let mut paths = Vec::new();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--shifts" => options.shifts = args.next().ok_or(USAGE)?.parse()?,
            _ => paths.push(PathBuf::from(arg)),
        }
    }
    let [file, folder, graphs @ ..] = &paths[..] else {
        return Err(USAGE.into());
    };
    let mix = decode(&std::fs::read(file)?, &Limits::default(), &Stop::new())?.pcm;
    let config = InferenceConfig::default();
    let engine = HtDemucs::load(graphs, "", "", &Runtime::new(&config), &config)?;
    let plan = engine.plan(&options)?;
    let mut whole = Whole::default();
    let (begun, cpu) = (Instant::now(), cpu_seconds()?);
    engine.separate(&mix, &plan, &Cancel::default(), &mut whole)?;
    let report = json!({
        "stems": plan.stems,
        "rate": mix.spec().rate.hz(),
        "channels": plan.channels,
        "audio_seconds": mix.duration().as_secs_f64(),
        "wall_seconds": begun.elapsed().as_secs_f64(),
        "cpu_seconds": cpu_seconds()? - cpu,
    });
    for (stem, samples) in plan.stems.iter().zip(&whole.0) {
        write(&folder.join(format!("{stem}.f32")), samples)?;
    }
    Ok(writeln!(io::stdout(), "{report}")?)
}

fn write(path: &Path, samples: &[f32]) -> io::Result<()> {
    let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    std::fs::write(path, bytes)
}

/// User and system time of all threads so far, to a hundredth.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // After the name, which may hold spaces and brackets: the 12th and 13th fields, in ticks of 10 ms.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |index: usize| -> Result<f64, Box<dyn Error>> {
        Ok(fields.get(index).ok_or("/proc/self/stat")?.parse()?)
    };
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}
