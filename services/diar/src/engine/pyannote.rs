//! The production engine: pyannote's segmentation network, a speaker network, and clustering. It hears people who speak at
//! the same time.
//!
//! In reading order: `layout` is what a segmentation model says of itself, `segmentation` runs it over windows, `features`
//! and `encoder` make voices of what each window's own people say, `analysis` is both over a recording, `people` finds
//! which voices are one person, and `decode` who speaks in each frame. The steps are those of pyannote's
//! speaker-diarization-3.1 (Bredin 2023). One thing is not: voices are taken of moments and not of whole windows, because
//! the segmentation network takes two people who alternate quickly for one.

mod analysis;
mod decode;
mod encoder;
mod features;
pub mod layout;
mod parallel;
mod people;
mod segmentation;
mod stream;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use polyphony_inference::{Device, InferenceConfig, Runtime};
use polyphony_models::Provenance;

use self::analysis::{Analysis, Voices};
use self::encoder::{Encoder, Family};
use self::people::People;
use self::segmentation::Segmentation;
use self::stream::PyannoteStream;
use super::cache::Cache;
use super::trouble::Trouble;
use super::{Engine, Stream};
use crate::Error;
use crate::clustering::Wanted;
use crate::clustering::agglomerative::Linkage;
use crate::domain::{Cancel, Clustering, Diarization, Embedding, EngineInfo, Options, StreamOptions, Voice};
use crate::timeline::{self, Rules};

/// The engine with its models loaded.
#[derive(Debug)]
pub struct PyannoteEngine {
    segmentation: Segmentation,
    encoder: Encoder,
    cache: Cache<Analysis>,
    info: EngineInfo,
    voices: Voices,
}

/// The files of the engine's models.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    /// pyannote's segmentation-3.0 as ONNX: sherpa-onnx's export, or that of transformers.js.
    pub segmentation: &'a Path,
    /// A speaker network as ONNX, of WeSpeaker, 3D-Speaker or NeMo.
    pub encoder: &'a Path,
}

/// The engine's name, in the catalogue and in receipts.
pub const NAME: &str = "pyannote";

/// Voices less distant than this are one person: mean cosine distance. Measured with CAM++ on nine short recordings.
const THRESHOLD: f32 = 0.62;
/// The same for voices of whole windows and distances of means: half the square of 0.7045654963945799, to which
/// speaker-diarization-3.1 was tuned with WeSpeaker's network.
const THRESHOLD_OF_WINDOWS: f32 = 0.248_2;
/// pyannote fills no pauses.
const MIN_OFF: Duration = Duration::ZERO;
/// Less speech than this, in seconds, makes no person of a stream.
const SOLID: f32 = 2.0;

// === impl PyannoteEngine ===

impl PyannoteEngine {
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
            let (sessions, _) = config.width(false);
            let segmentation = Segmentation::open(loaded, files.segmentation, sessions)?;
            let encoder = Encoder::open(loaded, files.encoder, sessions)?;
            Ok((segmentation, encoder, loaded.version()))
        };
        let (segmentation, encoder, version) = open().map_err(|trouble| trouble.of(NAME))?;
        let made = Provenance {
            engine: NAME,
            version: format!("onnxruntime {version}"),
            model: model.into(),
            digest: digest.into(),
            device: Device::Cpu.to_string(),
            degraded: None,
        };
        Ok(Self {
            info: info(made, encoder.family(), encoder.dimensions()),
            segmentation,
            encoder,
            cache: Cache::new(cache_bytes),
            voices: Voices::OfMoments,
        })
    }

    /// Makes one voice of all that each person of each window says, as pyannote and sherpa-onnx do, and joins voices with
    /// pyannote's threshold. It is there to be measured against them.
    #[must_use]
    pub fn with_voices_of_windows(mut self) -> Self {
        self.voices = Voices::OfWindows;
        self.info.threshold = THRESHOLD_OF_WINDOWS;
        self
    }

    fn analyse(&self, audio: &[f32], cancel: &Cancel) -> Result<Arc<Analysis>, Error> {
        let make = || Analysis::of(audio, &self.segmentation, &self.encoder, self.voices, cancel);
        self.cache.get_or(audio, make).map_err(|trouble| trouble.of(NAME))
    }

    fn people(&self, analysis: &Analysis, options: &Options) -> People {
        let linkage = match self.voices {
            Voices::OfWindows => Linkage::Centroid,
            Voices::OfMoments => Linkage::Average,
        };
        let wanted = self.wanted(options, linkage);
        people::find(&analysis.voices, &analysis.heard, &wanted)
    }

    fn wanted(&self, options: &Options, linkage: Linkage) -> Wanted {
        Wanted {
            method: options.clustering.unwrap_or(Clustering::Agglomerative),
            linkage,
            threshold: options.threshold.unwrap_or(self.info.threshold),
            at_least: options.min_speakers,
            at_most: options.max_speakers,
            solid: SOLID,
        }
    }
}

impl Engine for PyannoteEngine {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn diarize(&self, audio: &[f32], options: &Options, cancel: &Cancel) -> Result<Diarization, Error> {
        let analysis = self.analyse(audio, cancel)?;
        if analysis.heard.is_empty() {
            return Ok(Diarization::default());
        }
        let people = self.people(&analysis, options);
        let layout = self.segmentation.layout();
        let mut decoded = decode::decode(&analysis, layout, &people, options.max_speakers);
        let rules = |over_others| Rules {
            min_on: timeline::samples(options.min_on),
            min_off: timeline::samples(options.min_off.unwrap_or(MIN_OFF)),
            over_others,
        };
        rules(true).apply(&mut decoded.tracks);
        rules(false).apply(&mut decoded.exclusive);
        let voices = people
            .centres
            .rows()
            .map(|centre| Embedding::new(centre.to_vec()));
        Ok(timeline::diarization(
            &decoded.tracks,
            &decoded.exclusive,
            voices.collect(),
        ))
    }

    fn voice(&self, audio: &[f32], cancel: &Cancel) -> Result<Option<Voice>, Error> {
        let analysis = self.analyse(audio, cancel)?;
        let one = Options {
            max_speakers: 1,
            ..Options::default()
        };
        let people = self.people(&analysis, &one);
        let Some(centre) = people.centres.rows().next() else {
            return Ok(None);
        };
        let Some(embedding) = Embedding::new(centre.to_vec()) else {
            return Ok(None);
        };
        let decoded = decode::decode(&analysis, self.segmentation.layout(), &people, 1);
        let spans = decoded.exclusive.iter().flatten();
        Ok(Some(Voice {
            embedding,
            speech: timeline::offset(spans.map(|span| span.end - span.start).sum()),
            several: self.people(&analysis, &Options::default()).centres.len() > 1,
        }))
    }

    fn stream(&self, options: &StreamOptions, cancel: &Cancel) -> Result<Box<dyn Stream>, Error> {
        let wanted = self.wanted(&options.options, Linkage::Average);
        Ok(Box::new(PyannoteStream::new(
            self.segmentation.clone(),
            self.encoder.clone(),
            options,
            wanted,
            cancel.clone(),
        )))
    }
}

/// What is known of the engine's models without loading them: all of it but version, device, and what depends on the
/// speaker network.
pub fn foretell(model: impl Into<String>, digest: impl Into<String>) -> EngineInfo {
    let made = Provenance {
        engine: NAME,
        version: String::new(),
        model: model.into(),
        digest: digest.into(),
        device: String::new(),
        degraded: None,
    };
    info(made, Family::WeSpeaker, 0)
}

fn info(made: Provenance, family: Family, dimensions: usize) -> EngineInfo {
    EngineInfo {
        encoder: made.clone(),
        made,
        clustering: Clustering::Agglomerative,
        threshold: THRESHOLD,
        min_off: MIN_OFF,
        identification: family.identification(),
        dimensions,
        overlaps: true,
        stream_speakers: 20,
    }
}
