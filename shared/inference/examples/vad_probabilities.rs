//! Silero VAD over standard input: 32-bit little-endian float samples at 16 kHz in, the probability of speech in each
//! whole frame of 512 samples out, one a line.
//!
//! Usage: `vad_probabilities silero_vad.onnx < samples.f32`

use std::io::{self, BufWriter, Read, Write};
use std::num::NonZeroUsize;
use std::path::Path;

use polyphony_inference::silero::{CHUNK, Silero};
use polyphony_inference::{InferenceConfig, Runtime};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = std::env::args_os()
        .nth(1)
        .ok_or("usage: vad_probabilities silero_vad.onnx < samples.f32")?;
    let runtime = Runtime::new(&InferenceConfig::default());
    let silero = Silero::open(runtime.get()?, Path::new(&model), NonZeroUsize::MIN)?;
    let mut stream = silero.stream();

    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    let (samples, _) = bytes.as_chunks::<4>();
    let samples: Vec<f32> = samples.iter().map(|sample| f32::from_le_bytes(*sample)).collect();
    let mut out = BufWriter::new(io::stdout().lock());
    for frame in samples.as_chunks::<CHUNK>().0 {
        writeln!(out, "{}", stream.push(frame)?)?;
    }
    Ok(out.flush()?)
}
