//! What was spoken, as the wire tells it. Cannot fail.

use std::time::Duration;

use polyphony_models::Provenance;
use polyphony_proto::tts::v1 as pb;
use polyphony_proto::types::v1 as types;
use polyphony_wire::{Spent, receipt, wire_duration};

use crate::casting::Manner;
use crate::domain::{Passed, Phone, Timing, Word};
use crate::phones::viseme;

/// A word, `begin` being when its utterance begins. None: nobody asked for words.
pub(crate) fn word(word: Word, begin: Duration, manner: Manner) -> Option<pb::SpokenWord> {
    if !manner.word_times && !manner.phone_times {
        return None;
    }
    let Word {
        text,
        source,
        start,
        end,
        timing,
        phones,
    } = word;
    let at = |time: Duration| Some(wire_duration(begin + time));
    let phones = if manner.phone_times { phones } else { Vec::new() };
    let phoneme = |Phone { symbol, start, end }: Phone| pb::SpokenPhoneme {
        viseme_id: viseme(&symbol),
        phoneme: symbol,
        start_offset: at(start),
        end_offset: at(end),
    };
    Some(pb::SpokenWord {
        word: text,
        start_offset: at(start),
        end_offset: at(end),
        source_text_range: Some(types::TextRange {
            start_byte: source.start,
            end_byte: source.end,
        }),
        phonemes: phones.into_iter().map(phoneme).collect(),
        timing_source: match timing {
            Timing::Model => types::TimingSource::Model,
            Timing::Estimated => types::TimingSource::Interpolated,
        }
        .into(),
    })
}

/// A mark, `begin` being when its utterance begins.
pub(crate) fn timepoint(mark: Passed, begin: Duration) -> pb::Timepoint {
    let Passed { name, at } = mark;
    pb::Timepoint {
        mark_name: name,
        offset: Some(wire_duration(begin + at)),
    }
}

/// With what it was done.
pub(crate) fn told(request_id: &str, made: &Provenance, spent: Spent, manner: Manner) -> types::Receipt {
    types::Receipt {
        seed: manner.seed,
        ..receipt(request_id, made, spent)
    }
}
