//! How something is said: the values of `prosody` and `break`, as numbers.

use std::time::Duration;

use roxmltree::Node;

use crate::domain::{GAINS, PITCHES, Prosody, RATES};

/// What a `prosody` element says.
pub(super) fn of(node: Node<'_, '_>) -> Result<Prosody, String> {
    let mut prosody = Prosody::NATURAL;
    if let Some(rate) = node.attribute("rate") {
        prosody.rate = rate_of(rate.trim())?;
    }
    if let Some(pitch) = node.attribute("pitch") {
        prosody.pitch = pitch_of(pitch.trim())?;
    }
    if let Some(volume) = node.attribute("volume") {
        prosody.gain = gain_of(volume.trim())?;
    }
    Ok(prosody)
}

/// What a `break` element says. The lengths of the strengths are ours; SSML gives none.
pub(super) fn pause(node: Node<'_, '_>) -> Result<Duration, String> {
    if let Some(time) = node.attribute("time") {
        return duration(time.trim()).ok_or_else(|| {
            format!("the time \"{time}\" is not one; it is written as \"500ms\" or \"1.5s\"")
        });
    }
    let milliseconds = match node.attribute("strength").map_or("medium", str::trim) {
        "none" => 0,
        "x-weak" => 100,
        "weak" => 200,
        "medium" => 400,
        "strong" => 700,
        "x-strong" => 1_000,
        other => {
            return Err(format!(
                "the strength \"{other}\" is not known; none, x-weak, weak, medium, strong and x-strong are"
            ));
        }
    };
    Ok(Duration::from_millis(milliseconds))
}

fn rate_of(text: &str) -> Result<f32, String> {
    let rate = match text {
        "x-slow" => Some(0.5),
        "slow" => Some(0.75),
        "medium" | "default" => Some(1.0),
        "fast" => Some(1.25),
        "x-fast" => Some(1.75),
        _ => match text.strip_suffix('%') {
            // "+20%" is a change, "120%" what it is changed to.
            Some(percent) if percent.starts_with(['+', '-']) => {
                number(percent).map(|change| 1.0 + change / 100.0)
            }
            Some(percent) => number(percent).map(|percent| percent / 100.0),
            None => number(text).filter(|_| !text.starts_with(['+', '-'])),
        },
    };
    rate.filter(|rate| RATES.contains(rate)).ok_or_else(|| {
        format!(
            "the rate \"{text}\" is not one of x-slow, slow, medium, fast, x-fast, or a share as \"120%\" or \"+20%\" from \
             {:.0}% to {:.0}%",
            RATES.start() * 100.0,
            RATES.end() * 100.0
        )
    })
}

fn pitch_of(text: &str) -> Result<f32, String> {
    let semitones = match text {
        "x-low" => Some(-6.0),
        "low" => Some(-3.0),
        "medium" | "default" => Some(0.0),
        "high" => Some(3.0),
        "x-high" => Some(6.0),
        _ if !text.starts_with(['+', '-']) => None,
        _ => match (text.strip_suffix("st"), text.strip_suffix('%')) {
            (Some(semitones), _) => number(semitones),
            (None, Some(percent)) => number(percent)
                .map(|change| 1.0 + change / 100.0)
                .filter(|factor| *factor > 0.0)
                .map(|factor| 12.0 * factor.log2()),
            (None, None) => None,
        },
    };
    semitones.filter(|semitones| PITCHES.contains(semitones)).ok_or_else(|| {
        format!(
            "the pitch \"{text}\" is not one of x-low, low, medium, high, x-high, or a change as \"+2st\" or \"-10%\" of at \
             most {} semitones",
            PITCHES.end()
        )
    })
}

fn gain_of(text: &str) -> Result<f32, String> {
    let gain = match text {
        "silent" => return Ok(f32::NEG_INFINITY),
        "x-soft" => Some(-12.0),
        "soft" => Some(-6.0),
        "medium" | "default" => Some(0.0),
        "loud" => Some(4.0),
        "x-loud" => Some(8.0),
        _ if !text.starts_with(['+', '-']) => None,
        _ => text.strip_suffix("dB").and_then(number),
    };
    gain.filter(|gain| GAINS.contains(gain)).ok_or_else(|| {
        format!(
            "the volume \"{text}\" is not one of silent, x-soft, soft, medium, loud, x-loud, or a change as \"+6dB\" from {} to \
             {} dB",
            GAINS.start(),
            GAINS.end()
        )
    })
}

fn duration(text: &str) -> Option<Duration> {
    let (value, unit) = match text.strip_suffix("ms") {
        Some(value) => (value, 0.001),
        None => (text.strip_suffix('s')?, 1.0),
    };
    let seconds = number(value).filter(|_| !value.starts_with('-'))? * unit;
    Duration::try_from_secs_f32(seconds).ok()
}

/// Digits with a dot among them or not, and a sign before them or not; no exponents and no infinity.
fn number(text: &str) -> Option<f32> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    (plain && digits.bytes().any(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}
