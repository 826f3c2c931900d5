//! `DiarizationConfig`: what is asked for, then whether an engine can do it.

use std::time::Duration;

use polyphony_audio::stream::Format;
use polyphony_error::Fault;
use polyphony_proto::diar::v1 as pb;
use polyphony_wire::{Expected, Refusals, audio, duration, wire_duration};

use super::speaker;
use crate::domain::{Clustering, EngineInfo, MAX_SPEAKERS, Options};

/// The longest stretch that may be dropped, and the longest pause that may be filled.
const LONGEST: Duration = Duration::from_secs(10);
/// Enrolled speakers that one request may name.
const MOST_CANDIDATES: usize = 1_000;
/// Unless the caller says otherwise.
const DEFAULT_MAX: u32 = 20;

/// A config that is well formed.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The model's name; empty: the default.
    pub(crate) model: String,
    pub(crate) format: Format,
    /// Whom to look for among the enrolled, if anybody.
    pub(crate) identify: Option<Candidates>,
    path: String,
    options: Options,
    expected: Expected,
    wire: pb::DiarizationConfig,
}

/// Which enrolled speakers may appear.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Candidates {
    /// Ids; empty: all of the caller's.
    pub(crate) ids: Vec<String>,
    /// At least so similar; none: the model's.
    pub(crate) threshold: Option<f32>,
}

/// A config that an engine can honour, all of it.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) options: Options,
    pub(crate) exclusive: bool,
    pub(crate) embeddings: bool,
    /// A person is an enrolled one when at least this similar.
    pub(crate) identification: f32,
    /// With every default filled in.
    pub(crate) effective: pb::DiarizationConfig,
}

/// The paths that every engine honours, for `GetCapabilities`.
pub(crate) fn supported_fields() -> Vec<String> {
    [
        "config.model",
        "config.explicit_decoding",
        "config.num_speakers",
        "config.min_speakers",
        "config.max_speakers",
        "config.clustering",
        "config.clustering_threshold",
        "config.min_duration_on",
        "config.min_duration_off",
        "config.include_exclusive",
        "config.include_speaker_embeddings",
        "config.identify_speakers",
        "config.candidates",
        "config.identification_threshold",
        "config.expected_model_digest",
        "output_formats",
        "latency_duration",
        "enable_revisions",
    ]
    .map(str::to_owned)
    .into()
}

// === impl Asked ===

impl Asked {
    /// Parses a config; `path` is where it stands in the request, as "config.".
    pub(crate) fn parse(config: Option<pb::DiarizationConfig>, path: &str) -> Result<Self, Fault> {
        let wire = config.unwrap_or_default();
        let mut refusals = Refusals::at(path.to_owned());
        let pb::DiarizationConfig {
            model,
            explicit_decoding,
            num_speakers,
            min_speakers,
            max_speakers,
            clustering,
            clustering_threshold,
            min_duration_on,
            min_duration_off,
            include_exclusive: _,
            include_speaker_embeddings: _,
            identify_speakers,
            candidates,
            identification_threshold,
            expected_model_digest,
        } = &wire;
        let format = audio::format(*explicit_decoding, &mut refusals);
        let (least, most) = people(*num_speakers, *min_speakers, *max_speakers, &mut refusals);
        let clustering = match pb::Clustering::try_from(*clustering) {
            Ok(pb::Clustering::Unspecified) => None,
            Ok(pb::Clustering::Agglomerative) => Some(Clustering::Agglomerative),
            Ok(pb::Clustering::Spectral) => Some(Clustering::Spectral),
            Err(_) => {
                refusals.add("clustering", "must be one of Clustering");
                None
            }
        };
        if let Some(threshold) = clustering_threshold {
            if !(0.0..=2.0).contains(threshold) {
                refusals.add("clustering_threshold", "must be 0 to 2, a cosine distance");
            } else if clustering == Some(Clustering::Spectral) {
                refusals.add(
                    "clustering_threshold",
                    "must be left out with CLUSTERING_SPECTRAL, which has none",
                );
            } else if least == most {
                refusals.add(
                    "clustering_threshold",
                    "must be left out where the number of people is given",
                );
            }
        }
        let mut within = |field: &str, given: Option<prost_types::Duration>| {
            let given = given.map(|given| duration(given).unwrap_or(Duration::MAX))?;
            if given > LONGEST {
                refusals.add(field, "must be 0 to 10 s");
                return None;
            }
            Some(given)
        };
        let min_on = within("min_duration_on", *min_duration_on);
        let min_off = within("min_duration_off", *min_duration_off);
        let wanted = identify_speakers.unwrap_or(false);
        if !wanted {
            let meaningless = "has no meaning without identify_speakers";
            if !candidates.is_empty() {
                refusals.add("candidates", meaningless);
            }
            if identification_threshold.is_some() {
                refusals.add("identification_threshold", meaningless);
            }
        }
        let looked_for = Candidates::parse(
            candidates,
            *identification_threshold,
            "identification_threshold",
            &mut refusals,
        );
        let expected = Expected::parse(expected_model_digest, &mut refusals);
        refusals.finish()?;
        Ok(Self {
            model: model.clone(),
            format,
            identify: wanted.then_some(looked_for),
            path: path.to_owned(),
            options: Options {
                min_speakers: least,
                max_speakers: most,
                clustering,
                threshold: *clustering_threshold,
                min_on: min_on.unwrap_or_default(),
                min_off,
            },
            expected,
            wire,
        })
    }

    /// Whether this engine can do all of it.
    pub(crate) fn fit(&self, info: &EngineInfo) -> Result<Plan, Fault> {
        self.expected.check(&info.made.digest, &self.path)?;
        let Options {
            clustering,
            threshold,
            min_off,
            ..
        } = self.options;
        let clustering = clustering.unwrap_or(info.clustering);
        let identification = self
            .identify
            .as_ref()
            .and_then(|candidates| candidates.threshold)
            .unwrap_or(info.identification);
        let exact = self.wire.num_speakers.is_some();
        let (exclusive, embeddings) = (
            self.wire.include_exclusive.unwrap_or(false),
            self.wire.include_speaker_embeddings.unwrap_or(false),
        );
        let grouped = clustering == Clustering::Agglomerative && !exact;
        let effective = pb::DiarizationConfig {
            model: info.made.model.clone(),
            explicit_decoding: self.wire.explicit_decoding,
            num_speakers: self.wire.num_speakers,
            min_speakers: (!exact).then_some(self.wire.min_speakers.unwrap_or(1)),
            max_speakers: (!exact).then(|| u32::try_from(self.options.max_speakers).unwrap_or(u32::MAX)),
            clustering: wire_clustering(clustering).into(),
            clustering_threshold: grouped.then(|| threshold.unwrap_or(info.threshold)),
            min_duration_on: Some(wire_duration(self.options.min_on)),
            min_duration_off: Some(wire_duration(min_off.unwrap_or(info.min_off))),
            include_exclusive: Some(exclusive),
            include_speaker_embeddings: Some(embeddings),
            identify_speakers: Some(self.identify.is_some()),
            candidates: self.wire.candidates.clone(),
            identification_threshold: self.identify.as_ref().map(|_| identification),
            expected_model_digest: self.wire.expected_model_digest.clone(),
        };
        Ok(Plan {
            options: self.options.clone(),
            exclusive,
            embeddings,
            identification,
            effective,
        })
    }
}

/// How many people, at least and at most.
fn people(
    exact: Option<u32>,
    least: Option<u32>,
    most: Option<u32>,
    refusals: &mut Refusals,
) -> (usize, usize) {
    let limit = MAX_SPEAKERS as u32;
    let mut within = |field: &str, given: Option<u32>| {
        if given.is_some_and(|given| !(1..=limit).contains(&given)) {
            refusals.add(field, format!("must be 1 to {limit}"));
        }
    };
    within("num_speakers", exact);
    within("min_speakers", least);
    within("max_speakers", most);
    if let Some(exact) = exact {
        if least.is_some() || most.is_some() {
            refusals.add(
                "num_speakers",
                "must be left out where min_speakers or max_speakers is given",
            );
        }
        return (exact as usize, exact as usize);
    }
    let least = least.unwrap_or(1);
    let most = most.unwrap_or_else(|| DEFAULT_MAX.max(least));
    if least > most {
        refusals.add(
            "min_speakers",
            format!("must be at most max_speakers, which is {most}"),
        );
    }
    (least as usize, most as usize)
}

const fn wire_clustering(clustering: Clustering) -> pb::Clustering {
    match clustering {
        Clustering::Agglomerative => pb::Clustering::Agglomerative,
        Clustering::Spectral => pb::Clustering::Spectral,
    }
}

// === impl Candidates ===

impl Candidates {
    /// Parses names of speakers and a threshold, which stands in the field `threshold_field`.
    pub(crate) fn parse(
        names: &[String],
        threshold: Option<f32>,
        threshold_field: &str,
        refusals: &mut Refusals,
    ) -> Self {
        if names.len() > MOST_CANDIDATES {
            refusals.add("candidates", format!("must be at most {MOST_CANDIDATES}"));
        }
        if threshold.is_some_and(|threshold| !(-1.0..=1.0).contains(&threshold)) {
            refusals.add(threshold_field, "must be -1 to 1, a cosine");
        }
        let mut ids = Vec::new();
        for (at, name) in names.iter().take(MOST_CANDIDATES).enumerate() {
            match speaker::id(name) {
                Some(id) => ids.push(id.to_owned()),
                None => refusals.add(
                    &format!("candidates[{at}]"),
                    "must be the name of an enrolled speaker, as \"speakers/ana\"",
                ),
            }
        }
        Self { ids, threshold }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(config: pb::DiarizationConfig) -> Vec<String> {
        let fault = Asked::parse(Some(config), "config.").expect_err("refused");
        let fields = fault
            .violations
            .into_iter()
            .map(|violation| violation.field.into_owned());
        fields.collect()
    }

    #[test]
    fn every_field_that_is_wrong_is_named() {
        let wrong = pb::DiarizationConfig {
            num_speakers: Some(65),
            min_speakers: Some(2),
            clustering: 9,
            clustering_threshold: Some(-0.1),
            min_duration_on: Some(prost_types::Duration {
                seconds: 11,
                nanos: 0,
            }),
            candidates: vec!["ana".to_owned()],
            identification_threshold: Some(1.5),
            expected_model_digest: "x".to_owned(),
            ..pb::DiarizationConfig::default()
        };
        let fields = refused(wrong);
        for field in [
            "config.num_speakers",
            "config.clustering",
            "config.clustering_threshold",
            "config.min_duration_on",
            "config.candidates",
            "config.candidates[0]",
            "config.identification_threshold",
            "config.expected_model_digest",
        ] {
            assert!(fields.iter().any(|named| named == field), "{field}: {fields:?}");
        }
    }

    #[test]
    fn more_at_least_than_at_most_is_refused() {
        let wrong = pb::DiarizationConfig {
            min_speakers: Some(5),
            max_speakers: Some(4),
            ..pb::DiarizationConfig::default()
        };
        assert_eq!(refused(wrong), ["config.min_speakers"]);
        let wide = pb::DiarizationConfig {
            min_speakers: Some(30),
            ..pb::DiarizationConfig::default()
        };
        let asked = Asked::parse(Some(wide), "config.").expect("good");
        assert_eq!((asked.options.min_speakers, asked.options.max_speakers), (30, 30));
    }

    #[test]
    fn a_threshold_that_would_have_no_effect_is_refused() {
        let spectral = pb::DiarizationConfig {
            clustering: pb::Clustering::Spectral.into(),
            clustering_threshold: Some(0.5),
            ..pb::DiarizationConfig::default()
        };
        assert_eq!(refused(spectral), ["config.clustering_threshold"]);
        let exact = pb::DiarizationConfig {
            num_speakers: Some(2),
            clustering_threshold: Some(0.5),
            ..pb::DiarizationConfig::default()
        };
        assert_eq!(refused(exact), ["config.clustering_threshold"]);
    }
}
