//! `--align`: the words of a transcript with times of forced alignment.

use std::time::Duration;

use polyphony_proto::align::v1 as pb;
use polyphony_proto::align::v1::align_service_client::AlignServiceClient;
use polyphony_proto::asr::v1::WordInfo;
use polyphony_proto::time::to_wire;
use tonic::transport::Channel;

use super::Line;
use crate::align;
use crate::args::Transcribe;

/// Replaces the words of every line by aligned ones.
pub(super) async fn refine(
    channel: Channel,
    args: &Transcribe,
    audio: Vec<u8>,
    lines: &mut [Line],
) -> anyhow::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let mut client = AlignServiceClient::new(channel);
    let config = pb::AlignmentConfig {
        language_code: args.language.clone().unwrap_or_else(|| "en".to_owned()),
        explicit_decoding: args.raw.decoding(),
        ..Default::default()
    };
    let segment = |line: &Line| pb::TranscriptSegment {
        text: line.text.clone(),
        start_offset: Some(to_wire(line.start)),
        end_offset: Some(to_wire(line.end)),
        speaker_label: String::new(),
    };
    let segments = lines.iter().map(segment).collect();
    let transcript = pb::align_request::Transcript::Segments(pb::SegmentedTranscript { segments });
    let aligned = align::whole(&mut client, config, audio, transcript, args.timeout).await?;
    aligned.doubt();
    place(lines, aligned.words);
    Ok(())
}

/// Words into the lines that they are of: ranges count through all lines, joined by one line feed.
fn place(lines: &mut [Line], words: Vec<pb::AlignedWord>) {
    let mut words = words.into_iter().peekable();
    let mut end = 0;
    for line in lines {
        end += line.text.len() as u64;
        line.words.clear();
        let start_of = |word: &pb::AlignedWord| word.source_text_range.map_or(0, |range| range.start_byte);
        while let Some(word) = words.next_if(|word| start_of(word) < end) {
            line.words.push(info(word));
        }
        // The line feed.
        end += 1;
        let spoken =
            |offset: Option<prost_types::Duration>| offset.map(|offset| crate::wire::duration(Some(offset)));
        let first: Option<Duration> = line.words.first().and_then(|word| spoken(word.start_offset));
        let last = line.words.last().and_then(|word| spoken(word.end_offset));
        (line.start, line.end) = (first.unwrap_or(line.start), last.unwrap_or(line.end));
    }
}

fn info(word: pb::AlignedWord) -> WordInfo {
    WordInfo {
        word: word.word,
        start_offset: word.start_offset,
        end_offset: word.end_offset,
        confidence: Some(word.score),
        timing_source: word.timing_source,
        ..WordInfo::default()
    }
}

#[cfg(test)]
mod tests {
    use polyphony_proto::types::v1::TextRange;

    use super::*;

    #[test]
    fn words_come_into_their_lines() {
        let line = |text: &str| Line {
            start: Duration::ZERO,
            end: Duration::from_secs(5),
            text: text.to_owned(),
            confidence: None,
            words: Vec::new(),
            speaker: None,
        };
        let word = |word: &str, at: u64| pb::AlignedWord {
            word: word.to_owned(),
            start_offset: Some(to_wire(Duration::from_secs(at))),
            end_offset: Some(to_wire(Duration::from_secs(at + 1))),
            source_text_range: Some(TextRange {
                start_byte: at,
                end_byte: at + word.len() as u64,
            }),
            ..pb::AlignedWord::default()
        };
        let mut lines = [line("go forth"), line("ten")];
        place(&mut lines, vec![word("go", 0), word("forth", 3), word("ten", 9)]);
        let told: Vec<Vec<&str>> = lines
            .iter()
            .map(|line| line.words.iter().map(|word| word.word.as_str()).collect())
            .collect();
        assert_eq!(told, [vec!["go", "forth"], vec!["ten"]]);
        assert_eq!(
            (lines[0].end, lines[1].start),
            (Duration::from_secs(4), Duration::from_secs(9))
        );
    }
}
