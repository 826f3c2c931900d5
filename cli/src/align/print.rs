//! An alignment on standard output.

use polyphony_align::render::{self, Timed};
use polyphony_proto::align::v1 as pb;
use polyphony_proto::types::v1::TimingSource;
use serde_json::{Value, json};

use super::Aligned;
use crate::args::AlignFormat;
use crate::{output, wire};

pub(super) fn print(aligned: &Aligned, name: &str, format: AlignFormat) -> anyhow::Result<()> {
    match format {
        AlignFormat::Text => aligned.words.iter().try_for_each(|word| {
            let (start, end) = span(word);
            output::line(&format!("{start:8.3} {end:8.3}  {}", word.word))
        }),
        AlignFormat::Json => aligned
            .words
            .iter()
            .try_for_each(|word| output::object(&object(word))),
        AlignFormat::Srt => output::line(render::srt(&timed(aligned)).trim_end()),
        AlignFormat::Vtt => output::line(render::vtt(&timed(aligned)).trim_end()),
        AlignFormat::Textgrid => output::line(render::textgrid(&timed(aligned), aligned.audio).trim_end()),
        AlignFormat::Ctm => output::line(render::ctm(&timed(aligned), name).trim_end()),
    }
}

fn timed(aligned: &Aligned) -> Vec<Timed> {
    let word = |word: &pb::AlignedWord| Timed {
        text: word.word.clone(),
        time: wire::duration(word.start_offset)..wire::duration(word.end_offset),
        score: word.score,
        speaker: word.speaker_label.clone(),
        characters: word.characters.iter().map(part).collect(),
        phones: word.phonemes.iter().map(part).collect(),
    };
    aligned.words.iter().map(word).collect()
}

fn part(unit: &pb::AlignedUnit) -> Timed {
    Timed {
        text: unit.text.clone(),
        time: wire::duration(unit.start_offset)..wire::duration(unit.end_offset),
        score: unit.score,
        ..Timed::default()
    }
}

fn span(word: &pb::AlignedWord) -> (f64, f64) {
    (
        wire::duration(word.start_offset).as_secs_f64(),
        wire::duration(word.end_offset).as_secs_f64(),
    )
}

fn object(word: &pb::AlignedWord) -> Value {
    let (start, end) = span(word);
    let source = match word.timing_source() {
        TimingSource::Wildcard => "wildcard",
        TimingSource::Interpolated => "interpolated",
        _ => "aligned",
    };
    let range = word.source_text_range.unwrap_or_default();
    json!({
        "word": word.word,
        "start": start,
        "end": end,
        "score": word.score,
        "timing": source,
        "range": [range.start_byte, range.end_byte],
        "characters": units(&word.characters),
        "phones": units(&word.phonemes),
    })
}

fn units(units: &[pb::AlignedUnit]) -> Vec<Value> {
    let unit = |unit: &pb::AlignedUnit| {
        json!({
            "text": unit.text,
            "start": wire::duration(unit.start_offset).as_secs_f64(),
            "end": wire::duration(unit.end_offset).as_secs_f64(),
        })
    };
    units.iter().map(unit).collect()
}
