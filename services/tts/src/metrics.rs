//! The names synthesis is measured by. Calls themselves are counted by the chassis.

use std::time::Duration;

use metrics::{counter, histogram};

/// Milliseconds of audio made. Labels `engine`, `mode` (`stream`, `whole`).
const AUDIO: &str = "polyphony_tts_audio_milliseconds_total";
/// Milliseconds that an engine and the encoder worked. Labels as above.
const WORK: &str = "polyphony_tts_work_milliseconds_total";
/// Characters spoken. Labels as above.
const CHARACTERS: &str = "polyphony_tts_characters_total";
/// Seconds from a clause that is whole to its first audio, in a stream. Label `engine`.
const FIRST_AUDIO: &str = "polyphony_tts_first_audio_seconds";

/// How a text was spoken.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mode {
    Stream,
    Whole,
}

pub(crate) fn spoken(engine: &'static str, mode: Mode, audio: Duration, work: Duration, characters: u64) {
    let mode = match mode {
        Mode::Stream => "stream",
        Mode::Whole => "whole",
    };
    counter!(AUDIO, "engine" => engine, "mode" => mode).increment(audio.as_millis() as u64);
    counter!(WORK, "engine" => engine, "mode" => mode).increment(work.as_millis() as u64);
    counter!(CHARACTERS, "engine" => engine, "mode" => mode).increment(characters);
}

pub(crate) fn first_audio(engine: &'static str, after: Duration) {
    histogram!(FIRST_AUDIO, "engine" => engine).record(after.as_secs_f64());
}
