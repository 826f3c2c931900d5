//! The `grpc-timeout` header, read strictly and written back with what remains.
//!
//! Source: "gRPC over HTTP2", `Timeout → "grpc-timeout" TimeoutValue TimeoutUnit`, a value of one to eight digits.

use std::fmt;
use std::time::Duration;

/// The most that eight digits hold.
const LARGEST: u128 = 99_999_999;

/// The text of a `grpc-timeout` header, on the stack.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct GrpcTimeout {
    bytes: [u8; 9],
    len: u8,
}

/// The header is not one to eight digits and a unit of `H`, `M`, `S`, `m`, `u`, `n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected one to eight digits and one unit of H, M, S, m, u, n")]
pub struct InvalidTimeout;

// === impl GrpcTimeout ===

impl GrpcTimeout {
    /// Reads the value of the header.
    ///
    /// # Errors
    ///
    /// [`InvalidTimeout`] for anything but the grammar of the specification: such a deadline is refused, since to
    /// ignore it would let the call run without one.
    pub fn parse(value: &[u8]) -> Result<Duration, InvalidTimeout> {
        let (unit, digits) = value.split_last().ok_or(InvalidTimeout)?;
        if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
            return Err(InvalidTimeout);
        }
        let number = digits
            .iter()
            .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        match unit {
            b'H' => Ok(Duration::from_secs(number * 3600)),
            b'M' => Ok(Duration::from_secs(number * 60)),
            b'S' => Ok(Duration::from_secs(number)),
            b'm' => Ok(Duration::from_millis(number)),
            b'u' => Ok(Duration::from_micros(number)),
            b'n' => Ok(Duration::from_nanos(number)),
            _ => Err(InvalidTimeout),
        }
    }

    /// Writes a duration in the finest unit that holds it, rounded down so that nobody gets more than was left, and
    /// never as zero, which some servers read as no deadline.
    pub fn new(duration: Duration) -> Self {
        let (number, unit) = match duration.as_micros() {
            micros if micros <= LARGEST => (micros.max(1), b'u'),
            micros if micros / 1_000 <= LARGEST => (micros / 1_000, b'm'),
            micros => ((micros / 1_000_000).min(LARGEST), b'S'),
        };
        let mut bytes = [0; 9];
        let mut digits = [0; 8];
        let mut len = 0;
        let mut rest = u32::try_from(number).unwrap_or(u32::MAX);
        while rest > 0 {
            digits[len] = b'0' + (rest % 10) as u8;
            rest /= 10;
            len += 1;
        }
        for at in 0..len {
            bytes[at] = digits[len - 1 - at];
        }
        bytes[len] = unit;
        Self {
            bytes,
            len: len as u8 + 1,
        }
    }

    /// The text, at most nine bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Debug for GrpcTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_unit_is_read() {
        for (text, duration) in [
            ("1H", Duration::from_secs(3600)),
            ("2M", Duration::from_secs(120)),
            ("3S", Duration::from_secs(3)),
            ("300m", Duration::from_millis(300)),
            ("99999999u", Duration::from_micros(99_999_999)),
            ("00000001n", Duration::from_nanos(1)),
            ("0S", Duration::ZERO),
        ] {
            assert_eq!(GrpcTimeout::parse(text.as_bytes()), Ok(duration), "{text}");
        }
    }

    #[test]
    fn what_the_grammar_forbids_is_refused() {
        for text in [
            "",
            "S",
            "abc",
            "1",
            "1s",
            "-1S",
            "+1S",
            "1.5S",
            " 1S",
            "1S ",
            "123456789S",
            "1SS",
        ] {
            assert_eq!(
                GrpcTimeout::parse(text.as_bytes()),
                Err(InvalidTimeout),
                "{text:?}"
            );
        }
    }

    #[test]
    fn what_is_left_is_written_in_the_finest_unit_that_holds_it() {
        for (duration, text) in [
            (Duration::ZERO, "1u"),
            (Duration::from_millis(300), "300000u"),
            (Duration::from_secs(100), "100000m"),
            (Duration::from_secs(200_000), "200000S"),
            (Duration::MAX, "99999999S"),
        ] {
            assert_eq!(GrpcTimeout::new(duration).as_bytes(), text.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn written_and_read_again_it_is_never_longer_and_loses_less_than_a_thousandth(micros in 1_000u64..=99_999_999_000_000) {
            let duration = Duration::from_micros(micros);
            let again = GrpcTimeout::parse(GrpcTimeout::new(duration).as_bytes()).expect("our own text");
            prop_assert!(again <= duration);
            prop_assert!(duration - again < Duration::from_secs(1).min(duration / 1_000 + Duration::from_micros(1)));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
            let _parsed = GrpcTimeout::parse(&bytes);
        }
    }
}
