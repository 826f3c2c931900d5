//! The names recognition is measured by. Calls themselves are counted by the chassis.

use std::time::Duration;

use metrics::{counter, histogram};

/// Milliseconds of audio recognised. Labels `engine`, `mode` (`stream`, `whole`).
const AUDIO: &str = "polyphony_asr_audio_milliseconds_total";
/// Milliseconds that an engine and the voice activity model worked. Labels as above.
const WORK: &str = "polyphony_asr_work_milliseconds_total";
/// Seconds from the arrival of audio to a final result. Label `engine`.
const FINAL_LAG: &str = "polyphony_asr_final_lag_seconds";

/// How audio was recognised.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mode {
    Stream,
    Whole,
}

pub(crate) fn recognised(engine: &'static str, mode: Mode, audio: Duration, work: Duration) {
    let mode = match mode {
        Mode::Stream => "stream",
        Mode::Whole => "whole",
    };
    counter!(AUDIO, "engine" => engine, "mode" => mode).increment(audio.as_millis() as u64);
    counter!(WORK, "engine" => engine, "mode" => mode).increment(work.as_millis() as u64);
}

pub(crate) fn final_result(engine: &'static str, lag: Duration) {
    histogram!(FINAL_LAG, "engine" => engine).record(lag.as_secs_f64());
}
