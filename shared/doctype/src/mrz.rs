//! The machine-readable zone of passports and identity cards (ICAO Doc 9303, parts 4 and 5): found by its shape, believed
//! by its check figures.

/// Whether two or three lines that follow one another are such a zone.
pub(crate) fn is_in(lines: &[&str]) -> bool {
    let zones: Vec<Option<String>> = lines.iter().map(|line| zone(line)).collect();
    zones.windows(2).any(|pair| match pair {
        // Number and its figure, date of birth and its, date of expiry and its, stand in the second line of a passport.
        [Some(_), Some(second)] if second.len() == 44 || second.len() == 36 => {
            checks(second, 0..9) && checks(second, 13..19) && checks(second, 21..27)
        }
        // The number stands in the first of three lines of a card, the dates in the second.
        [Some(first), Some(second)] if first.len() == 30 && second.len() == 30 => {
            checks(first, 5..14) && checks(second, 0..6) && checks(second, 8..14)
        }
        _ => false,
    })
}

/// A line of a zone, without spaces that were read into it.
fn zone(line: &str) -> Option<String> {
    let line: String = line
        .chars()
        .filter(|character| !character.is_whitespace())
        .collect();
    let fits = matches!(line.len(), 30 | 36 | 44)
        && line.contains('<')
        && line
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'<');
    fits.then_some(line)
}

/// Whether the figure after a field is the right one: weights 7, 3, 1 and the rest of 10.
fn checks(line: &str, field: std::ops::Range<usize>) -> bool {
    let value = |byte: u8| match byte {
        b'0'..=b'9' => u32::from(byte - b'0'),
        b'A'..=b'Z' => u32::from(byte - b'A') + 10,
        _ => 0,
    };
    let bytes = line.as_bytes();
    let (Some(figure), Some(bytes)) = (bytes.get(field.end), bytes.get(field)) else {
        return false;
    };
    let sum: u32 = bytes
        .iter()
        .zip([7, 3, 1].iter().cycle())
        .map(|(byte, weight)| value(*byte) * weight)
        .sum();
    figure.is_ascii_digit() && value(*figure) == sum % 10
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The specimens of Doc 9303.
    const PASSPORT: [&str; 2] = [
        "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<",
        "L898902C36UTO7408122F1204159ZE184226B<<<<<10",
    ];
    const CARD: [&str; 3] = [
        "I<UTOD231458907<<<<<<<<<<<<<<<",
        "7408122F1204159UTO<<<<<<<<<<<6",
        "ERIKSSON<<ANNA<MARIA<<<<<<<<<<",
    ];

    #[test]
    fn the_specimens_are_found_and_copies_with_a_wrong_figure_are_not() {
        assert!(is_in(&["UTOPIA", PASSPORT[0], PASSPORT[1]]));
        assert!(is_in(&CARD));
        assert!(is_in(&[
            "P<UTOERIKSSON<< ANNA<MARIA<<<<<<<<<<<<<<<<<<<",
            PASSPORT[1]
        ]));
        assert!(!is_in(&[PASSPORT[0], &PASSPORT[1].replace("C36", "C37")]));
        assert!(!is_in(&[PASSPORT[1], PASSPORT[0]]));
        assert!(!is_in(&["<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<", "some words"]));
    }
}
