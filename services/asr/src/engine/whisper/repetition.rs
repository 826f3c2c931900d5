//! Finds text that repeats itself, as Whisper does when it invents.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::transcription::TokenSegment;

/// Above this ratio a text is taken to be a loop (`compression_ratio_threshold` of openai-whisper).
const LOOPS: f64 = 2.4;

/// The bytes of a text over its bytes when compressed; 1 for no text. Speech has about 1.5.
fn compression_ratio(text: &str) -> f64 {
    if text.is_empty() {
        return 1.0;
    }
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    // Writing to memory cannot fail.
    let compressed = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish());
    compressed.map_or(1.0, |bytes| text.len() as f64 / bytes.len() as f64)
}

/// Of a window whose text loops, leaves out what repeats.
pub(super) fn leave_out_loops(segments: &mut Vec<TokenSegment>, text: &str) {
    if compression_ratio(text.trim()) <= LOOPS {
        return;
    }
    segments.retain(|segment| compression_ratio(segment.text.trim()) <= LOOPS);
    segments.dedup_by(|later, earlier| later.text.trim() == earlier.text.trim());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_compresses_and_speech_does_not() {
        assert!(compression_ratio(&"thank you very much. ".repeat(12)) > LOOPS);
        let speech = "And so, my fellow Americans, ask not what your country can do for you; ask what you can do for your country.";
        assert!(compression_ratio(speech) < LOOPS);
        assert!((compression_ratio("") - 1.0).abs() < f64::EPSILON);
    }

    fn said(text: &str) -> TokenSegment {
        TokenSegment {
            start: 0.0,
            end: 1.0,
            text: text.to_owned(),
            tokens: Vec::new(),
            avg_log_prob: -0.5,
            no_speech_prob: 0.0,
            words: Vec::new(),
        }
    }

    #[test]
    fn of_a_loop_one_is_kept_and_of_speech_all() {
        let texts = |segments: &[TokenSegment]| segments.iter().map(|it| it.text.clone()).collect::<Vec<_>>();
        let looping = [" Thank you very much indeed."; 12];
        let mut segments: Vec<_> = looping.iter().map(|text| said(text)).collect();
        segments.push(said(&" la".repeat(60)));
        leave_out_loops(&mut segments, &looping.concat());
        assert_eq!(texts(&segments), [looping[0]]);

        let speech = [" Yes.", " Yes.", " Shall we go on to the second question, then?"];
        let mut segments: Vec<_> = speech.iter().map(|text| said(text)).collect();
        leave_out_loops(&mut segments, &speech.concat());
        assert_eq!(texts(&segments), speech);
    }
}
