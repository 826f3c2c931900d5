//! Who speaks when, for recordings one after another: RTTM on standard output.
//!
//! Usage: `diarize [--set KEY VALUE]… RECORDING…`, with the models of the set-up. Keys: `clustering` (agglomerative or
//! spectral), `threshold`, `speakers`, `min_speakers`, `max_speakers`, `min_on`, `min_off` (seconds).

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use polyphony_audio::decode::decode_speech;
use polyphony_audio::limits::{Cancel as DecodeCancel, Limits};
use polyphony_diar::domain::{Cancel, Clustering, Options, label};
use polyphony_diar::engine::Engine as _;
use polyphony_diar::engine::ge2e::{Files, Ge2eEngine};
use polyphony_inference::{InferenceConfig, Runtime};

type BoxError = Box<dyn std::error::Error>;

fn main() -> Result<(), BoxError> {
    let mut options = Options::default();
    let mut recordings = Vec::new();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        if arg == "--set" {
            let key = args.next().ok_or("--set wants a key and a value")?;
            let value = args.next().ok_or("--set wants a key and a value")?;
            set(&mut options, &key, &value)?;
        } else {
            recordings.push(PathBuf::from(arg));
        }
    }
    let wheels = polyphony_config::data_dir(|name| std::env::var_os(name))
        .ok_or("no data folder")?
        .join("wheels");
    let config = InferenceConfig::default();
    let files = Files {
        activity: &wheels.join("silero_vad/data/silero_vad_16k_sequence.onnx"),
        encoder: &wheels.join("resemblyzer/ge2e.onnx"),
    };
    let engine = Ge2eEngine::load(files, "ge2e", "", &Runtime::new(&config), &config, 0)?;
    let mut out = BufWriter::new(io::stdout().lock());
    for path in recordings {
        let audio = read(&path)?;
        let name = path
            .file_stem()
            .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        let found = engine.diarize(&audio, &options, &Cancel::default())?;
        for segment in found.segments {
            let (start, length) = (
                segment.start.as_secs_f64(),
                (segment.end - segment.start).as_secs_f64(),
            );
            let who = label(segment.speaker);
            let sure = segment
                .confidence
                .map_or_else(|| "<NA>".to_owned(), |sure| format!("{sure:.3}"));
            writeln!(
                out,
                "SPEAKER {name} 1 {start:.3} {length:.3} <NA> <NA> {who} {sure} <NA>"
            )?;
        }
    }
    Ok(out.flush()?)
}

fn set(options: &mut Options, key: &str, value: &str) -> Result<(), BoxError> {
    match key {
        "clustering" => {
            options.clustering = Some(match value {
                "agglomerative" => Clustering::Agglomerative,
                "spectral" => Clustering::Spectral,
                other => return Err(format!("no clustering is called {other:?}").into()),
            });
        }
        "threshold" => options.threshold = Some(value.parse()?),
        "speakers" => (options.min_speakers, options.max_speakers) = (value.parse()?, value.parse()?),
        "min_speakers" => options.min_speakers = value.parse()?,
        "max_speakers" => options.max_speakers = value.parse()?,
        "min_on" => options.min_on = Duration::try_from_secs_f64(value.parse()?)?,
        "min_off" => options.min_off = Some(Duration::try_from_secs_f64(value.parse()?)?),
        other => return Err(format!("no key is called {other:?}").into()),
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<f32>, BoxError> {
    let bytes = std::fs::read(path)?;
    let decoded = decode_speech(&bytes, &Limits::default(), &DecodeCancel::new())?;
    Ok(decoded.pcm.into_samples())
}
