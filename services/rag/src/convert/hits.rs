//! Hits on the wire: passages with their places and what their scores are made of.

use polyphony_proto::rag::v1 as pb;
use polyphony_proto::types::v1 as types;
use polyphony_wire::wire_duration;

use super::{document, names};
use crate::domain::{Hit, Place, ScoreComponent, ScoreSource};

/// A hit in the space of this id.
pub(crate) fn hit(space: &str, hit: &Hit) -> pb::Hit {
    let range = hit.range.clone();
    pb::Hit {
        chunk_id: hit.id.to_string(),
        document: names::of_document(space, &hit.document),
        title: hit.title.clone(),
        doc_type: hit.doc_type.as_ref().map(document::doc_type),
        text: hit.text.clone(),
        headings: hit.headings.to_vec(),
        anchor: Some(anchor(space, hit, range)),
        score: hit.score,
        score_components: hit.components.iter().map(component).collect(),
        highlights: hit.highlights.iter().cloned().map(text_range).collect(),
    }
}

/// Where a piece of a hit's document stands: `range` in its text, unless it has pages or times.
pub(crate) fn anchor(space: &str, hit: &Hit, range: std::ops::Range<usize>) -> types::Anchor {
    use types::anchor::Place as Wire;

    let place = match &hit.place {
        None => Wire::Text(text_range(range)),
        Some(Place::Page { page, outline }) => Wire::Page(types::PageRegion {
            page: *page,
            polygon: outline
                .iter()
                .map(|[x, y]| types::Point { x: *x, y: *y })
                .collect(),
        }),
        Some(Place::Time { start, end }) => Wire::Time(types::TimeSpan {
            start_offset: Some(wire_duration(*start)),
            end_offset: Some(wire_duration(*end)),
        }),
    };
    types::Anchor {
        source: names::of_document(space, &hit.document),
        place: Some(place),
    }
}

/// A range of bytes.
pub(crate) fn text_range(range: std::ops::Range<usize>) -> types::TextRange {
    types::TextRange {
        start_byte: range.start as u64,
        end_byte: range.end as u64,
    }
}

fn component(component: &ScoreComponent) -> pb::ScoreComponent {
    let ScoreComponent {
        source,
        raw,
        normalized,
        rank,
        weight,
        contribution,
    } = *component;
    let source = match source {
        ScoreSource::Dense => pb::ScoreSource::Dense,
        ScoreSource::Lexical => pb::ScoreSource::Lexical,
        ScoreSource::Rerank => pb::ScoreSource::Rerank,
        ScoreSource::Diversity => pb::ScoreSource::Diversity,
    };
    pb::ScoreComponent {
        source: source.into(),
        raw_score: raw,
        normalized_score: normalized,
        rank,
        weight,
        contribution,
    }
}
