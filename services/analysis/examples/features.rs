//! Features of a recording as JSON, for `tests/eval/features.py` and `tests/bench/features.py`.
//!
//! Usage: `features [--own-rate] [--stream] [--only KIND,KIND] [--rounds N] FILE`
//!
//! `--own-rate` measures at the recording's own sample rate instead of at 22,050 Hz, `--stream` as a stream does, without
//! loudness. `--rounds` measures so often and prints nothing but the recording's length in seconds. Kinds are named as in
//! `Feature`, as "Mfcc".

use std::error::Error;
use std::io::{self, Write};

use polyphony_analysis::features::{Feature, FeatureStream, Matrix, Measured, Settings, key, measure};
use polyphony_audio::decode::Decoder;
use polyphony_audio::limits::{Cancel as Stop, Limits};
use polyphony_audio::resample::Resampler;
use polyphony_inference::Cancel;
use serde_json::{Map, Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let usage = "usage: features [--own-rate] [--stream] [--only KIND,KIND] [--rounds N] FILE";
    let (mut own_rate, mut stream, mut only, mut rounds, mut path) = (false, false, None, 0, None);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--own-rate" => own_rate = true,
            "--stream" => stream = true,
            "--only" => only = Some(args.next().ok_or(usage)?),
            "--rounds" => rounds = args.next().ok_or(usage)?.parse()?,
            _ => path = Some(arg),
        }
    }
    let bytes = std::fs::read(path.ok_or(usage)?)?;
    let (limits, stop) = (Limits::default(), Stop::new());
    let open = || Decoder::open(&bytes, &limits, &stop);
    let wanted = |feature: &Feature| {
        only.as_ref()
            .is_none_or(|only| only.split(',').any(|kind| kind == format!("{feature:?}")))
    };
    let mut settings = Settings::new(Feature::ALL.into_iter().filter(wanted).collect())?;
    if own_rate {
        let mut decoder = open()?;
        decoder.next_block()?;
        settings.rate = decoder.spec().ok_or("the recording does not say its rate")?.rate;
    }
    settings
        .features
        .retain(|feature| *feature != Feature::SpectralContrast || settings.rate.hz() > 12_800);
    settings.check()?;

    let once = || -> Result<Measured, Box<dyn Error>> {
        if stream {
            return streamed(open()?, &settings);
        }
        Ok(measure(open, &settings, u64::MAX, &Cancel::default())?)
    };
    let mut measured = once()?;
    for _ in 1..rounds {
        measured = once()?;
    }
    let mut out = io::stdout().lock();
    if rounds > 0 {
        writeln!(out, "{}", measured.duration.as_secs_f64())?;
    } else {
        writeln!(out, "{}", told(&measured, &settings))?;
    }
    Ok(())
}

/// Fed block by block, as a stream is.
fn streamed(mut decoder: Decoder<'_>, settings: &Settings) -> Result<Measured, Box<dyn Error>> {
    let mut stream = FeatureStream::new(settings)?;
    let mut measured = Measured::default();
    let mut resampler = None;
    let mut samples = Vec::new();
    while let Some(block) = decoder.next_block()? {
        measured.duration += block.duration();
        let resampler = match &mut resampler {
            Some(resampler) => resampler,
            none => none.insert(Resampler::new(block.spec().rate, settings.rate)?),
        };
        samples.clear();
        resampler.push(block.into_mono().samples(), &mut samples)?;
        join(&mut measured.matrices, stream.push(&samples)?);
    }
    if let Some(mut resampler) = resampler {
        samples.clear();
        resampler.finish(&mut samples)?;
        join(&mut measured.matrices, stream.push(&samples)?);
    }
    let (whole, tuning) = stream.finish(&Cancel::default())?;
    join(&mut measured.matrices, whole.matrices);
    (measured.tempo, measured.key, measured.tuning) = (whole.tempo, whole.key, tuning);
    Ok(measured)
}

fn join(all: &mut Vec<Matrix>, next: Vec<Matrix>) {
    for matrix in next {
        match all.iter_mut().find(|before| before.feature == matrix.feature) {
            Some(before) => before.values.extend(matrix.values),
            None => all.push(matrix),
        }
    }
}

fn told(measured: &Measured, settings: &Settings) -> Value {
    let matrices: Map<String, Value> = measured
        .matrices
        .iter()
        .map(|matrix| {
            let name = format!("{:?}", matrix.feature);
            (name, json!({"rows": matrix.rows, "values": matrix.values}))
        })
        .collect();
    json!({
        "duration": measured.duration.as_secs_f64(),
        "rate": settings.rate.hz(),
        "tuning": measured.tuning,
        "matrices": matrices,
        "loudness": measured.loudness.map(|loudness| json!({
            "integrated": loudness.integrated_lufs,
            "range": loudness.range_lu,
            "momentary": loudness.max_momentary_lufs,
            "short_term": loudness.max_short_term_lufs,
            "true_peak": loudness.true_peak_dbtp,
        })),
        "tempo": measured.tempo.as_ref().map(|tempo| json!({
            "bpm": tempo.bpm,
            "beats": tempo.beats,
            "confidence": tempo.confidence,
        })),
        "key": measured.key.map(|key| json!({
            "tonic": key.tonic,
            "minor": key.mode == key::Mode::Minor,
            "correlation": key.correlation,
        })),
    })
}
