//! The names alignment is measured by. Calls themselves are counted by the chassis, streams by its places.

use std::time::Duration;

use metrics::counter;

/// Milliseconds of audio aligned. Labels `engine`, `mode` (`stream`, `whole`).
const AUDIO: &str = "polyphony_align_audio_milliseconds_total";
/// Milliseconds that an engine worked. Labels as above.
const WORK: &str = "polyphony_align_work_milliseconds_total";
/// Words that were given a time. Labels as above.
const WORDS: &str = "polyphony_align_words_total";

/// How audio was aligned.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mode {
    Stream,
    Whole,
}

pub(crate) fn aligned(engine: &'static str, mode: Mode, audio: Duration, work: Duration, words: u64) {
    let mode = match mode {
        Mode::Stream => "stream",
        Mode::Whole => "whole",
    };
    counter!(AUDIO, "engine" => engine, "mode" => mode).increment(audio.as_millis() as u64);
    counter!(WORK, "engine" => engine, "mode" => mode).increment(work.as_millis() as u64);
    counter!(WORDS, "engine" => engine, "mode" => mode).increment(words);
}
