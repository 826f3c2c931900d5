//! Times between the wire and the standard library, checked: the range of a `google.protobuf.Duration` is ±10,000 years,
//! but a peer can send any number.
//!
//! Not `TryFrom` of prost-types, which overflows on the smallest seconds and accepts more than 10,000 years.

use std::time::Duration;

/// The most seconds of a `google.protobuf.Duration`: 10,000 years.
const MAX_SECONDS: u64 = 315_576_000_000;

/// A duration that a span of audio or a time-out cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDuration {
    /// Less than zero.
    #[error("is negative")]
    Negative,
    /// More than 10,000 years, or nanoseconds that are a second or more, or of another sign than the seconds.
    #[error("is not a valid duration: more than 10,000 years, or more than 999,999,999 nanoseconds")]
    OutOfRange,
}

/// Reads a duration that must not be negative.
///
/// # Errors
///
/// [`InvalidDuration`] where it is negative or not one that protobuf allows.
pub fn from_wire(duration: &prost_types::Duration) -> Result<Duration, InvalidDuration> {
    if duration.seconds < 0 || duration.nanos < 0 {
        return Err(InvalidDuration::Negative);
    }
    let (seconds, nanos) = (duration.seconds.unsigned_abs(), duration.nanos.unsigned_abs());
    if seconds > MAX_SECONDS || nanos > 999_999_999 {
        return Err(InvalidDuration::OutOfRange);
    }
    Ok(Duration::new(seconds, nanos))
}

/// Writes a duration; one of more than 10,000 years, which nothing lasts, becomes 10,000 years.
#[must_use]
pub fn to_wire(duration: Duration) -> prost_types::Duration {
    let duration = duration.min(Duration::from_secs(MAX_SECONDS));
    prost_types::Duration {
        seconds: duration.as_secs().cast_signed(),
        nanos: duration.subsec_nanos().cast_signed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_survives_the_wire() {
        for duration in [
            Duration::ZERO,
            Duration::from_millis(1_234),
            Duration::new(MAX_SECONDS, 0),
        ] {
            assert_eq!(from_wire(&to_wire(duration)), Ok(duration));
        }
        assert_eq!(
            from_wire(&to_wire(Duration::MAX)),
            Ok(Duration::from_secs(MAX_SECONDS))
        );
    }

    #[test]
    fn what_protobuf_does_not_allow_is_refused() {
        let read = |seconds, nanos| from_wire(&prost_types::Duration { seconds, nanos });
        assert_eq!(read(-1, 0), Err(InvalidDuration::Negative));
        assert_eq!(read(0, -1), Err(InvalidDuration::Negative));
        assert_eq!(read(i64::MIN, i32::MIN), Err(InvalidDuration::Negative));
        assert_eq!(read(i64::MAX, 0), Err(InvalidDuration::OutOfRange));
        assert_eq!(read(0, 1_000_000_000), Err(InvalidDuration::OutOfRange));
    }
}
