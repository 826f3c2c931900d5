//! Embeds texts with all-MiniLM-L6-v2 of the set-up, as often as it is told: for the scripts that measure and score.
//!
//! The first line of standard input is `{"texts": […], "sessions": N, "vectors": PATH}`. For each further line all texts are
//! embedded once, their vectors are written to PATH as 32-bit floats, and the seconds that it took are printed.

use std::io::{self, BufRead, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

use polyphony_encoders::{EmbedOptions, Embedder, Folder, Truncation};
use polyphony_inference::{Cancel, InferenceConfig, Runtime};
use polyphony_models::{ModelsConfig, Store};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What is asked for.
#[derive(serde::Deserialize)]
struct Asked {
    texts: Vec<String>,
    sessions: NonZeroUsize,
    vectors: PathBuf,
}

fn main() -> Result<(), BoxError> {
    let mut lines = io::stdin().lock().lines();
    let first = lines.next().ok_or("expected texts on standard input")??;
    let asked: Asked = serde_json::from_str(&first)?;
    let store = Store::open(&ModelsConfig::default(), |name| std::env::var_os(name))?;
    let installed = store.find(&"all-MiniLM-L6-v2".parse()?)?;
    let folder = Folder::new(
        &installed.dir,
        installed.files.iter().map(|file| file.path.as_str()),
    )?;
    let config = InferenceConfig {
        sessions: Some(asked.sessions),
        threads_per_session: Some(NonZeroUsize::MIN),
        ..InferenceConfig::default()
    };
    let runtime = Runtime::new(&config);
    let embedder = Embedder::load(&folder, "all-MiniLM-L6-v2", "", &runtime, &config)?;
    let texts: Vec<&str> = asked.texts.iter().map(String::as_str).collect();
    let options = EmbedOptions {
        truncation: Truncation::Right,
        ..EmbedOptions::default()
    };
    let mut out = io::stdout().lock();
    writeln!(out, "ready")?;
    for line in lines {
        line?;
        let began = Instant::now();
        let embedded = embedder.embed(&texts, &options, &Cancel::default())?;
        let took = began.elapsed().as_secs_f64();
        let numbers = embedded.iter().flat_map(|embedded| &embedded.vector);
        let bytes: Vec<u8> = numbers.flat_map(|number| number.to_le_bytes()).collect();
        std::fs::write(&asked.vectors, bytes)?;
        writeln!(out, "{took}")?;
        out.flush()?;
    }
    Ok(())
}
