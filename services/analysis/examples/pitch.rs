//! The pitch of a recording as JSON, for `tests/eval/pitch.py` and `tests/bench/pitch.py`.
//!
//! Usage: `pitch [OPTION VALUE]... MODEL.onnx FILE`, options below.
//!
//! Prints an object: `frequency_hz` and `periodicity` of each frame; `audio_seconds`; and `wall_seconds` and `cpu_seconds`
//! of tracking, after the model was loaded and warm. Every frame is voiced unless `--voicing on` asks for the default
//! thresholds. `--stream` feeds the audio in pieces of so many milliseconds, as a stream would. `--save` keeps the audio as
//! it is heard: 32-bit little-endian floats, mono at 16 kHz.

use std::error::Error;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, Instant};

use polyphony_analysis::domain::{PITCH_RATE, PitchDecoder, PitchOptions};
use polyphony_analysis::engine::PitchEngine;
use polyphony_analysis::engine::crepe::Crepe;
use polyphony_audio::decode::decode_speech;
use polyphony_audio::limits::{Cancel as Stop, Limits};
use polyphony_inference::{Cancel, InferenceConfig, Runtime};
use serde_json::json;

const USAGE: &str = "usage: pitch [--hop MS] [--min HZ] [--max HZ] [--decoder viterbi|weighted|argmax] [--voicing on|off] \
                     [--sessions N] [--stream MS] [--save FILE] MODEL.onnx FILE";

fn main() -> Result<(), Box<dyn Error>> {
    let defaults = PitchOptions::default();
    let mut options = PitchOptions {
        voicing_threshold: 0.0,
        silence_threshold_db: -100.0,
        ..defaults
    };
    let mut config = InferenceConfig::default();
    let (mut piece, mut save, mut paths) = (None, None, Vec::new());
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(USAGE);
        match arg.as_str() {
            "--min" => options.min_frequency_hz = value()?.parse()?,
            "--max" => options.max_frequency_hz = value()?.parse()?,
            "--save" => save = Some(value()?),
            "--voicing" if value()? == "on" => {
                options.voicing_threshold = defaults.voicing_threshold;
                options.silence_threshold_db = defaults.silence_threshold_db;
            }
            "--voicing" => {}
            "--hop" => options.hop = Duration::from_secs_f64(value()?.parse::<f64>()? / 1_000.0),
            "--sessions" => config.sessions = Some(value()?.parse::<NonZeroUsize>()?),
            "--stream" => piece = Some(value()?.parse::<usize>()? * PITCH_RATE as usize / 1_000),
            "--decoder" => {
                options.decoder = match value()?.as_str() {
                    "viterbi" => PitchDecoder::Viterbi,
                    "weighted" => PitchDecoder::WeightedArgmax,
                    "argmax" => PitchDecoder::Argmax,
                    _ => return Err(USAGE.into()),
                }
            }
            _ => paths.push(arg),
        }
    }
    let [model, file] = &paths[..] else {
        return Err(USAGE.into());
    };
    options.check().map_err(|fault| fault.message.into_owned())?;

    let audio = decode_speech(&std::fs::read(file)?, &Limits::default(), &Stop::new())?.pcm;
    if let Some(path) = save {
        let bytes: Vec<u8> = audio
            .samples()
            .iter()
            .flat_map(|sample| sample.to_le_bytes())
            .collect();
        std::fs::write(path, bytes)?;
    }
    let crepe = Crepe::load(Path::new(model), "", "", &Runtime::new(&config), &config)?;
    let cancel = Cancel::default();
    let (begun, cpu) = (Instant::now(), cpu_seconds()?);
    let tracks = match piece {
        None => vec![crepe.track(audio.samples(), &options, &cancel)?],
        Some(length) => {
            let mut follower = crepe.follow(&options, &cancel)?;
            let pieces = audio.samples().chunks(length.max(1));
            let mut tracks = pieces
                .map(|piece| follower.accept(piece))
                .collect::<Result<Vec<_>, _>>()?;
            tracks.push(follower.finish()?);
            tracks
        }
    };
    let report = json!({
        "frequency_hz": tracks.iter().flat_map(|track| &track.frequency_hz).collect::<Vec<_>>(),
        "periodicity": tracks.iter().flat_map(|track| &track.periodicity).collect::<Vec<_>>(),
        "audio_seconds": audio.duration().as_secs_f64(),
        "wall_seconds": begun.elapsed().as_secs_f64(),
        "cpu_seconds": cpu_seconds()? - cpu,
    });
    Ok(writeln!(io::stdout(), "{report}")?)
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
