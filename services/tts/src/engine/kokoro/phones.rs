//! Phones as Kokoro was trained on them: those of espeak-ng, written as misaki writes them.
//!
//! Misaki's alphabet has a letter for each diphthong and affricate, and English has two accents. The rules are those that
//! misaki has for what espeak-ng gives it, in its version 0.9, for Kokoro 1.0; but "there" and "here" get the letters that
//! its British dictionary has for them. It means to do that, too, but another of its rules comes first.

use super::super::phonemes::Symbol;

/// Put between the letters of one phone by espeak-ng, so that they are told from two phones.
pub(super) const TIE: char = '^';
/// Under a consonant that is a syllable by itself.
const SYLLABIC: char = '\u{329}';

/// Whose rules hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accent {
    American,
    British,
    /// Of another language than English.
    Other,
}

/// A letter, or letters, and what is written instead.
type Rule = (&'static str, &'static str);

/// Those of English, the longest first.
const ENGLISH: [Rule; 19] = [
    ("ʔˌn\u{329}", "ʔn"),
    ("ʔn\u{329}", "ʔn"),
    ("a^ɪ", "I"),
    ("a^ʊ", "W"),
    ("d^ʒ", "ʤ"),
    ("e^ɪ", "A"),
    ("t^ʃ", "ʧ"),
    ("ɔ^ɪ", "Y"),
    ("ə^l", "ᵊl"),
    ("ʲo", "jo"),
    ("ʲə", "jə"),
    ("e", "A"),
    ("ʲ", ""),
    ("ɚ", "əɹ"),
    ("r", "ɹ"),
    ("x", "k"),
    ("ç", "k"),
    ("ɐ", "ə"),
    ("ɬ", "l"),
];
const BRITISH: [Rule; 4] = [("e^ə", "ɛː"), ("i^ə", "ɪə"), ("iə", "ɪə"), ("ə^ʊ", "Q")];
const AMERICAN: [Rule; 5] = [("o^ʊ", "O"), ("ɜːɹ", "ɜɹ"), ("ɜː", "ɜɹ"), ("ɪə", "iə"), ("ː", "")];
/// What is left in either.
const REST: [Rule; 4] = [("\u{303}", ""), ("o", "ɔ"), ("ɾ", "T"), ("ʔ", "t")];
const OTHER: [Rule; 12] = [
    ("a^ɪ", "I"),
    ("a^ʊ", "W"),
    ("d^z", "ʣ"),
    ("d^ʒ", "ʤ"),
    ("e^ɪ", "A"),
    ("o^ʊ", "O"),
    ("s^s", "S"),
    ("t^s", "ʦ"),
    ("t^ʃ", "ʧ"),
    ("ɔ^ɪ", "Y"),
    ("ə^ʊ", "Q"),
    ("-", ""),
];

// === impl Accent ===

impl Accent {
    /// That of a language, as BCP-47.
    pub(super) fn of(language: &str) -> Self {
        match language {
            "en-US" => Self::American,
            "en-GB" => Self::British,
            _ => Self::Other,
        }
    }
}

/// A sentence of espeak-ng, its phones tied, as Kokoro knows it.
pub(super) fn written(sentence: &[Symbol], accent: Accent) -> Vec<Symbol> {
    let mut line = sentence.to_vec();
    if accent == Accent::Other {
        apply(&mut line, &OTHER);
    } else {
        if accent == Accent::British {
            apply(&mut line, &BRITISH);
        }
        apply(&mut line, &ENGLISH);
        raise(&mut line);
        if accent == Accent::American {
            apply(&mut line, &AMERICAN);
        }
        apply(&mut line, &REST);
    }
    line.retain(|symbol| symbol.character != TIE);
    line
}

/// Each rule everywhere, one after the other. What is written instead belongs to the phone that was there.
fn apply(line: &mut Vec<Symbol>, rules: &[Rule]) {
    for (old, new) in rules {
        let length = old.chars().count();
        let mut at = 0;
        while at + length <= line.len() {
            let found = line[at..at + length].iter().map(|symbol| symbol.character);
            if found.eq(old.chars()) {
                let phone = line[at].phone;
                let written = new.chars().map(|character| Symbol { character, phone });
                line.splice(at..at + length, written);
                at += new.chars().count();
            } else {
                at += 1;
            }
        }
    }
}

/// A syllabic consonant gets a short vowel before it instead of its mark.
fn raise(line: &mut Vec<Symbol>) {
    let mut raised: Vec<Symbol> = Vec::with_capacity(line.len());
    for symbol in line.drain(..) {
        match raised.pop() {
            Some(last) if symbol.character == SYLLABIC && !last.character.is_whitespace() => {
                let vowel = Symbol {
                    character: 'ᵊ',
                    phone: last.phone,
                };
                raised.extend([vowel, last]);
            }
            last => {
                raised.extend(last);
                raised.extend((symbol.character != SYLLABIC).then_some(symbol));
            }
        }
    }
    *line = raised;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(ipa: &str, accent: Accent) -> String {
        let line: Vec<Symbol> = ipa.chars().map(Symbol::plain).collect();
        written(&line, accent)
            .iter()
            .map(|symbol| symbol.character)
            .collect()
    }

    #[test]
    fn diphthongs_and_affricates_are_one_letter() {
        for (ipa, accent, wanted) in [
            ("ɡˈo^ʊ d^ʒˈɔ^ɪ", Accent::American, "ɡˈO ʤˈY"),
            ("ɡˈə^ʊ hˈe^ə", Accent::British, "ɡˈQ hˈɛː"),
            ("bˈɜːd", Accent::American, "bˈɜɹd"),
            ("bˈɜːd", Accent::British, "bˈɜːd"),
            ("lˈɪɾə^l", Accent::American, "lˈɪTᵊl"),
            ("bˈʌʔn\u{329}", Accent::American, "bˈʌtn"),
            ("bˈɒtl\u{329}", Accent::British, "bˈɒtᵊl"),
            ("ˈa^ʊt^so", Accent::Other, "ˈWʦo"),
        ] {
            assert_eq!(rewritten(ipa, accent), wanted, "{ipa}");
        }
    }

    #[test]
    fn letters_that_are_written_instead_belong_to_the_same_phone() {
        let line: Vec<Symbol> = "tɚa^ɪ"
            .chars()
            .zip([0, 1, 2, 2, 2])
            .map(|(character, phone)| Symbol {
                character,
                phone: Some(phone),
            })
            .collect();
        let written: Vec<_> = written(&line, Accent::American)
            .iter()
            .map(|symbol| (symbol.character, symbol.phone))
            .collect();
        let wanted = [('t', 0), ('ə', 1), ('ɹ', 1), ('I', 2)];
        assert_eq!(written, wanted.map(|(character, phone)| (character, Some(phone))));
    }
}
