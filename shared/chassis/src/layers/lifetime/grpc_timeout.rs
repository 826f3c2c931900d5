//! The `grpc-timeout` header, read strictly and written exactly (gRPC over HTTP/2, "Timeout").

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use polyphony_error::{Fault, Kind};

/// Where it travels.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("grpc-timeout");

/// More digits are no timeout.
const MAX_DIGITS: usize = 8;
/// The largest number that fits.
const MAX: u128 = 99_999_999;

/// The timeout a caller asks for.
///
/// # Errors
/// `INTERNAL` when it is not 1 to 8 digits and a unit of `HMSmun`, as gRPC's C core answers; ignoring it would run
/// without the limit that the caller meant.
pub(super) fn of(headers: &HeaderMap) -> Result<Option<Duration>, Fault> {
    let Some(value) = headers.get(&HEADER) else {
        return Ok(None);
    };
    match parse(value.as_bytes()) {
        Some(timeout) => Ok(Some(timeout)),
        None => {
            let message = "grpc-timeout: is not 1 to 8 digits and one of H, M, S, m, u, n";
            Err(Fault::new(Kind::Internal, "BAD_GRPC_TIMEOUT", message))
        }
    }
}

fn parse(text: &[u8]) -> Option<Duration> {
    let (unit, digits) = text.split_last()?;
    if !(1..=MAX_DIGITS).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits
        .iter()
        .fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

/// The header that says `timeout`, in the finest unit that holds it, rounded down: never more than there is.
pub(crate) fn format(timeout: Duration) -> HeaderValue {
    let nanos = timeout.as_nanos();
    let units = [
        (1, 'n'),
        (1_000, 'u'),
        (1_000_000, 'm'),
        (1_000_000_000, 'S'),
        (60_000_000_000, 'M'),
    ];
    let fits = units.into_iter().find(|(size, _)| nanos / size <= MAX);
    let text = match fits {
        Some((size, unit)) => format!("{}{unit}", nanos / size),
        None => format!("{}H", (nanos / 3_600_000_000_000).min(MAX)),
    };
    // Digits and a letter are a valid header.
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("0n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read() {
        for (text, timeout) in [
            ("1H", Duration::from_secs(3600)),
            ("2M", Duration::from_secs(120)),
            ("99999999S", Duration::from_secs(99_999_999)),
            ("300m", Duration::from_millis(300)),
            ("7u", Duration::from_micros(7)),
            ("0n", Duration::ZERO),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(timeout), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "S",
            "10",
            "123456789m",
            "abc",
            "-1S",
            "+1S",
            "1.5S",
            "1 S",
            "1s",
            "１S",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn what_is_written_reads_back_and_is_never_more() {
        for nanos in [
            0,
            1,
            99_999_999,
            100_000_000,
            123_456_789_012,
            9_999_999_999_999_999_999,
        ] {
            let timeout = Duration::from_nanos(nanos);
            let text = format(timeout);
            let read = parse(text.as_bytes()).expect("our own header");
            assert!(read <= timeout, "{timeout:?} became {read:?}");
            assert!(timeout.as_secs_f64() - read.as_secs_f64() <= 1e-5 * timeout.as_secs_f64() + 1e-9);
        }
    }
}
