//! A duration as people write it: `250ms`, `10s`, `1.5s`, `5m`, `2h`, `0`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

use crate::number;

/// Units from large to small, in nanoseconds.
const UNITS: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// A [`Duration`] in a configuration: one number and one unit of `ns`, `us`, `ms`, `s`, `m`, `h`, `d`. Zero needs none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HumanDuration(pub Duration);

/// The text is not a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {EXPECTED}")]
pub struct NotADuration;

const EXPECTED: &str = "a duration such as \"250ms\", \"10s\" or \"5m\"";

// === impl HumanDuration ===

impl HumanDuration {
    /// Whole milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// Whole seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// The duration itself.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl From<Duration> for HumanDuration {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl From<HumanDuration> for Duration {
    fn from(duration: HumanDuration) -> Self {
        duration.0
    }
}

impl FromStr for HumanDuration {
    type Err = NotADuration;

    fn from_str(text: &str) -> Result<Self, NotADuration> {
        let (mantissa, scale, unit) = number::with_unit(text).ok_or(NotADuration)?;
        let nanos = match UNITS.iter().find(|(name, _)| *name == unit) {
            Some((_, factor)) => number::scaled(mantissa, scale, *factor).ok_or(NotADuration)?,
            None if unit.is_empty() && mantissa == 0 => 0,
            None => return Err(NotADuration),
        };
        let secs = u64::try_from(nanos / 1_000_000_000).map_err(|_| NotADuration)?;
        let rest = u32::try_from(nanos % 1_000_000_000).map_err(|_| NotADuration)?;
        Ok(Self(Duration::new(secs, rest)))
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        if nanos == 0 {
            return f.write_str("0");
        }
        // The largest unit that needs no fraction; nanoseconds always do.
        let (unit, factor) = UNITS
            .iter()
            .find(|(_, factor)| nanos.is_multiple_of(*factor))
            .unwrap_or(&UNITS[6]);
        write!(f, "{}{unit}", nanos / factor)
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = HumanDuration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<HumanDuration, E> {
                text.parse()
                    .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<HumanDuration, E> {
                match number {
                    0 => Ok(HumanDuration::default()),
                    _ => Err(E::invalid_type(de::Unexpected::Signed(number), &self)),
                }
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<HumanDuration, E> {
                match number {
                    0 => Ok(HumanDuration::default()),
                    _ => Err(E::invalid_type(de::Unexpected::Unsigned(number), &self)),
                }
            }
        }

        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_read_and_written_back() {
        for (text, millis, shown) in [
            ("250ms", 250, "250ms"),
            ("10s", 10_000, "10s"),
            ("1.5s", 1_500, "1500ms"),
            ("5m", 300_000, "5m"),
            ("90m", 5_400_000, "90m"),
            ("2h", 7_200_000, "2h"),
            ("1d", 86_400_000, "1d"),
            ("0", 0, "0"),
            ("0s", 0, "0"),
            (" 3 s ", 3_000, "3s"),
        ] {
            let duration: HumanDuration = text.parse().expect(text);
            assert_eq!(duration.get(), Duration::from_millis(millis), "{text}");
            assert_eq!(duration.to_string(), shown);
            assert_eq!(shown.parse(), Ok(duration));
        }
    }

    #[test]
    fn what_is_unclear_is_refused() {
        for text in [
            "",
            "10",
            "s",
            "-1s",
            "1.s",
            ".5s",
            "1 2s",
            "1s500ms",
            "5 minutes",
            "1.0000000001s",
            "99999999999999999999d",
        ] {
            assert_eq!(text.parse::<HumanDuration>(), Err(NotADuration), "{text:?}");
        }
    }
}
