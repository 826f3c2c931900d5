//! From text to the words that are indexed and looked for.
//!
//! Words are those of Unicode (UAX #29), cut further at points, commas and the like, in lower case, and stemmed in the
//! language of their document. Single letters with points between them are one word: "e.g." is "eg", "U.S.A." is "usa",
//! and no letter of them is found by itself. Scripts that put no space between words become pairs of neighbouring characters, which
//! need no dictionary.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::LazyLock;

use frostem::{Algorithm, Stemmer};
use tantivy::tokenizer::{Language, RawTokenizer, StopWordFilter, TextAnalyzer, TokenStream};
use unicode_segmentation::UnicodeSegmentation;

use super::english;

/// A word, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    /// As it is indexed, but not stemmed.
    pub(crate) text: String,
    /// Its bytes in the text.
    pub(crate) range: Range<usize>,
    /// Whether it may be stemmed.
    pub(crate) inflected: bool,
}

/// How words of one language are stemmed. Clones are cheap.
#[derive(Clone, Copy)]
pub(crate) struct Stems {
    stemmer: Option<Stemmer>,
    /// A stem begins as its word does, if that is a letter or digit of ASCII.
    keeps_initials: bool,
}

/// Letters and digits of ASCII that a word may begin with, in lower case.
enum Initials {
    All,
    These(u128),
}

/// Longer words are cut: nobody looks for them whole, and the index has a limit.
const LONGEST: usize = 200;

/// The words of a text, in order.
pub(crate) fn words(text: &str) -> Vec<Word> {
    words_with(text, &Initials::All)
}

/// The words of a text, but of those in ASCII only the ones that begin so.
fn words_with(text: &str, initials: &Initials) -> Vec<Word> {
    let mut found = Vec::new();
    if text.is_ascii() {
        ascii(text, 0, initials, &mut found);
        return found;
    }
    let mut run: Vec<(usize, &str)> = Vec::new();
    for (at, word) in text.unicode_word_indices() {
        if word.chars().all(is_unspaced) {
            if run.last().is_some_and(|(last, part)| last + part.len() != at) {
                pairs(&mut run, &mut found);
            }
            run.extend(word.char_indices().map(|(within, c)| {
                let start = at + within;
                (start, &text[start..start + c.len_utf8()])
            }));
            continue;
        }
        pairs(&mut run, &mut found);
        if word.is_ascii() {
            ascii(word, at, initials, &mut found);
        } else {
            for part in parts(word) {
                let start = at + part.start;
                push(&word[part], start, &mut found);
            }
        }
    }
    pairs(&mut run, &mut found);
    found
}

/// The words of a text without other characters: runs of letters and digits, with the apostrophes between them.
fn ascii(text: &str, offset: usize, initials: &Initials, found: &mut Vec<Word>) {
    for part in parts(text).filter(|part| initials.have(text.as_bytes()[part.start])) {
        let start = offset + part.start;
        push(&text[part], start, found);
    }
}

/// Runs of characters that make words, with apostrophes between such, and with points between single letters.
fn parts(text: &str) -> impl Iterator<Item = Range<usize>> {
    let bytes = text.as_bytes();
    // Whatever is not ASCII was found to be of a word already.
    let makes_word = |byte: u8| byte.is_ascii_alphanumeric() || !byte.is_ascii();
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() && !makes_word(bytes[at]) {
            at += 1;
        }
        let start = at;
        while at < bytes.len() {
            let joined = match bytes[at] {
                b'\'' => {
                    at > start
                        && bytes
                            .get(at + 1)
                            .is_some_and(|next| are_alike(bytes[at - 1], *next))
                }
                b'.' => is_letter_before(bytes, start, at) && is_letter_after(bytes, at),
                _ => false,
            };
            if !makes_word(bytes[at]) && !joined {
                break;
            }
            at += 1;
        }
        (start < at).then_some(start..at)
    })
}

/// Whether both are of letters, or both are digits: an apostrophe between them is of one word.
fn are_alike(one: u8, other: u8) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphabetic() || !byte.is_ascii();
    letter(one) && letter(other) || one.is_ascii_digit() && other.is_ascii_digit()
}

/// Whether a letter stands alone before this point, in the word that began at `start`.
fn is_letter_before(bytes: &[u8], start: usize, at: usize) -> bool {
    let alone = at == start + 1 || at.checked_sub(2).is_some_and(|point| bytes[point] == b'.');
    alone && bytes[at - 1].is_ascii_alphabetic()
}

/// Whether a letter stands alone behind this point.
fn is_letter_after(bytes: &[u8], at: usize) -> bool {
    let follows = bytes.get(at + 2).copied();
    let alone = !follows.is_some_and(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii());
    alone && bytes.get(at + 1).is_some_and(u8::is_ascii_alphabetic)
}

fn push(word: &str, start: usize, found: &mut Vec<Word>) {
    let range = start..start + word.len();
    let mut text = word.to_lowercase();
    if text.contains('.') {
        text.retain(|c| c != '.');
    }
    if text.contains('’') {
        text = text.replace('’', "'");
    }
    if text.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|&end| text.is_char_boundary(end));
        text.truncate(end.unwrap_or(0));
    }
    found.push(Word {
        text,
        range,
        inflected: true,
    });
}

/// Each two neighbours of a run; a character alone stands for itself.
fn pairs(run: &mut Vec<(usize, &str)>, found: &mut Vec<Word>) {
    let word = |text: String, start, end| Word {
        text: text.to_lowercase(),
        range: start..end,
        inflected: false,
    };
    if let [(start, alone)] = run[..] {
        found.push(word(alone.to_owned(), start, start + alone.len()));
    }
    for pair in run.windows(2) {
        let [(start, one), (next, other)] = pair else {
            continue;
        };
        found.push(word(format!("{one}{other}"), *start, next + other.len()));
    }
    run.clear();
}

/// Whether the script of a character puts no spaces between words, or inflects by what is written on to them.
fn is_unspaced(c: char) -> bool {
    matches!(u32::from(c),
        0x0E00..=0x0EFF          // Thai, Lao
        | 0x1000..=0x109F        // Myanmar
        | 0x1100..=0x11FF        // Hangul Jamo
        | 0x1780..=0x17FF        // Khmer
        | 0x3005..=0x3007        // ideographic marks
        | 0x3040..=0x30FF        // Hiragana, Katakana
        | 0x3130..=0x318F        // Hangul compatibility Jamo
        | 0x31F0..=0x31FF        // Katakana extensions
        | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF // ideographs
        | 0xAC00..=0xD7AF        // Hangul
        | 0xFF66..=0xFF9F        // half-width Katakana
        | 0x20000..=0x3FFFF) // more ideographs
}

// === impl Stems ===

impl Stems {
    /// The stems of a language (BCP-47); words of others stay as they are.
    pub(crate) fn of(language: &str) -> Self {
        let algorithm = algorithm(primary(language));
        // Of these Snowball takes prefixes too, as "ge" and "l'"; the test below tries the others.
        let keeps_initials = !matches!(
            algorithm,
            Some(
                Algorithm::Arabic
                    | Algorithm::Dutch
                    | Algorithm::French
                    | Algorithm::Italian
                    | Algorithm::Tamil
            )
        );
        Self {
            stemmer: algorithm.map(Stemmer::new),
            keeps_initials,
        }
    }

    /// How words begin that may have one of these stems.
    fn initials<'a>(&self, stems: impl IntoIterator<Item = &'a String>) -> Initials {
        if !self.keeps_initials {
            return Initials::All;
        }
        let first = stems.into_iter().filter_map(|stem| stem.bytes().next());
        Initials::These(
            first
                .filter(u8::is_ascii)
                .fold(0, |these, byte| these | 1 << byte),
        )
    }

    /// The stem of a word.
    pub(crate) fn stem<'a>(&self, word: &'a Word) -> Cow<'a, str> {
        match &self.stemmer {
            Some(stemmer) if word.inflected => stemmer.stem(&word.text),
            _ => Cow::Borrowed(&word.text),
        }
    }
}

// === impl Initials ===

impl Initials {
    fn have(&self, byte: u8) -> bool {
        match self {
            Self::All => true,
            Self::These(these) => !byte.is_ascii() || these >> byte.to_ascii_lowercase() & 1 == 1,
        }
    }
}

impl std::fmt::Debug for Stems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stems").finish_non_exhaustive()
    }
}

/// The first part of a language's name, as "pt" of "pt-BR".
pub(crate) fn primary(language: &str) -> &str {
    language.split(['-', '_']).next().unwrap_or(language)
}

fn algorithm(language: &str) -> Option<Algorithm> {
    Some(match language.to_ascii_lowercase().as_str() {
        "ar" => Algorithm::Arabic,
        "da" => Algorithm::Danish,
        "nl" => Algorithm::Dutch,
        "en" => Algorithm::English,
        "fi" => Algorithm::Finnish,
        "fr" => Algorithm::French,
        "de" => Algorithm::German,
        "el" => Algorithm::Greek,
        "hu" => Algorithm::Hungarian,
        "it" => Algorithm::Italian,
        "no" | "nb" | "nn" => Algorithm::Norwegian,
        "pt" => Algorithm::Portuguese,
        "ro" => Algorithm::Romanian,
        "ru" => Algorithm::Russian,
        "es" => Algorithm::Spanish,
        "sv" => Algorithm::Swedish,
        "ta" => Algorithm::Tamil,
        "tr" => Algorithm::Turkish,
        _ => return None,
    })
}

/// Whether a word says nothing of what a text is about, in this language (Snowball's lists; for English one of its kind).
pub(crate) fn is_stop_word(language: &str, word: &str) -> bool {
    /// Languages that have a list.
    const LISTS: [(&str, Language); 12] = [
        ("da", Language::Danish),
        ("de", Language::German),
        ("es", Language::Spanish),
        ("fi", Language::Finnish),
        ("fr", Language::French),
        ("hu", Language::Hungarian),
        ("it", Language::Italian),
        ("nl", Language::Dutch),
        ("no", Language::Norwegian),
        ("pt", Language::Portuguese),
        ("ru", Language::Russian),
        ("sv", Language::Swedish),
    ];
    type Known = std::sync::Mutex<std::collections::HashMap<(usize, String), bool>>;
    static KNOWN: LazyLock<Known> = LazyLock::new(Known::default);
    /// What is remembered is bounded, for words are what clients send.
    const MOST: usize = 10_000;

    let language = match primary(language) {
        "en" => return english::STOP_WORDS.binary_search(&word).is_ok(),
        "nb" | "nn" => "no",
        other => other,
    };
    let Some(list) = LISTS.iter().position(|(name, _)| *name == language) else {
        return false;
    };
    let mut known = KNOWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(stops) = known.get(&(list, word.to_owned())) {
        return *stops;
    }
    let stops = StopWordFilter::new(LISTS[list].1).is_some_and(|filter| {
        let mut analyzer = TextAnalyzer::builder(RawTokenizer::default())
            .filter(filter)
            .build();
        !analyzer.token_stream(word).advance()
    });
    if known.len() >= MOST {
        known.clear();
    }
    known.insert((list, word.to_owned()), stops);
    stops
}

/// Where words with these stems stand in a text of this language: byte ranges in order, apart from each other.
pub(crate) fn highlights(text: &str, language: &str, stems: &HashSet<String>) -> Vec<Range<usize>> {
    let stemmed = Stems::of(language);
    let mut ranges: Vec<Range<usize>> = Vec::new();
    // Most words need not be stemmed: they begin otherwise.
    for word in words_with(text, &stemmed.initials(stems)) {
        if !stems.contains(&*stemmed.stem(&word)) {
            continue;
        }
        match ranges.last_mut() {
            // Pairs of characters overlap.
            Some(last) if word.range.start <= last.end => last.end = last.end.max(word.range.end),
            _ => ranges.push(word.range),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(text: &str) -> Vec<String> {
        words(text).into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn words_are_lower_case_and_cut_at_marks() {
        assert_eq!(
            texts("The 3.5 mm wing's e.g. state-of-the-art foo_bar, it’s"),
            [
                "the", "3", "5", "mm", "wing's", "eg", "state", "of", "the", "art", "foo", "bar", "it's"
            ]
        );
        assert_eq!(texts("Größe naïve"), ["größe", "naïve"]);
        assert_eq!(
            texts("U.S.A. a.out J.K.Rowling i.e."),
            ["usa", "a", "out", "jk", "rowling", "ie"]
        );
        assert_eq!(texts("  ' '' "), [""; 0]);
    }

    #[test]
    fn scripts_without_spaces_become_pairs() {
        assert_eq!(texts("東京都 に住む"), ["東京", "京都", "に住", "住む"]);
        assert_eq!(texts("猫 abc"), ["猫", "abc"]);
        assert_eq!(texts("검색기"), ["검색", "색기"]);
    }

    #[test]
    fn stems_are_those_of_the_language() {
        let word = |text: &str| words(text).remove(0);
        assert_eq!(Stems::of("en-GB").stem(&word("Connections")), "connect");
        assert_eq!(Stems::of("de").stem(&word("Häuser")), "haus");
        assert_eq!(Stems::of("xx").stem(&word("Connections")), "connections");
        assert!(is_stop_word("en", "the") && !is_stop_word("en", "wing") && !is_stop_word("xx", "the"));
    }

    #[test]
    fn what_is_marked_is_what_was_asked() {
        let stems = HashSet::from(["connect".to_owned()]);
        let text = "Connecting: the connection";
        let found = highlights(text, "en", &stems);
        let marked: Vec<&str> = found.iter().map(|range| &text[range.clone()]).collect();
        assert_eq!(marked, ["Connecting", "connection"]);
        let stems = HashSet::from(["東京".to_owned(), "京都".to_owned()]);
        assert_eq!(highlights("東京都", "ja", &stems), vec![0..9]);
    }

    /// Every language that words are stemmed in.
    const LANGUAGES: [&str; 18] = [
        "ar", "da", "nl", "en", "fi", "fr", "de", "el", "hu", "it", "no", "pt", "ro", "ru", "es", "sv", "ta",
        "tr",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn words_that_are_not_stemmed_would_not_be_marked(
            text in "([a-zA-Z][a-zé']{0,3}(e|s|ing|en|a|ti|ed|ly|ismo|ment)? ?){1,8}",
            language in proptest::sample::select(LANGUAGES.as_slice()),
            asked in 0_usize..8,
        ) {
            let stemmed = Stems::of(language);
            let all = words(&text);
            let asked = &all[asked % all.len()];
            let stems = HashSet::from([stemmed.stem(asked).into_owned()]);
            let slowly: Vec<_> = all.iter().filter(|word| stems.contains(&*stemmed.stem(word))).collect();
            let found = highlights(&text, language, &stems);
            for word in slowly {
                prop_assert!(found.iter().any(|range| range.start <= word.range.start && word.range.end <= range.end));
            }
        }
    }

    proptest! {
        #[test]
        fn words_stand_where_they_say_and_the_short_way_gives_the_same(text in "[ -~äß東京’.\n]{0,60}") {
            for word in words(&text) {
                prop_assert!(text.is_char_boundary(word.range.start) && text.is_char_boundary(word.range.end));
                prop_assert!(!word.text.is_empty());
            }
            // A text that is ASCII has the same words when something else stands far behind it.
            let ascii: String = text.chars().filter(char::is_ascii).collect();
            let long = format!("{ascii} \u{e4}");
            let mut both = words(&long);
            both.pop();
            prop_assert_eq!(words(&ascii), both);
        }
    }
}
