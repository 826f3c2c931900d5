//! `SeparationConfig`: what is asked for, then with whose model.

use polyphony_audio::encode;
use polyphony_audio::pcm::{Channels, SampleRate, Spec};
use polyphony_audio::stream::Format;
use polyphony_error::Fault;
use polyphony_models::Provenance;
use polyphony_proto::analysis::v1 as pb;
use polyphony_wire::{Expected, Refusals, audio, duration, wire_duration};

use super::PATH;
use crate::domain::{SeparationOptions, SeparationPlan};

/// A config that is well formed.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The model's name; empty: the default.
    pub(crate) model: String,
    pub(crate) format: Format,
    pub(crate) options: SeparationOptions,
    /// How stems are encoded.
    pub(crate) encoding: encode::Format,
    expected: Expected,
    wire: pb::SeparationConfig,
}

/// The paths that are honoured, for `GetCapabilities`: all.
pub(crate) const FIELDS: [&str; 10] = [
    "config.model",
    "config.explicit_decoding",
    "config.stems",
    "config.include_rest",
    "config.overlap",
    "config.shifts",
    "config.seed",
    "config.segment_duration",
    "config.stem_encoding",
    "config.expected_model_digest",
];

// === impl Asked ===

impl Asked {
    pub(crate) fn parse(config: Option<pb::SeparationConfig>) -> Result<Self, Fault> {
        let wire = config.unwrap_or_default();
        let pb::SeparationConfig {
            model,
            explicit_decoding,
            stems,
            include_rest,
            overlap,
            shifts,
            seed,
            segment_duration,
            stem_encoding,
            expected_model_digest,
        } = &wire;
        let mut refusals = Refusals::at(PATH);
        let format = audio::format(*explicit_decoding, &mut refusals);
        let expected = Expected::parse(expected_model_digest, &mut refusals);
        let default = SeparationOptions::default();
        let encoding = match pb::StemEncoding::try_from(*stem_encoding) {
            Ok(pb::StemEncoding::Unspecified | pb::StemEncoding::Linear16) => encode::Format::Linear16,
            Ok(pb::StemEncoding::Float32) => encode::Format::Float32,
            Ok(pb::StemEncoding::Flac) => encode::Format::Flac,
            Err(_) => {
                refusals.add("stem_encoding", "must be one of StemEncoding");
                encode::Format::Linear16
            }
        };
        let options = SeparationOptions {
            stems: stems.clone(),
            include_rest: include_rest.unwrap_or(default.include_rest),
            overlap: overlap.unwrap_or(default.overlap),
            shifts: shifts.unwrap_or(default.shifts),
            seed: *seed,
            // What is no duration is not more than nothing.
            segment: segment_duration.map(|segment| duration(segment).unwrap_or_default()),
        };
        super::add(&mut refusals, options.check());
        refusals.finish()?;
        Ok(Self {
            model: model.clone(),
            format,
            options,
            encoding,
            expected,
            wire,
        })
    }

    /// Whether this is the model that was meant.
    pub(crate) fn check_model(&self, made: &Provenance) -> Result<(), Fault> {
        self.expected.check(&made.digest, PATH)
    }

    /// How each stem of a mix of this rate is encoded.
    pub(crate) fn stem_settings(
        &self,
        rate: SampleRate,
        plan: &SeparationPlan,
    ) -> Result<encode::Settings, Fault> {
        let channels = Channels::new(plan.channels).map_err(Fault::internal)?;
        let settings = encode::Settings {
            format: self.encoding,
            spec: Spec { rate, channels },
            bit_rate: 0,
        };
        let refused = |error: encode::Error| Fault::invalid("config.stem_encoding", error.to_string());
        settings.check().map_err(refused)?;
        Ok(settings)
    }

    /// The config with every default filled in.
    pub(crate) fn effective(&self, made: &Provenance, plan: &SeparationPlan) -> pb::SeparationConfig {
        let SeparationOptions {
            stems,
            include_rest,
            overlap,
            shifts,
            seed,
            segment,
        } = plan.options.clone();
        let encoding = match self.encoding {
            encode::Format::Flac => pb::StemEncoding::Flac,
            encode::Format::Float32 => pb::StemEncoding::Float32,
            _ => pb::StemEncoding::Linear16,
        };
        pb::SeparationConfig {
            model: made.model.clone(),
            explicit_decoding: self.wire.explicit_decoding,
            stems,
            include_rest: Some(include_rest),
            overlap: Some(overlap),
            shifts: Some(shifts),
            seed,
            segment_duration: segment.map(wire_duration),
            stem_encoding: encoding.into(),
            expected_model_digest: self.wire.expected_model_digest.clone(),
        }
    }
}
