//! Times of day: the `Timestamp` that a stream begins at, checked, and the offsets in it. Durations are
//! `polyphony_proto::time`'s.

use std::time::Duration;

/// Seconds from 1970 to the years 1 and 9999, between which a protobuf `Timestamp` lies.
const FIRST: i64 = -62_135_596_800;
const LAST: i64 = 253_402_300_799;
const BILLION: i32 = 1_000_000_000;

/// A time on the wire that was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock(prost_types::Timestamp);

// === impl Clock ===

impl Clock {
    /// A time that a stream can begin at.
    pub fn new(time: prost_types::Timestamp) -> Option<Self> {
        let valid = (FIRST..=LAST).contains(&time.seconds) && (0..BILLION).contains(&time.nanos);
        valid.then_some(Self(time))
    }

    /// The time of an offset; nothing beyond the year 9999.
    pub fn at(self, offset: Duration) -> Option<prost_types::Timestamp> {
        let nanos = self.0.nanos + offset.subsec_nanos() as i32;
        let seconds = self
            .0
            .seconds
            .checked_add(i64::try_from(offset.as_secs()).ok()?)?;
        let seconds = seconds.checked_add(i64::from(nanos / BILLION))?;
        (seconds <= LAST).then_some(prost_types::Timestamp {
            seconds,
            nanos: nanos % BILLION,
        })
    }

    /// As it came.
    pub const fn wire(self) -> prost_types::Timestamp {
        self.0
    }
}

/// A duration from the wire, if it is one and not negative.
pub fn duration(duration: prost_types::Duration) -> Option<Duration> {
    polyphony_proto::time::from_wire(&duration).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_carries_nanoseconds_over_and_stops_at_the_end_of_time() {
        let clock = Clock::new(prost_types::Timestamp {
            seconds: -1,
            nanos: 900_000_000,
        })
        .expect("valid");
        let at = clock.at(Duration::from_millis(1_250));
        assert_eq!(
            at,
            Some(prost_types::Timestamp {
                seconds: 1,
                nanos: 150_000_000
            })
        );
        let end = Clock::new(prost_types::Timestamp {
            seconds: LAST,
            nanos: 0,
        })
        .expect("valid");
        assert_eq!(end.at(Duration::from_secs(1)), None);
        for (seconds, nanos) in [
            (LAST + 1, 0),
            (FIRST - 1, 0),
            (0, -1),
            (0, BILLION),
            (i64::MAX, 0),
        ] {
            assert_eq!(Clock::new(prost_types::Timestamp { seconds, nanos }), None);
        }
    }

    #[test]
    fn only_what_is_not_negative_is_a_duration() {
        assert_eq!(
            duration(prost_types::Duration { seconds: 1, nanos: 5 }),
            Some(Duration::new(1, 5))
        );
        for (seconds, nanos) in [(-1, 0), (0, -1), (1, BILLION)] {
            assert_eq!(duration(prost_types::Duration { seconds, nanos }), None);
        }
    }
}
