//! Pronunciations: IPA in the letters that the library takes between `[[` and `]]`.
//!
//! Its letters mean other sounds in other languages, so for each voice the library itself is asked what each of the
//! letters in its data sounds like; a pronunciation is then spelt with the longest sounds that fit.

use std::collections::{BTreeSet, HashMap};
use std::ffi::CString;
use std::fs;
use std::path::Path;

use crate::ffi::Library;
use crate::{Error, Voice};

/// The alphabets of the voices that were asked for. Each takes a few milliseconds to make.
#[derive(Debug, Default)]
pub(crate) struct Alphabets {
    /// The letters of all languages; empty until they are needed.
    letters: Vec<String>,
    by_voice: HashMap<String, Alphabet>,
}

/// The sounds of a voice.
#[derive(Debug)]
pub(crate) struct Alphabet {
    /// IPA and the letters for it, the longest IPA first.
    sounds: Vec<(String, String)>,
}

/// Letters for what is no sound.
const STRESS: [(&str, &str); 6] = [
    ("ˈ", "'"),
    ("'", "'"),
    ("ˌ", ","),
    (".", ""),
    (" ", " "),
    ("‿", ""),
];
/// What is written in several ways.
const SAME: [(&str, &str); 8] = [
    ("g", "ɡ"),
    ("t͡ʃ", "tʃ"),
    ("d͡ʒ", "dʒ"),
    ("t͡s", "ts"),
    ("d͡z", "dz"),
    ("ʧ", "tʃ"),
    ("ʤ", "dʒ"),
    (":", "ː"),
];
/// Nearest sounds, for those that a language of the library may not have by itself.
const NEAR: [(&str, &str); 10] = [
    ("r", "ɹ"),
    ("ɹ", "r"),
    ("ɝ", "ɜː"),
    ("ɚ", "ə"),
    ("ɾ", "t"),
    ("ʌ", "ɐ"),
    ("ɐ", "ʌ"),
    ("ɫ", "l"),
    ("ː", ""),
    ("o", "ɔ"),
];
/// The most letters of the data that are tried.
const MOST: usize = 2000;

// === impl Alphabets ===

impl Alphabets {
    /// The alphabet of a voice, made when it is first asked for.
    pub(crate) fn of(&mut self, library: &Library, data: &Path, voice: &Voice) -> Result<&Alphabet, Error> {
        let name = voice.identifier.split('+').next().unwrap_or_default().to_owned();
        if !self.by_voice.contains_key(&name) {
            if self.letters.is_empty() {
                self.letters = letters(&data.join("espeak-ng-data/phontab"))?;
            }
            let alphabet = Alphabet::ask(library, &name, &self.letters)?;
            self.by_voice.insert(name.clone(), alphabet);
        }
        self.by_voice.get(&name).ok_or(Error::Voice(name))
    }
}

// === impl Alphabet ===

impl Alphabet {
    fn ask(library: &Library, voice: &str, letters: &[String]) -> Result<Self, Error> {
        library.set_voice(voice)?;
        // The library takes phones in brackets once it has been asked to speak a text with them.
        library.synthesize(c" ", true, &|| false)?;
        let sound = |letters: &str| {
            let text = CString::new(format!("[[{letters}]]")).unwrap_or_default();
            library
                .phonemes(&text, None)
                .map(|(ipa, _, _)| ipa.trim().to_owned())
        };
        // At the end of a word some vowels become others, so each letter is asked for before another.
        let tail = sound("t")?;
        let mut sounds: Vec<(String, String)> = Vec::new();
        for letter in letters {
            let followed = sound(&format!("{letter}|t"))?;
            let Some(ipa) = followed.strip_suffix(&tail) else {
                continue;
            };
            // What it does not know it gives back as it is, or as a change of language.
            if ipa.is_empty() || ipa.contains(['(', ' ']) || ipa.is_ascii() && ipa == letter && ipa.len() > 1
            {
                continue;
            }
            match sounds.iter_mut().find(|(known, _)| known == ipa) {
                // Of letters for the same sound the shortest is the plainest.
                Some((_, known)) if letter.len() < known.len() => known.clone_from(letter),
                Some(_) => {}
                None => sounds.push((ipa.to_owned(), letter.clone())),
            }
        }
        // And takes none from other callers.
        library.synthesize(c" ", false, &|| false)?;
        sounds.sort_by_key(|(ipa, _)| std::cmp::Reverse(ipa.len()));
        Ok(Self { sounds })
    }

    /// A pronunciation in letters; the first symbol that has none, if there is one.
    pub(crate) fn spell(&self, ipa: &str) -> Result<String, String> {
        let mut ipa = ipa.trim().trim_matches('/').to_owned();
        for (from, to) in SAME {
            ipa = ipa.replace(from, to);
        }
        let mut spelt = String::new();
        let mut rest = ipa.as_str();
        while let Some(first) = rest.chars().next() {
            if let Some((symbol, letters)) = STRESS.iter().find(|(symbol, _)| rest.starts_with(symbol)) {
                spelt.push_str(letters);
                rest = &rest[symbol.len()..];
                continue;
            }
            let Some((taken, letters)) = self.longest(rest) else {
                return Err(first.to_string());
            };
            // A bar keeps letters apart that would be one together.
            if !spelt.is_empty() && !spelt.ends_with(['\'', ',', ' ']) {
                spelt.push('|');
            }
            spelt.push_str(letters);
            rest = &rest[taken..];
        }
        Ok(spelt)
    }

    fn longest(&self, rest: &str) -> Option<(usize, &str)> {
        let own = |rest: &str| {
            let mut sounds = self.sounds.iter();
            sounds.find(|(ipa, _)| rest.starts_with(ipa.as_str()))
        };
        if let Some((ipa, letters)) = own(rest) {
            return Some((ipa.len(), letters));
        }
        let near = NEAR.iter().filter(|(from, _)| rest.starts_with(from));
        near.filter_map(|(from, to)| match own(to) {
            Some((ipa, letters)) if ipa == to => Some((from.len(), letters.as_str())),
            _ if to.is_empty() => Some((from.len(), "")),
            _ => None,
        })
        .next()
    }
}

/// The letters of all languages: the names of the phones in the library's own table. It is a list of tables: a count of
/// phones, 3 bytes, a name of 32 bytes, and for each phone 16 bytes, of which the first 4 are its name.
fn letters(phontab: &Path) -> Result<Vec<String>, Error> {
    let wrong = |problem| Error::Data {
        path: phontab.to_owned(),
        problem,
    };
    let bytes = fs::read(phontab).map_err(|_| wrong("it cannot be read"))?;
    let cut = || wrong("it is cut short");
    let mut letters = BTreeSet::new();
    let tables = *bytes.first().ok_or_else(cut)?;
    let mut at = 4;
    for _ in 0..tables {
        let phones = usize::from(*bytes.get(at).ok_or_else(cut)?);
        let list = bytes.get(at + 36..at + 36 + phones * 16).ok_or_else(cut)?;
        at += 36 + phones * 16;
        for phone in list.chunks_exact(16) {
            let name: Vec<u8> = phone[..4].iter().copied().take_while(|&byte| byte != 0).collect();
            if let Some(name) = String::from_utf8(name).ok().filter(|name| is_sound(name)) {
                letters.insert(name);
            }
        }
    }
    if letters.len() > MOST {
        return Err(wrong("it has more phones than a table of espeak-ng"));
    }
    Ok(letters.into_iter().collect())
}

/// Not a pause, a mark of stress or a rule's own sign.
fn is_sound(name: &str) -> bool {
    let odd = |byte: u8| {
        !byte.is_ascii_graphic() || matches!(byte, b'_' | b'%' | b',' | b'\'' | b'=' | b'|' | b'#')
    };
    !name.is_empty()
        && !name.bytes().any(odd)
        && name
            .bytes()
            .any(|byte| byte.is_ascii_alphanumeric() || b"@?&".contains(&byte))
}
