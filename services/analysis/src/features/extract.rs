//! Frames to features: the second hearing of a recording, or the only one of a stream.

use polyphony_audio::Error;
use polyphony_inference::Cancel;

use super::chroma::Chroma;
use super::contrast::Contrast;
use super::frames::{Frame, Framer, Spectra};
use super::key::{Key, MeanChroma};
use super::matrix::{Column, Matrix};
use super::mel::{self, Cepstra, Mel};
use super::onset::Onsets;
use super::settings::{Feature, Settings};
use super::survey::Known;
use super::tempo::{Tempo, TempoFinder};
use super::{shape, temporal};
use crate::engine;

/// What of the recording's whole was found besides frames.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Whole {
    /// The frames that were not taken yet, or the summaries.
    pub matrices: Vec<Matrix>,
    /// Tempo and beats, if they were asked for.
    pub tempo: Option<Tempo>,
    /// The key, if it was asked for and there is one.
    pub key: Option<Key>,
}

/// Makes features of samples as they come.
#[derive(Debug)]
pub struct Extractor {
    framer: Framer,
    maker: Maker,
}

#[derive(Debug)]
struct Maker {
    bin_hz: f64,
    known: Known,
    /// Whether the loudest so far stands for the loudest of all.
    learns: bool,
    /// Decibels are raised to these.
    least: f32,
    columns: Vec<Column>,
    mel: Option<Mel>,
    needs_decibels: bool,
    cepstra: Option<Cepstra>,
    onsets: Option<Onsets>,
    tempo: Option<TempoFinder>,
    chroma: Option<Chroma>,
    key: Option<MeanChroma>,
    contrast: Option<Contrast>,
}

// === impl Extractor ===

impl Extractor {
    /// With a whole recording known, or, without, with the loudest so far for the loudest of all and with the
    /// settings' tuning.
    ///
    /// # Errors
    /// [`Error::Setting`] for settings that were not checked.
    pub fn new(settings: &Settings, known: Option<Known>) -> Result<Self, Error> {
        let has = |feature| settings.has(feature);
        let rate = f64::from(settings.rate.hz());
        let (size, hop) = (settings.fft_size, settings.hop);
        let needs_decibels = has(Feature::Mfcc) || has(Feature::OnsetStrength) || has(Feature::Tempo);
        let mel = (needs_decibels || has(Feature::MelSpectrogram))
            .then(|| Mel::new(settings))
            .transpose()?;
        let learns = known.is_none();
        let known = known.unwrap_or_else(|| Known::nothing(settings));
        let columns = settings
            .features
            .iter()
            .filter_map(|feature| Some(Column::new(*feature, feature.rows(settings)?, settings.summary)))
            .collect();
        let spectra = settings.features.iter().map(|feature| needs(*feature)).max();
        Ok(Self {
            framer: Framer::new(size, hop, spectra.unwrap_or(Spectra::None))?,
            maker: Maker {
                bin_hz: rate / size as f64,
                learns,
                least: mel::least(known.loudest),
                columns,
                mel,
                needs_decibels,
                cepstra: has(Feature::Mfcc).then(|| Cepstra::new(settings)).transpose()?,
                onsets: (has(Feature::OnsetStrength) || has(Feature::Tempo)).then(|| Onsets::new(size, hop)),
                tempo: has(Feature::Tempo)
                    .then(|| TempoFinder::new(settings.rate.hz(), hop, settings.start_bpm)),
                chroma: (has(Feature::Chroma) || has(Feature::Key))
                    .then(|| Chroma::new(size, rate, known.tuning)),
                key: has(Feature::Key).then(MeanChroma::default),
                contrast: has(Feature::SpectralContrast).then(|| Contrast::new(size, rate)),
                known,
            },
        })
    }

    /// Takes samples, mono at the settings' rate.
    pub fn push(&mut self, samples: &[f32]) {
        self.framer.push(samples, |frame| self.maker.make(frame));
    }

    /// Frames made so far.
    pub const fn frames(&self) -> u64 {
        self.framer.made()
    }

    /// The frames that were made since the last call, a matrix for each feature, in the order of the settings.
    pub fn take(&mut self) -> Vec<Matrix> {
        self.maker.columns.iter_mut().filter_map(Column::take).collect()
    }

    /// The last frames, and what belongs to the whole.
    ///
    /// # Errors
    /// [`engine::Error::Cancelled`].
    pub fn finish(mut self, cancel: &Cancel) -> Result<Whole, engine::Error> {
        self.framer.finish(|frame| self.maker.make(frame));
        let Maker {
            columns, tempo, key, ..
        } = self.maker;
        Ok(Whole {
            matrices: columns.into_iter().filter_map(Column::finish).collect(),
            tempo: tempo.map(|tempo| tempo.finish(cancel)).transpose()?,
            key: key.and_then(|chroma| chroma.key()),
        })
    }
}

/// What of a spectrum a feature is made of.
const fn needs(feature: Feature) -> Spectra {
    match feature {
        Feature::Loudness | Feature::Rms | Feature::ZeroCrossingRate => Spectra::None,
        Feature::Tempo
        | Feature::Key
        | Feature::OnsetStrength
        | Feature::Chroma
        | Feature::MelSpectrogram
        | Feature::Mfcc
        | Feature::SpectralFlatness => Spectra::Power,
        Feature::SpectralCentroid
        | Feature::SpectralBandwidth
        | Feature::SpectralRolloff
        | Feature::SpectralContrast => Spectra::Magnitude,
    }
}

// === impl Maker ===

impl Maker {
    fn make(&mut self, frame: Frame<'_>) {
        if let Some(mel) = &mut self.mel {
            mel.make(frame.power, self.needs_decibels);
            if self.learns && self.needs_decibels && mel.loudest() > self.known.loudest {
                self.known.loudest = mel.loudest();
                self.least = mel::least(self.known.loudest);
            }
        }
        let least = self.least;
        let bands = self.mel.as_ref();
        let decibels = bands.map_or(&[][..], |mel| &mel.decibels);
        let rise = self
            .onsets
            .as_mut()
            .map(|onsets| onsets.push(decibels, least))
            .unwrap_or_default();
        if let Some(tempo) = &mut self.tempo {
            tempo.push(rise.median);
        }
        let classes = self
            .chroma
            .as_ref()
            .map(|chroma| chroma.classes(frame.power))
            .unwrap_or_default();
        if let Some(key) = &mut self.key {
            key.push(&classes);
        }
        let extremes = self
            .contrast
            .as_mut()
            .map(|contrast| contrast.extremes(frame.magnitude));
        if let Some(extremes) = extremes.filter(|_| self.learns) {
            let (peak, valley) = extremes.greatest();
            let known = &mut self.known.extremes;
            *known = (known.0.max(peak), known.1.max(valley));
        }
        let (magnitude, bin_hz) = (frame.magnitude, self.bin_hz);
        for column in &mut self.columns {
            let feature = column.feature();
            column.push(|out| match feature {
                Feature::OnsetStrength => out.push(rise.mean),
                Feature::Chroma => out.extend_from_slice(&classes),
                Feature::MelSpectrogram => out.extend_from_slice(bands.map_or(&[][..], |mel| &mel.power)),
                Feature::Mfcc => {
                    if let Some(cepstra) = &self.cepstra {
                        cepstra.push(decibels, least, out);
                    }
                }
                Feature::Rms => out.push(temporal::rms(frame)),
                Feature::ZeroCrossingRate => out.push(temporal::zero_crossing_rate(frame)),
                Feature::SpectralCentroid => out.push(shape::centroid(magnitude, bin_hz) as f32),
                Feature::SpectralBandwidth => {
                    let centroid = shape::centroid(magnitude, bin_hz);
                    out.push(shape::bandwidth(magnitude, bin_hz, centroid) as f32);
                }
                Feature::SpectralRolloff => out.push(shape::rolloff(magnitude, bin_hz) as f32),
                Feature::SpectralFlatness => out.push(shape::flatness(frame.power) as f32),
                Feature::SpectralContrast => {
                    if let Some(extremes) = &extremes {
                        let rows = extremes.contrast(self.known.extremes);
                        out.extend(rows.map(|row| row as f32));
                    }
                }
                // They belong to the whole and have no column.
                Feature::Loudness | Feature::Tempo | Feature::Key => {}
            });
        }
    }
}
