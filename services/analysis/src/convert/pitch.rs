//! `PitchConfig`: what is asked for, then with whose model; and tracks on their way to the wire.

use polyphony_audio::stream::Format;
use polyphony_error::Fault;
use polyphony_models::Provenance;
use polyphony_proto::analysis::v1 as pb;
use polyphony_wire::{Expected, Refusals, audio, duration, wire_duration};

use super::PATH;
use crate::domain::{PitchDecoder, PitchOptions, PitchTrack};

/// A config that is well formed.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The model's name; empty: the default.
    pub(crate) model: String,
    pub(crate) format: Format,
    pub(crate) options: PitchOptions,
    expected: Expected,
    wire: pb::PitchConfig,
}

/// The paths that are honoured, for `GetCapabilities`: all.
pub(crate) const FIELDS: [&str; 9] = [
    "config.model",
    "config.explicit_decoding",
    "config.hop_duration",
    "config.min_frequency_hertz",
    "config.max_frequency_hertz",
    "config.decoder",
    "config.voicing_threshold",
    "config.silence_threshold_db",
    "config.expected_model_digest",
];

// === impl Asked ===

impl Asked {
    pub(crate) fn parse(config: Option<pb::PitchConfig>) -> Result<Self, Fault> {
        let wire = config.unwrap_or_default();
        let pb::PitchConfig {
            model,
            explicit_decoding,
            hop_duration,
            min_frequency_hertz,
            max_frequency_hertz,
            decoder,
            voicing_threshold,
            silence_threshold_db,
            expected_model_digest,
        } = &wire;
        let mut refusals = Refusals::at(PATH);
        let format = audio::format(*explicit_decoding, &mut refusals);
        let expected = Expected::parse(expected_model_digest, &mut refusals);
        let default = PitchOptions::default();
        let hop = match hop_duration {
            None => default.hop,
            // What is no duration is none of the allowed ones.
            Some(hop) => duration(*hop).unwrap_or_default(),
        };
        let decoder = match pb::PitchDecoder::try_from(*decoder) {
            Ok(pb::PitchDecoder::Unspecified | pb::PitchDecoder::Viterbi) => PitchDecoder::Viterbi,
            Ok(pb::PitchDecoder::WeightedArgmax) => PitchDecoder::WeightedArgmax,
            Ok(pb::PitchDecoder::Argmax) => PitchDecoder::Argmax,
            Err(_) => {
                refusals.add("decoder", "must be one of PitchDecoder");
                PitchDecoder::default()
            }
        };
        let options = PitchOptions {
            hop,
            min_frequency_hz: min_frequency_hertz.unwrap_or(default.min_frequency_hz),
            max_frequency_hz: max_frequency_hertz.unwrap_or(default.max_frequency_hz),
            decoder,
            voicing_threshold: voicing_threshold.unwrap_or(default.voicing_threshold),
            silence_threshold_db: silence_threshold_db.unwrap_or(default.silence_threshold_db),
        };
        super::add(&mut refusals, options.check());
        refusals.finish()?;
        Ok(Self {
            model: model.clone(),
            format,
            options,
            expected,
            wire,
        })
    }

    /// The config with every default filled in, if this is the model that was meant.
    pub(crate) fn fit(&self, made: &Provenance) -> Result<pb::PitchConfig, Fault> {
        self.expected.check(&made.digest, PATH)?;
        let PitchOptions {
            hop,
            min_frequency_hz,
            max_frequency_hz,
            decoder,
            voicing_threshold,
            silence_threshold_db,
        } = self.options;
        let decoder = match decoder {
            PitchDecoder::Viterbi => pb::PitchDecoder::Viterbi,
            PitchDecoder::WeightedArgmax => pb::PitchDecoder::WeightedArgmax,
            PitchDecoder::Argmax => pb::PitchDecoder::Argmax,
        };
        Ok(pb::PitchConfig {
            model: made.model.clone(),
            explicit_decoding: self.wire.explicit_decoding,
            hop_duration: Some(wire_duration(hop)),
            min_frequency_hertz: Some(min_frequency_hz),
            max_frequency_hertz: Some(max_frequency_hz),
            decoder: decoder.into(),
            voicing_threshold: Some(voicing_threshold),
            silence_threshold_db: Some(silence_threshold_db),
            expected_model_digest: self.wire.expected_model_digest.clone(),
        })
    }
}

/// A track on its way to the wire.
pub(crate) fn track(track: PitchTrack) -> pb::PitchTrack {
    let PitchTrack {
        start,
        hop,
        frequency_hz,
        periodicity,
    } = track;
    pb::PitchTrack {
        start_offset: Some(wire_duration(start)),
        hop_duration: Some(wire_duration(hop)),
        frequency_hertz: frequency_hz,
        periodicity,
    }
}
