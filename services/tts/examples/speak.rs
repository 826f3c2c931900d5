//! Speaks a text with a Piper voice as a stream would, and says how long it took: what `tests/bench/tts.py` measures.
//!
//! ```text
//! speak VOICE.onnx ESPEAK_FOLDER RUNS [first|whole] < text
//! ```
//!
//! Prints a line of JSON for each run: seconds to the first audio, to all of it, of the processor, and of the audio.
//! `first` stops at the first audio. The settings lie beside the voice, in `VOICE.onnx.json`.

use std::collections::VecDeque;
use std::error::Error;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use polyphony_inference::{InferenceConfig, Runtime};
use polyphony_tts::ahead::{Ahead, Lead};
use polyphony_tts::clauses::{Clauses, Cutting};
use polyphony_tts::domain::{Cancel, Utterance};
use polyphony_tts::engine::Engine;
use polyphony_tts::engine::piper::{PiperEngine, SETTINGS};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |name: &str| arguments.next().ok_or_else(|| format!("{name} is missing"));
    let (voice, espeak) = (
        PathBuf::from(next("VOICE.onnx")?),
        PathBuf::from(next("ESPEAK_FOLDER")?),
    );
    let runs: usize = next("RUNS")?.parse()?;
    let only_first = next("first or whole").is_ok_and(|what| what == "first");
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;

    let settings = PathBuf::from(format!("{}{SETTINGS}", voice.display()));
    let config = InferenceConfig::default();
    let runtime = Runtime::new(&config);
    let engine = PiperEngine::open(
        &voice,
        &settings,
        &espeak,
        ("bench", "sha256:0"),
        &runtime,
        &config,
    )?;
    if !engine.streams() {
        return Err("the voice cannot be cut into parts".into());
    }
    let engine: Arc<dyn Engine> = Arc::new(engine);
    let id = engine.info().voices[0].id.as_str();
    let rate = engine.info().sample_rate;
    let mut out = std::io::stdout();
    for _ in 0..runs {
        let (began, processor) = (Instant::now(), processor_seconds()?);
        let (mut first, mut samples) = (None, 0);
        let cancel = Cancel::default();
        let mut clauses = Clauses::new(Cutting::STREAM);
        let mut over = clauses.push(&text);
        over.extend(clauses.flush());
        let (mut over, mut ahead) = (VecDeque::from(over), None);
        while let Some(clause) = over.pop_front() {
            let (utterance, begun) = (Utterance::new(id, clause), ahead.take());
            let mut lead = Lead::default();
            let spoken = Ahead::speak(begun, &*engine, &utterance, &cancel, &mut |piece| {
                first.get_or_insert_with(|| began.elapsed());
                samples += piece.samples.len();
                let enough = lead.add(piece.samples.len(), rate);
                if let Some(next) = over.front().filter(|_| enough && ahead.is_none()) {
                    ahead = Some(Ahead::begin(
                        Arc::clone(&engine),
                        Utterance::new(id, next.clone()),
                    ));
                }
                if only_first {
                    cancel.cancel();
                }
            });
            if only_first {
                break;
            }
            spoken?;
        }
        let line = serde_json::json!({
            "first": first.unwrap_or_default().as_secs_f64(),
            "all": began.elapsed().as_secs_f64(),
            "processor": processor_seconds()? - processor,
            "audio": samples as f64 / f64::from(engine.info().sample_rate),
        });
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// Processor time of all threads of this process so far. Linux counts it in hundredths of a second.
fn processor_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks: f64 = [11, 12]
        .iter()
        .filter_map(|&at| fields.get(at)?.parse::<f64>().ok())
        .sum();
    Ok(ticks / 100.0)
}
