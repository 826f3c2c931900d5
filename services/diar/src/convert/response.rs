//! Segments and people on their way to the wire.

use polyphony_proto::diar::v1 as pb;
use polyphony_wire::wire_duration as wire;

use crate::domain::{self, Overlap, Segment, Speaker, Told};
use crate::identify::Names;

/// A segment of a recording.
pub(crate) fn segment(segment: &Segment, names: &Names) -> pb::SpeakerSegment {
    pb::SpeakerSegment {
        start_offset: Some(wire(segment.start)),
        end_offset: Some(wire(segment.end)),
        speaker_label: domain::label(segment.speaker),
        speaker: names.name(segment.speaker).to_owned(),
        confidence: segment.confidence,
        segment_id: 0,
        revision: 0,
    }
}

/// A segment of a stream.
pub(crate) fn told(told: &Told) -> pb::SpeakerSegment {
    pb::SpeakerSegment {
        segment_id: told.id,
        revision: told.revision,
        ..segment(&told.segment, &Names::default())
    }
}

pub(crate) fn overlap(overlap: Overlap) -> pb::OverlapRegion {
    pb::OverlapRegion {
        start_offset: Some(wire(overlap.start)),
        end_offset: Some(wire(overlap.end)),
        speaker_labels: overlap.speakers.into_iter().map(domain::label).collect(),
    }
}

/// The people who speak at all.
pub(crate) fn speakers(speakers: &[Speaker], names: &Names, embeddings: bool) -> Vec<pb::DiarizedSpeaker> {
    let speaker = |(number, speaker): (usize, &Speaker)| {
        let embedding = speaker.embedding.as_ref().filter(|_| embeddings);
        pb::DiarizedSpeaker {
            speaker_label: domain::label(number),
            speaker: names.name(number).to_owned(),
            similarity: names.similarity(number),
            speech_duration: Some(wire(speaker.speech)),
            embedding: embedding.map(|voice| voice.values().to_vec()).unwrap_or_default(),
        }
    };
    let heard = speakers
        .iter()
        .enumerate()
        .filter(|(_, speaker)| !speaker.speech.is_zero());
    heard.map(speaker).collect()
}
