//! The embedded engine: Silero VAD, the GE2E speaker encoder and clustering. It works with no GPU and no model hub.
//!
//! In reading order: `mel` makes what the encoder hears, `encoder` runs it, `analysis` lays windows over the speech of a
//! recording, [`crate::clustering`] says which of them are one person, and `decode` who speaks in each frame.
//!
//! It hears one person at a time: where two speak at once, the one who is nearer to what is known wins. Embeddings of
//! GE2E do not show a second voice, so it does not claim to find overlaps.

mod analysis;
mod decode;
mod encoder;
mod mel;
mod stream;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use polyphony_inference::{Device, InferenceConfig, Runtime, SessionPool, SessionSettings};
use polyphony_models::Provenance;

use self::analysis::Analysis;
use self::encoder::Encoder;
use self::mel::Extractor;
use self::stream::Ge2eStream;
use super::activity::Activity;
use super::cache::Cache;
use super::trouble::Trouble;
use super::{Engine, Stream};
use crate::Error;
use crate::clustering::agglomerative::Linkage;
use crate::clustering::{self, Wanted, condense};
use crate::domain::{Cancel, Clustering, Diarization, Embedding, EngineInfo, Options, StreamOptions, Voice};
use crate::timeline::{self, Rules};

pub use self::encoder::DIMENSIONS;

/// The engine with its models loaded.
#[derive(Debug)]
pub struct Ge2eEngine {
    activity: Activity,
    encoder: Encoder,
    cache: Cache<Analysis>,
    info: EngineInfo,
}

/// The files of the engine's models.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    /// `silero_vad_16k_sequence.onnx` of the silero-vad wheel.
    pub activity: &'a Path,
    /// `ge2e.onnx`, made at set-up of Resemblyzer's checkpoint.
    pub encoder: &'a Path,
}

/// The engine's name, in the catalogue and in receipts.
pub const NAME: &str = "ge2e";

/// Voices less distant than this are one person: mean cosine distance of their windows.
const THRESHOLD: f32 = 0.36;
/// Pauses of one person shorter than this are filled.
const MIN_OFF: Duration = Duration::from_millis(800);
/// Less speech than this, in seconds, makes no person of a group.
const SOLID: f32 = 2.0;
/// The cosine from which a voice is taken for an enrolled one. Chosen by hand: no set of enrolments was at hand to measure
/// the equal-error point on.
const IDENTIFICATION: f32 = 0.75;

// === impl Ge2eEngine ===

impl Ge2eEngine {
    /// Loads the models and runs them once. `model` and `digest` are told in receipts; at most `cache_bytes` are kept of
    /// what the models said of earlier recordings.
    ///
    /// # Errors
    /// [`Error::Request`] when ONNX Runtime is missing, with the remedy; [`Error::Engine`] when a file is not the model
    /// that it should be.
    pub fn load(
        files: Files<'_>,
        model: impl Into<String>,
        digest: impl Into<String>,
        runtime: &Runtime,
        config: &InferenceConfig,
        cache_bytes: usize,
    ) -> Result<Self, Error> {
        let open = || -> Result<_, Trouble> {
            let loaded = runtime.get()?;
            // Small enough for the processor, wherever other models run.
            let (sessions, _) = config.width(false);
            let settings = SessionSettings {
                device: Device::Cpu,
                threads: std::num::NonZeroUsize::MIN,
                fixed_shapes: false,
            };
            let activity = Activity::open(loaded, files.activity, sessions)?;
            let pool = SessionPool::open(loaded, files.encoder, settings, sessions)?;
            let encoder = Encoder::new(pool, sessions.get(), Extractor::new()?)?;
            Ok((activity, encoder, loaded.version()))
        };
        let (activity, encoder, version) = open().map_err(|trouble| trouble.of(NAME))?;
        let made = Provenance {
            engine: NAME,
            version: format!("onnxruntime {version}"),
            model: model.into(),
            digest: digest.into(),
            device: Device::Cpu.to_string(),
            degraded: None,
        };
        Ok(Self {
            activity,
            encoder,
            cache: Cache::new(cache_bytes),
            info: info(made),
        })
    }

    fn analyse(&self, audio: &[f32], cancel: &Cancel) -> Result<Arc<Analysis>, Error> {
        let make = || Analysis::of(audio, &self.activity, &self.encoder, cancel);
        self.cache.get_or(audio, make).map_err(|trouble| trouble.of(NAME))
    }
}

impl Engine for Ge2eEngine {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn diarize(&self, audio: &[f32], options: &Options, cancel: &Cancel) -> Result<Diarization, Error> {
        let analysis = self.analyse(audio, cancel)?;
        if analysis.regions.is_empty() {
            return Ok(Diarization::default());
        }
        let labels = clustering::group(&analysis.voices, &analysis.weights, &wanted(options));
        let decoded = decode::decode(&analysis, &labels);
        let mut tracks = decoded.tracks;
        let rules = Rules {
            min_on: timeline::samples(options.min_on),
            min_off: timeline::samples(options.min_off.unwrap_or(MIN_OFF)),
            over_others: false,
        };
        rules.apply(&mut tracks);
        let voices = decoded
            .centres
            .rows()
            .map(|centre| Embedding::new(centre.to_vec()));
        Ok(timeline::diarization(&tracks, &tracks, voices.collect()))
    }

    fn voice(&self, audio: &[f32], cancel: &Cancel) -> Result<Option<Voice>, Error> {
        let analysis = self.analyse(audio, cancel)?;
        let labels = vec![0; analysis.centres.len()];
        let centre = condense::means(&analysis.voices, &analysis.weights, &labels, 1);
        let Some(embedding) = Embedding::new(centre.row(0).to_vec()) else {
            return Ok(None);
        };
        let groups = clustering::group(&analysis.voices, &analysis.weights, &wanted(&Options::default()));
        Ok(Some(Voice {
            embedding,
            speech: timeline::offset(analysis.speech.iter().map(|span| span.end - span.start).sum()),
            several: groups.iter().any(|group| *group > 0),
        }))
    }

    fn stream(&self, options: &StreamOptions, cancel: &Cancel) -> Result<Box<dyn Stream>, Error> {
        let encoder = self.encoder.clone();
        Ok(Box::new(Ge2eStream::new(
            &self.activity,
            encoder,
            options,
            cancel.clone(),
        )))
    }
}

/// What is known of the engine's models without loading them: all of it but version and device.
pub fn foretell(model: impl Into<String>, digest: impl Into<String>) -> EngineInfo {
    info(Provenance {
        engine: NAME,
        version: String::new(),
        model: model.into(),
        digest: digest.into(),
        device: String::new(),
        degraded: None,
    })
}

fn info(made: Provenance) -> EngineInfo {
    EngineInfo {
        encoder: made.clone(),
        made,
        clustering: Clustering::Agglomerative,
        threshold: THRESHOLD,
        min_off: MIN_OFF,
        identification: IDENTIFICATION,
        dimensions: DIMENSIONS,
        overlaps: false,
        stream_speakers: 20,
    }
}

fn wanted(options: &Options) -> Wanted {
    Wanted {
        method: options.clustering.unwrap_or(Clustering::Agglomerative),
        linkage: Linkage::Average,
        threshold: options.threshold.unwrap_or(THRESHOLD),
        at_least: options.min_speakers,
        at_most: options.max_speakers,
        solid: SOLID,
    }
}
