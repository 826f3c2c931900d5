//! The speaker network: what somebody's speech sounds like, as numbers.
//!
//! Three families of exports are known by their metadata and inputs: WeSpeaker (`feats` [N, T, 80] gives `embs` [N, D];
//! also without metadata), 3D-Speaker (the same with Kaldi's own window), and NeMo's TitaNet (`audio_signal` [N, 80, T] and
//! `length` [N], whose last output is the embedding).

use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::Path;

use polyphony_audio::fbank::Window;
use polyphony_inference::ort::session::Session;
use polyphony_inference::ort::value::TensorRef;
use polyphony_inference::{Device, Error, Loaded, SessionPool, SessionSettings};

use super::features::{Extractor, MELS, Recent, standardise, take_mean};
use super::parallel;
use crate::clustering::Vectors;
use crate::domain::{Cancel, SAMPLE_RATE};
use crate::engine::trouble::Trouble;

/// The network. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Encoder {
    pool: SessionPool,
    sessions: usize,
    family: Family,
    extractor: Extractor,
    dimensions: usize,
}

/// Who made the network, and so what it wants to be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// Made with Hamming windows over integer samples.
    WeSpeaker,
    /// Made with Povey windows over samples from -1 to 1.
    ThreeDSpeaker,
    /// NeMo's features, bins first.
    Nemo,
}

/// Stretches of frames that somebody is heard in.
pub(super) type Stretches = Vec<Range<usize>>;

/// NeMo fills its features up to a multiple of this.
const NEMO_PAD: usize = 16;
/// Voices that a thread makes before it takes the next ones: neighbours share features.
const PORTION: usize = 8;

// === impl Encoder ===

impl Encoder {
    /// Opens the model file and runs it once. It runs on the processor.
    ///
    /// # Errors
    /// As [`polyphony_inference::open`], and [`Error::Unfit`] for another model.
    pub(super) fn open(runtime: &Loaded, path: &Path, sessions: NonZeroUsize) -> Result<Self, Trouble> {
        let settings = SessionSettings {
            device: Device::Cpu,
            threads: NonZeroUsize::MIN,
            fixed_shapes: false,
        };
        let pool = SessionPool::open(runtime, path, settings, sessions)?;
        let unfit = |problem: String| Error::unfit(path, problem);
        let (family, scale) = Family::of(&pool, &pool.lease()).map_err(unfit)?;
        let extractor = match family {
            Family::WeSpeaker => Extractor::kaldi(Window::Hamming, scale)?,
            Family::ThreeDSpeaker => Extractor::kaldi(Window::Povey, scale)?,
            Family::Nemo => Extractor::nemo()?,
        };
        let mut encoder = Self {
            pool,
            sessions: sessions.get(),
            family,
            extractor,
            dimensions: 0,
        };
        // Shows the width, and whether the shapes fit.
        let sound = vec![0.0; 100 * MELS];
        encoder.dimensions = match encoder.run(sound, &Cancel::default()) {
            Ok(voice) => voice.len(),
            Err(Error::Run(source)) => return Err(unfit(source.to_string()).into()),
            Err(other) => return Err(other.into()),
        };
        Ok(encoder)
    }

    /// Numbers in an embedding.
    pub(super) const fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Who made it.
    pub(super) const fn family(&self) -> Family {
        self.family
    }

    /// Frames in so many samples; a frame begins every 10 ms.
    pub(super) const fn frames(&self, samples: usize) -> usize {
        self.extractor.frames(samples)
    }

    /// A voice for each list of stretches of a recording's frames, of any length but 0.
    ///
    /// # Errors
    /// [`Error::Run`], [`Error::Cancelled`].
    pub(super) fn voices(
        &self,
        audio: &[f32],
        heard: &[Stretches],
        cancel: &Cancel,
    ) -> Result<Vectors, Error> {
        let portions: Vec<&[Stretches]> = heard.chunks(PORTION).collect();
        let made = parallel::map(&portions, self.sessions, |portion| {
            let (mut extractor, mut recent) = (self.extractor.clone(), Recent::default());
            let voice = |stretches: &Stretches| {
                let features = recent.gather(&mut extractor, audio, stretches);
                self.run(features, cancel)
            };
            portion.iter().map(voice).collect::<Result<Vec<_>, Error>>()
        })?;
        let mut voices = Vectors::new(self.dimensions);
        for voice in made.iter().flatten() {
            voices.push(voice);
        }
        Ok(voices)
    }

    /// Runs it on features that are not normalised yet.
    fn run(&self, mut features: Vec<f32>, cancel: &Cancel) -> Result<Vec<f32>, Error> {
        let frames = features.len() / MELS;
        let ports = self.pool.inputs();
        let mut session = self.pool.lease_unless(|| cancel.is_cancelled())?;
        let outputs = match self.family {
            Family::WeSpeaker | Family::ThreeDSpeaker => {
                take_mean(&mut features);
                let input = TensorRef::from_array_view(([1, frames, MELS], features.as_slice()))?;
                session.run(polyphony_inference::ort::inputs! { ports[0].name.as_str() => input })?
            }
            Family::Nemo => {
                standardise(&mut features);
                let width = frames.next_multiple_of(NEMO_PAD);
                let columns = turned(&features, width);
                let signal = TensorRef::from_array_view(([1, MELS, width], columns.as_slice()))?;
                let length = [frames as i64];
                let length = TensorRef::from_array_view(([1_usize], length.as_slice()))?;
                session.run(polyphony_inference::ort::inputs! {
                    ports[0].name.as_str() => signal, ports[1].name.as_str() => length
                })?
            }
        };
        let last = outputs.len() - 1;
        let (_, voice) = outputs[last].try_extract_tensor::<f32>()?;
        let as_wide = self.dimensions == 0 || voice.len() == self.dimensions;
        if voice.is_empty() || !as_wide || !voice.iter().all(|value| value.is_finite()) {
            let problem = format!("{} numbers for a voice of {frames} frames", voice.len());
            return Err(Error::unfit(self.pool.path(), problem));
        }
        Ok(voice.to_vec())
    }
}

// === impl Family ===

impl Family {
    /// The cosine from which a voice is taken for an enrolled one. Chosen by hand.
    pub(super) const fn identification(self) -> f32 {
        match self {
            Self::WeSpeaker | Self::ThreeDSpeaker => 0.5,
            Self::Nemo => 0.7,
        }
    }

    /// Finds the family, and what samples are to be multiplied by.
    fn of(pool: &SessionPool, session: &Session) -> Result<(Self, f64), String> {
        let metadata = session.metadata().map_err(|error| error.to_string())?;
        let told = |key: &str| metadata.custom(key).map(|value| value.trim().to_owned());
        if let Some(rate) = told("sample_rate").filter(|rate| *rate != SAMPLE_RATE.to_string()) {
            return Err(format!(
                "it hears {rate} samples a second, expected {SAMPLE_RATE}"
            ));
        }
        let family = match (told("framework").as_deref(), pool.inputs()) {
            (Some("nemo"), [_, _]) => Self::Nemo,
            (None, [signal, _]) if signal.name == "audio_signal" => Self::Nemo,
            (Some("wespeaker") | None, [_]) => Self::WeSpeaker,
            (Some("3d-speaker"), [_]) => Self::ThreeDSpeaker,
            (framework, inputs) => {
                return Err(format!(
                    "framework {framework:?} with {} inputs; expected wespeaker or 3d-speaker with one, or nemo with two",
                    inputs.len()
                ));
            }
        };
        let known = match family {
            Self::WeSpeaker | Self::ThreeDSpeaker => ["global-mean", ""],
            Self::Nemo => ["per_feature", "per_feature"],
        };
        let normalised = told("feature_normalize_type");
        if let Some(other) = normalised.filter(|kind| !known.contains(&kind.as_str())) {
            return Err(format!(
                "feature_normalize_type is {other:?} in its metadata, expected {:?}",
                known[0]
            ));
        }
        let axis = match family {
            Self::WeSpeaker | Self::ThreeDSpeaker => 2,
            Self::Nemo => 1,
        };
        let shape = &pool.inputs()[0].shape;
        // -1: any.
        let fits = |length: &i64| *length == MELS as i64 || *length == -1;
        if shape.len() != 3 || !shape.get(axis).is_some_and(fits) {
            return Err(format!(
                "its input is {shape:?}, expected three axes of which one is of {MELS} mel bins"
            ));
        }
        let whole = match told("normalize_samples").as_deref() {
            Some("0") => true,
            Some(_) => false,
            None => family == Self::WeSpeaker,
        };
        Ok((family, if whole { 32_768.0 } else { 1.0 }))
    }
}

/// Features bin by bin instead of frame by frame, filled up with zeros to `width` frames.
fn turned(features: &[f32], width: usize) -> Vec<f32> {
    let mut columns = vec![0.0; MELS * width];
    for (frame, row) in features.chunks_exact(MELS).enumerate() {
        for (bin, value) in row.iter().enumerate() {
            columns[bin * width + frame] = *value;
        }
    }
    columns
}
