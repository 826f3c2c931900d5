//! Moments as the ledger and the indexes write them: microseconds since 1970, before it negative.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Microseconds since 1970; what is out of reach becomes the nearest that is not.
pub(crate) fn micros(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
        // Rounded down, so that order is kept on both sides of 1970.
        Err(before) => {
            let before = before.duration();
            let whole = i64::try_from(before.as_nanos().div_ceil(1_000)).unwrap_or(i64::MAX);
            -whole
        }
    }
}

/// The moment that was written.
pub(crate) fn of_micros(micros: i64) -> SystemTime {
    let distance = Duration::from_micros(micros.unsigned_abs());
    if micros < 0 {
        UNIX_EPOCH.checked_sub(distance).unwrap_or(UNIX_EPOCH)
    } else {
        UNIX_EPOCH.checked_add(distance).unwrap_or(UNIX_EPOCH)
    }
}

/// For `serde(with)` on an optional moment.
pub(crate) mod optional {
    use std::time::SystemTime;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        time: &Option<SystemTime>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        time.map(super::micros).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SystemTime>, D::Error> {
        Ok(Option::<i64>::deserialize(deserializer)?.map(super::of_micros))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_come_back_and_keep_their_order_on_both_sides_of_1970() {
        let moments = [-86_400_000_001, -1, 0, 1, 1_700_000_000_000_000];
        for micros_ in moments {
            assert_eq!(micros(of_micros(micros_)), micros_);
        }
        let before = UNIX_EPOCH - Duration::from_nanos(1);
        assert_eq!(micros(before), -1);
        assert!(
            moments
                .windows(2)
                .all(|pair| of_micros(pair[0]) < of_micros(pair[1]))
        );
    }
}
