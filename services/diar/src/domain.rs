//! The nouns of diarization: plain data, known to engines and adapters alike.
//!
//! All audio is mono at [`SAMPLE_RATE`]; all times count from the first sample of the recording or stream. People are
//! numbers from 0 in order of appearance; [`label`] gives the name that a client sees.

use std::time::Duration;

pub use polyphony_inference::Cancel;
use polyphony_models::Provenance;

/// Samples a second of all audio that an engine sees.
pub const SAMPLE_RATE: u32 = 16_000;
/// The most people that can be told apart.
pub const MAX_SPEAKERS: usize = 64;

/// How to tell people apart: what the caller asked for, checked, engines' defaults left open.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// At least this many people, 1 to [`MAX_SPEAKERS`]; fewer are found if there is too little speech.
    pub min_speakers: usize,
    /// At most this many, not below `min_speakers`. Equal to it: exactly so many.
    pub max_speakers: usize,
    /// How voices are grouped. None: what suits the engine.
    pub clustering: Option<Clustering>,
    /// Voices less distant than this are one person: cosine distance, 0 to 2. None: the model's. Only agglomerative
    /// clustering and streams have one, and only where the number of people is not given.
    pub threshold: Option<f32>,
    /// Shorter stretches of speech are dropped.
    pub min_on: Duration,
    /// Shorter pauses of one person are filled. None: the model's.
    pub min_off: Option<Duration>,
}

/// How to tell people apart while they speak.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamOptions {
    /// As for a recording; `clustering` is without meaning.
    pub options: Options,
    /// How long to wait before a segment is told, 250 ms to 10 s: longer is surer.
    pub latency: Duration,
    /// Correct segments that were told, when more is known.
    pub revisions: bool,
}

/// How voices are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clustering {
    /// Agglomerative: the two nearest groups become one until the nearest are too far.
    Agglomerative,
    /// Spectral: the number of people from the eigengap.
    Spectral,
}

/// Who speaks when in a recording.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Diarization {
    /// In order of time; those of different people may overlap.
    pub segments: Vec<Segment>,
    /// The same with one person at a time.
    pub exclusive: Vec<Segment>,
    /// Where several people speak at once, in order of time.
    pub overlaps: Vec<Overlap>,
    /// The people, by number.
    pub speakers: Vec<Speaker>,
}

/// A stretch in which one person speaks.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// Its beginning.
    pub start: Duration,
    /// Its end, after the beginning.
    pub end: Duration,
    /// Who, by number.
    pub speaker: usize,
    /// How sure it is that this person speaks, 0 to 1. None: the engine cannot say.
    pub confidence: Option<f32>,
}

/// A stretch in which several people speak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    /// Its beginning.
    pub start: Duration,
    /// Its end, after the beginning.
    pub end: Duration,
    /// Who, by number, at least two, ascending.
    pub speakers: Vec<usize>,
}

/// A person in a recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Speaker {
    /// How long this person speaks.
    pub speech: Duration,
    /// The voice; none where too little of it was heard alone.
    pub embedding: Option<Embedding>,
}

/// A voice as a point on the unit sphere: its length is 1. Only embeddings of the same encoder can be compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding(Vec<f32>);

/// The voice of a recording that is meant to be of one person.
#[derive(Debug, Clone, PartialEq)]
pub struct Voice {
    /// The voice.
    pub embedding: Embedding,
    /// How long somebody speaks.
    pub speech: Duration,
    /// Whether more than one person seems to speak.
    pub several: bool,
}

/// Something that a stream tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// New segments, and new revisions of old ones, in order of time.
    Segments(Vec<Told>),
    /// Two people turned out to be one: all segments of `from` are now of `into`, and `from` is no more.
    Merged {
        /// The number that is no more.
        from: usize,
        /// The number that stays.
        into: usize,
    },
}

/// A segment of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Names the segment in this stream, from 1.
    pub id: u64,
    /// Counts the versions of this segment from 1; a higher one replaces a lower one.
    pub revision: u32,
    /// The segment as it is known now.
    pub segment: Segment,
}

/// How a stream ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ended {
    /// The people, by number; those that were merged into others have no speech and no embedding.
    pub speakers: Vec<Speaker>,
}

/// What an engine is, for receipts, capabilities and effective configs.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineInfo {
    /// With what it works, for receipts.
    pub made: Provenance,
    /// What tells voices apart; enrolled speakers belong to it. Where one model does all, the same.
    pub encoder: Provenance,
    /// How voices are grouped unless asked otherwise.
    pub clustering: Clustering,
    /// Voices less distant than this are one person, unless asked otherwise: cosine distance, 0 to 2.
    pub threshold: f32,
    /// Pauses of one person shorter than this are filled, unless asked otherwise.
    pub min_off: Duration,
    /// A voice is an enrolled one when at least this similar, unless asked otherwise: cosine, -1 to 1.
    pub identification: f32,
    /// Numbers in an embedding.
    pub dimensions: usize,
    /// Whether it finds out that several people speak at once.
    pub overlaps: bool,
    /// The most people that a stream tells apart.
    pub stream_speakers: usize,
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Self {
            min_speakers: 1,
            max_speakers: 20,
            clustering: None,
            threshold: None,
            min_on: Duration::ZERO,
            min_off: None,
        }
    }
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            options: Options::default(),
            latency: Duration::from_secs(1),
            revisions: true,
        }
    }
}

// === impl Embedding ===

impl Embedding {
    /// Scales `values` to length 1. None when they are empty, all zero or not finite: no voice.
    pub fn new(mut values: Vec<f32>) -> Option<Self> {
        let length = values
            .iter()
            .map(|value| f64::from(*value).powi(2))
            .sum::<f64>()
            .sqrt();
        if !length.is_finite() || length < 1e-9 {
            return None;
        }
        for value in &mut values {
            *value = (f64::from(*value) / length) as f32;
        }
        Some(Self(values))
    }

    /// Its numbers.
    pub fn values(&self) -> &[f32] {
        &self.0
    }

    /// How similar two voices are, -1 to 1: the cosine of the angle between them. 0 where they are of different
    /// encoders, as far as their lengths show.
    pub fn similarity(&self, other: &Self) -> f32 {
        if self.0.len() != other.0.len() {
            return 0.0;
        }
        let dot: f32 = self.0.iter().zip(&other.0).map(|(a, b)| a * b).sum();
        dot.clamp(-1.0, 1.0)
    }
}

/// The name of a person in a recording: "SPEAKER_00" and so on, as pyannote has it.
pub fn label(speaker: usize) -> String {
    format!("SPEAKER_{speaker:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_embedding_has_length_one_and_compares_by_angle() {
        let voice = Embedding::new(vec![3.0, 4.0]).expect("not zero");
        assert_eq!(voice.values(), [0.6, 0.8]);
        let turned = Embedding::new(vec![-0.8, 0.6]).expect("not zero");
        assert!((voice.similarity(&voice) - 1.0).abs() < 1e-6);
        assert!(voice.similarity(&turned).abs() < 1e-6);
    }

    #[test]
    fn what_is_no_voice_has_no_embedding() {
        for values in [vec![], vec![0.0; 4], vec![f32::NAN, 1.0], vec![f32::INFINITY]] {
            assert_eq!(Embedding::new(values), None);
        }
    }
}
