//! The names analysis is measured by. Calls themselves are counted by the chassis, streams by its places.

use std::time::Duration;

use metrics::counter;

/// Milliseconds of audio analysed. Labels `engine`, `mode` (`stream`, `whole`).
const AUDIO: &str = "polyphony_analysis_audio_milliseconds_total";
/// Milliseconds that an engine, or the measuring of features, worked. Labels as above.
const WORK: &str = "polyphony_analysis_work_milliseconds_total";

/// How audio was analysed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mode {
    Stream,
    Whole,
}

pub(crate) fn analysed(engine: &'static str, mode: Mode, audio: Duration, work: Duration) {
    let mode = match mode {
        Mode::Stream => "stream",
        Mode::Whole => "whole",
    };
    counter!(AUDIO, "engine" => engine, "mode" => mode).increment(audio.as_millis() as u64);
    counter!(WORK, "engine" => engine, "mode" => mode).increment(work.as_millis() as u64);
}
