//! Finds text that repeats itself, as Whisper does when it invents.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;

/// Above this ratio a text is taken to be a loop (`compression_ratio_threshold` of openai-whisper).
pub(super) const LOOPS: f64 = 2.4;

/// The bytes of a text over its bytes when compressed; 1 for no text. Speech has about 1.5.
pub(super) fn compression_ratio(text: &str) -> f64 {
    if text.is_empty() {
        return 1.0;
    }
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    // Writing to memory cannot fail.
    let compressed = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish());
    compressed.map_or(1.0, |bytes| text.len() as f64 / bytes.len() as f64)
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
}
