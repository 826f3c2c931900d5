//! Words and what has no counterpart on their way to the wire.

use std::ops::Range;
use std::time::Duration;

use polyphony_proto::align::v1 as pb;
use polyphony_proto::types::v1 as types;
use polyphony_wire::wire_duration as wire;

use crate::domain::{Loose, TimingSource, Unit, Word};

pub(crate) fn words(words: Vec<Word>) -> Vec<pb::AlignedWord> {
    words.into_iter().map(word).collect()
}

fn word(word: Word) -> pb::AlignedWord {
    let Word {
        text,
        range,
        speaker,
        time,
        score,
        log_prob,
        timing: source,
        characters,
        phones,
    } = word;
    pb::AlignedWord {
        word: text,
        start_offset: Some(wire(time.start)),
        end_offset: Some(wire(time.end)),
        score,
        log_prob,
        timing_source: timing(source).into(),
        source_text_range: Some(text_range(range)),
        characters: characters.into_iter().map(unit).collect(),
        phonemes: phones.into_iter().map(unit).collect(),
        speaker_label: speaker,
    }
}

fn unit(unit: Unit) -> pb::AlignedUnit {
    let Unit {
        text,
        time,
        score,
        timing: source,
    } = unit;
    pb::AlignedUnit {
        text,
        start_offset: Some(wire(time.start)),
        end_offset: Some(wire(time.end)),
        score,
        timing_source: timing(source).into(),
    }
}

/// What has no counterpart.
pub(crate) fn loose(loose: Vec<Loose>) -> Vec<pb::UnalignedSpan> {
    use pb::unaligned_span::Span;
    let span = |loose| match loose {
        Loose::Text(range) => Span::Text(text_range(range)),
        Loose::Time(time) => Span::Time(time_span(time)),
    };
    let wire = |loose| pb::UnalignedSpan {
        span: Some(span(loose)),
    };
    loose.into_iter().map(wire).collect()
}

fn time_span(time: Range<Duration>) -> types::TimeSpan {
    types::TimeSpan {
        start_offset: Some(wire(time.start)),
        end_offset: Some(wire(time.end)),
    }
}

const fn text_range(range: Range<usize>) -> types::TextRange {
    types::TextRange {
        start_byte: range.start as u64,
        end_byte: range.end as u64,
    }
}

const fn timing(source: TimingSource) -> types::TimingSource {
    match source {
        TimingSource::Aligned => types::TimingSource::Aligned,
        TimingSource::Wildcard => types::TimingSource::Wildcard,
        TimingSource::Interpolated => types::TimingSource::Interpolated,
    }
}
