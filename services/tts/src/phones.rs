//! Phones: how a pronunciation is written, and the shape of the mouth that goes with a phone.
//!
//! Text is turned into phones by espeak-ng, which is `polyphony_espeak`'s; here are only the notations of callers.

mod visemes;
mod x_sampa;

pub use visemes::viseme;

/// How a pronunciation is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notation {
    /// The International Phonetic Alphabet.
    Ipa,
    /// X-SAMPA, the same in ASCII.
    XSampa,
}

/// The longest pronunciation, in characters.
const LONGEST: usize = 500;

/// A pronunciation in IPA.
///
/// # Errors
/// What is wrong with it, for a person: it is empty, too long, or has a sign that is not of the notation.
pub fn ipa(pronunciation: &str, notation: Notation) -> Result<String, String> {
    let trimmed = pronunciation.trim().trim_matches('/');
    if trimmed.is_empty() {
        return Err("a pronunciation cannot be empty".to_owned());
    }
    if trimmed.chars().count() > LONGEST {
        return Err(format!("a pronunciation has at most {LONGEST} characters"));
    }
    let ipa = match notation {
        Notation::Ipa => trimmed.to_owned(),
        Notation::XSampa => x_sampa::to_ipa(trimmed)?,
    };
    match ipa.chars().find(|character| !is_ipa(*character)) {
        Some(other) => Err(format!(
            "\"{other}\" of the pronunciation \"{trimmed}\" is not a sign of IPA"
        )),
        None => Ok(ipa),
    }
}

/// Letters, diacritics, stress, length, tone and what parts syllables and words.
fn is_ipa(character: char) -> bool {
    character.is_ascii_lowercase()
        || matches!(
            character,
            ' ' | '.'
                | '-'
                | '\''
                | ':'
                | '|'
                | 'æ'
                | 'ç'
                | 'ð'
                | 'ø'
                | 'ħ'
                | 'ŋ'
                | 'œ'
                | 'β'
                | 'θ'
                | 'χ'
                | 'ε'
        )
        || matches!(u32::from(character),
            0x0250..=0x02AF | 0x02B0..=0x02FF | 0x0300..=0x036F | 0x01C0..=0x01C3 | 0x1D00..=0x1DFF | 0x2016 | 0x203F
            | 0x2191..=0x2193 | 0x2197..=0x2198 | 0x2C71 | 0xA71B..=0xA71C)
        || matches!(character, 'ã' | 'õ' | 'ĩ' | 'ũ' | 'ẽ' | 'ɔ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipa_is_taken_as_it_is() {
        assert_eq!(ipa(" /təˈmɑːtəʊ/ ", Notation::Ipa).as_deref(), Ok("təˈmɑːtəʊ"));
        for wrong in ["", "//", "ab%c", "T", "12"] {
            assert!(ipa(wrong, Notation::Ipa).is_err(), "{wrong}");
        }
        assert!(ipa(&"a".repeat(501), Notation::Ipa).is_err());
    }

    #[test]
    fn x_sampa_is_ipa_in_ascii() {
        for (written, meant) in [
            ("t@\"mA:t@U", "təˈmɑːtəʊ"),
            ("f@%nEtIks", "fəˌnɛtɪks"),
            ("r\\Ed", "ɹɛd"),
            ("bE~", "bɛ̃"),
            ("s_jt_h", "sʲtʰ"),
            ("b3`d", "bɝd"),
        ] {
            assert_eq!(ipa(written, Notation::XSampa).as_deref(), Ok(meant), "{written}");
        }
        assert!(ipa("t€", Notation::XSampa).is_err());
    }
}
