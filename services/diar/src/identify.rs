//! Who a voice is, among the enrolled: each person of a recording at most one, the most similar pairs first.

use polyphony_error::{Fault, Kind};

use crate::convert::request::Candidates;
use crate::domain::{Embedding, EngineInfo, Speaker};
use crate::speakers::Speakers;
use crate::speakers::record::Record;

/// The enrolled speakers that may appear.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known(Vec<(String, Embedding)>);

/// The names of the people of a recording, by number.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Names(Vec<Option<(String, f32)>>);

// === impl Known ===

impl Known {
    /// The candidates among the speakers of `owner`, as far as they are of this encoder. Touches the disk.
    ///
    /// # Errors
    /// NOT_FOUND for a candidate who is not enrolled, FAILED_PRECONDITION for one of another encoder.
    pub(crate) fn of(
        speakers: &Speakers,
        owner: &str,
        candidates: &Candidates,
        info: &EngineInfo,
    ) -> Result<Self, Fault> {
        let fits = |record: &Record| record.model_digest == info.encoder.digest;
        let records = if candidates.ids.is_empty() {
            speakers.list(owner)?.into_iter().filter(fits).collect()
        } else {
            let mut records = Vec::new();
            for id in &candidates.ids {
                let record = speakers.get(owner, id)?;
                if !fits(&record) {
                    let message = format!(
                        "{} was enrolled with {}, and {} is in use; enrol anew, or name that model",
                        record.name(),
                        record.model,
                        info.encoder.model
                    );
                    return Err(Fault::new(
                        Kind::FailedPrecondition,
                        "SPEAKER_OF_ANOTHER_MODEL",
                        message,
                    ));
                }
                records.push(record);
            }
            records
        };
        let voices = records
            .into_iter()
            .filter_map(|record| Some((record.name(), record.voice()?)));
        Ok(Self(voices.collect()))
    }

    /// The enrolled speakers at least so similar to a voice, the likeliest first.
    pub(crate) fn matches(&self, voice: &Embedding, threshold: f32) -> Vec<(String, f32)> {
        let scored = self
            .0
            .iter()
            .map(|(name, known)| (name.clone(), known.similarity(voice)));
        let mut matches: Vec<_> = scored
            .filter(|(_, similarity)| *similarity >= threshold)
            .collect();
        matches.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        matches
    }

    /// Names the people of a recording.
    pub(crate) fn name(&self, people: &[Speaker], threshold: f32) -> Names {
        let mut pairs: Vec<(usize, String, f32)> = Vec::new();
        for (number, person) in people.iter().enumerate() {
            let Some(voice) = &person.embedding else { continue };
            let matches = self.matches(voice, threshold);
            pairs.extend(
                matches
                    .into_iter()
                    .map(|(name, similarity)| (number, name, similarity)),
            );
        }
        pairs.sort_by(|a, b| b.2.total_cmp(&a.2));
        let mut names = vec![None; people.len()];
        let mut taken: Vec<String> = Vec::new();
        for (number, name, similarity) in pairs {
            if names[number].is_none() && !taken.contains(&name) {
                taken.push(name.clone());
                names[number] = Some((name, similarity));
            }
        }
        Names(names)
    }
}

// === impl Names ===

impl Names {
    /// The name of a person; empty: not known.
    pub(crate) fn name(&self, number: usize) -> &str {
        let known = self.0.get(number).and_then(Option::as_ref);
        known.map_or("", |(name, _)| name)
    }

    /// How similar the person is to whoever it is said to be.
    pub(crate) fn similarity(&self, number: usize) -> Option<f32> {
        let known = self.0.get(number).and_then(Option::as_ref);
        known.map(|(_, similarity)| *similarity)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn voice(angle: f32) -> Embedding {
        Embedding::new(vec![angle.cos(), angle.sin()]).expect("not zero")
    }

    fn person(angle: f32) -> Speaker {
        Speaker {
            speech: Duration::from_secs(1),
            embedding: Some(voice(angle)),
        }
    }

    #[test]
    fn a_name_goes_to_the_most_similar_person_alone() {
        let known = Known(vec![
            ("speakers/ana".to_owned(), voice(0.0)),
            ("speakers/bo".to_owned(), voice(1.5)),
        ]);
        let names = known.name(&[person(0.3), person(0.1), person(1.4)], 0.9);
        assert_eq!(
            ["", "speakers/ana", "speakers/bo"].map(str::to_owned),
            [0, 1, 2].map(|n| names.name(n).to_owned())
        );
        assert!(names.similarity(1).is_some_and(|similarity| similarity > 0.99));
        assert_eq!(names.similarity(0), None);
    }

    #[test]
    fn nobody_is_named_below_the_threshold() {
        let known = Known(vec![("speakers/ana".to_owned(), voice(0.0))]);
        assert_eq!(known.name(&[person(1.0)], 0.9).name(0), "");
        assert!(known.matches(&voice(1.0), 0.9).is_empty());
    }
}
