//! `FeaturesConfig`: what is asked for, and with every default filled in.

use polyphony_audio::pcm::SampleRate;
use polyphony_audio::stream::Format;
use polyphony_error::Fault;
use polyphony_proto::analysis::v1 as pb;
use polyphony_proto::analysis::v1::FeatureKind as Kind;
use polyphony_wire::{Refusals, audio};

use super::PATH;
use crate::features::{Feature, Settings};

/// A config that is well formed and can be honoured.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) format: Format,
    pub(crate) settings: Settings,
    wire: pb::FeaturesConfig,
}

/// The kind of a feature on the wire.
pub(crate) const fn kind(feature: Feature) -> Kind {
    match feature {
        Feature::Loudness => Kind::Loudness,
        Feature::Tempo => Kind::Tempo,
        Feature::Key => Kind::Key,
        Feature::OnsetStrength => Kind::OnsetStrength,
        Feature::Chroma => Kind::Chroma,
        Feature::MelSpectrogram => Kind::MelSpectrogram,
        Feature::Mfcc => Kind::Mfcc,
        Feature::Rms => Kind::Rms,
        Feature::ZeroCrossingRate => Kind::ZeroCrossingRate,
        Feature::SpectralCentroid => Kind::SpectralCentroid,
        Feature::SpectralBandwidth => Kind::SpectralBandwidth,
        Feature::SpectralRolloff => Kind::SpectralRolloff,
        Feature::SpectralFlatness => Kind::SpectralFlatness,
        Feature::SpectralContrast => Kind::SpectralContrast,
    }
}

// === impl Asked ===

impl Asked {
    pub(crate) fn parse(config: Option<pb::FeaturesConfig>) -> Result<Self, Fault> {
        let wire = config.unwrap_or_default();
        let pb::FeaturesConfig {
            features,
            explicit_decoding,
            sample_rate_hertz,
            fft_size,
            hop_length,
            mel_count,
            mfcc_count,
            start_tempo_bpm,
            summary_only,
            tuning_semitones,
        } = &wire;
        let mut refusals = Refusals::at(PATH);
        let format = audio::format(*explicit_decoding, &mut refusals);
        let mut wanted = Vec::new();
        // So many that one must be named twice; the others are not looked at.
        for (at, number) in features.iter().enumerate().take(Feature::ALL.len() + 1) {
            let found = Feature::ALL
                .into_iter()
                .find(|feature| kind(*feature) as i32 == *number);
            match found {
                Some(feature) => wanted.push(feature),
                None => refusals.add(&format!("features[{at}]"), "must be one of FeatureKind"),
            }
        }
        let is_wrong = wanted.len() < features.len().min(Feature::ALL.len() + 1);
        let default = Settings::new(wanted).map_err(Fault::internal)?;
        let rate = match sample_rate_hertz.map(SampleRate::new) {
            None => default.rate,
            Some(Ok(rate)) => rate,
            Some(Err(_)) => {
                refusals.add("sample_rate_hertz", "must be 8000 to 192000");
                default.rate
            }
        };
        let number = |asked: &Option<u32>, default: usize| asked.map_or(default, |asked| asked as usize);
        let settings = Settings {
            rate,
            fft_size: number(fft_size, default.fft_size),
            hop: number(hop_length, default.hop),
            mels: number(mel_count, default.mels),
            mfccs: number(mfcc_count, default.mfccs),
            start_bpm: start_tempo_bpm.unwrap_or(default.start_bpm),
            tuning: *tuning_semitones,
            summary: summary_only.unwrap_or(default.summary),
            ..default
        };
        // Whoever named what does not exist need not hear that nothing was named.
        if !(is_wrong && settings.features.is_empty()) {
            super::add(&mut refusals, settings.check());
        }
        refusals.finish()?;
        Ok(Self {
            format,
            settings,
            wire,
        })
    }

    /// The config with every default filled in; `tuning` is what was found, if anything asked for it.
    pub(crate) fn effective(&self, tuning: Option<f64>) -> pb::FeaturesConfig {
        let settings = &self.settings;
        let number = |number: usize| Some(u32::try_from(number).unwrap_or(u32::MAX));
        pb::FeaturesConfig {
            features: settings
                .features
                .iter()
                .map(|feature| kind(*feature).into())
                .collect(),
            explicit_decoding: self.wire.explicit_decoding,
            sample_rate_hertz: Some(settings.rate.hz()),
            fft_size: number(settings.fft_size),
            hop_length: number(settings.hop),
            mel_count: number(settings.mels),
            mfcc_count: number(settings.mfccs),
            start_tempo_bpm: Some(settings.start_bpm),
            summary_only: Some(settings.summary),
            tuning_semitones: settings.tuning.or_else(|| tuning.map(|tuning| tuning as f32)),
        }
    }
}
