//! The language of a text, as the shortest BCP-47 code.

use whatlang::detect;

use crate::doctype::upto;

/// So much of a text says what language it is in, in bytes.
const ENOUGH: usize = 4_000;

/// Codes of ISO 639-3 that have one of two letters; the others are their own.
const SHORT: [(&str, &str); 62] = [
    ("epo", "eo"),
    ("eng", "en"),
    ("rus", "ru"),
    ("cmn", "zh"),
    ("spa", "es"),
    ("por", "pt"),
    ("ita", "it"),
    ("ben", "bn"),
    ("fra", "fr"),
    ("deu", "de"),
    ("ukr", "uk"),
    ("kat", "ka"),
    ("ara", "ar"),
    ("hin", "hi"),
    ("jpn", "ja"),
    ("heb", "he"),
    ("yid", "yi"),
    ("pol", "pl"),
    ("amh", "am"),
    ("jav", "jv"),
    ("kor", "ko"),
    ("nob", "nb"),
    ("dan", "da"),
    ("swe", "sv"),
    ("fin", "fi"),
    ("tur", "tr"),
    ("nld", "nl"),
    ("hun", "hu"),
    ("ces", "cs"),
    ("ell", "el"),
    ("bul", "bg"),
    ("bel", "be"),
    ("mar", "mr"),
    ("kan", "kn"),
    ("ron", "ro"),
    ("slv", "sl"),
    ("hrv", "hr"),
    ("srp", "sr"),
    ("mkd", "mk"),
    ("lit", "lt"),
    ("lav", "lv"),
    ("est", "et"),
    ("tam", "ta"),
    ("vie", "vi"),
    ("urd", "ur"),
    ("tha", "th"),
    ("guj", "gu"),
    ("uzb", "uz"),
    ("pan", "pa"),
    ("aze", "az"),
    ("ind", "id"),
    ("tel", "te"),
    ("pes", "fa"),
    ("mal", "ml"),
    ("mya", "my"),
    ("nep", "ne"),
    ("afr", "af"),
    ("lat", "la"),
    ("slk", "sk"),
    ("cat", "ca"),
    ("hye", "hy"),
    ("cym", "cy"),
];

/// The language of a text; none where it is not sure.
pub(super) fn of(text: &str) -> Option<&'static str> {
    let found = detect(upto(text, ENOUGH)).filter(whatlang::Info::is_reliable)?;
    let code = found.lang().code();
    Some(
        SHORT
            .iter()
            .find(|(long, _)| *long == code)
            .map_or(code, |(_, short)| short),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_have_their_short_codes() {
        let english =
            "The wing of an aeroplane stalls when the angle at which it meets the air becomes too large.";
        let german =
            "Die Tragfläche eines Flugzeugs verliert ihren Auftrieb, wenn der Anstellwinkel zu groß wird.";
        assert_eq!(of(english), Some("en"));
        assert_eq!(of(german), Some("de"));
        assert_eq!(of("42"), None);
        assert_eq!(of(""), None);
    }
}
