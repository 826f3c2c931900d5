//! Which phone has which id, and sentences in parts of as many ids as the network takes at once.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use polyphony_inference::Error;
use serde::Deserialize;

use super::super::phonemes::{Symbol, is_letter};
use super::voices::ROWS;

/// Ids by phone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Vocabulary {
    ids: HashMap<char, i64>,
}

/// `config.json` has it by itself, `tokenizer.json` within its model.
#[derive(Deserialize)]
struct File {
    vocab: Option<HashMap<String, i64>>,
    model: Option<Tokens>,
}

#[derive(Deserialize)]
struct Tokens {
    vocab: HashMap<String, i64>,
}

/// What stands at both ends.
const PAD: i64 = 0;
/// A file has some two hundred phones.
const LONGEST: u64 = 1 << 20;
const MOST: usize = 4_096;

// === impl Vocabulary ===

impl Vocabulary {
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let open = |error: std::io::Error| Error::Open {
            path: path.to_owned(),
            source: error.into(),
        };
        let mut text = String::new();
        let file = fs::File::open(path).map_err(open)?;
        file.take(LONGEST + 1).read_to_string(&mut text).map_err(open)?;
        if text.len() as u64 > LONGEST {
            return Err(Error::unfit(path, "it is longer than 1 MiB"));
        }
        Self::parse(&text).map_err(|problem| Error::unfit(path, problem))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let vocabulary = file.vocab.or_else(|| file.model.map(|model| model.vocab));
        let vocabulary = vocabulary.ok_or("it has no vocabulary, neither `vocab` nor `model.vocab`")?;
        if vocabulary.len() > MOST || vocabulary.values().any(|id| !(0..MOST as i64).contains(id)) {
            return Err(format!(
                "its vocabulary has more than {MOST} phones, or an id that cannot be"
            ));
        }
        let mut ids = HashMap::new();
        for (phone, id) in vocabulary {
            let mut letters = phone.chars();
            // The pad is no phone, whatever sign it has.
            if let (Some(letter), None) = (letters.next(), letters.next())
                && id != PAD
            {
                ids.insert(letter, id);
            }
        }
        if !ids.contains_key(&'a') || !ids.contains_key(&' ') {
            return Err("its vocabulary is not one of phones".to_owned());
        }
        Ok(Self { ids })
    }

    /// A sentence in parts with ids; phones that have none are left out, for the network was trained without them. A
    /// part that is too long ends with the last sentence, clause or word that fits; none is without something to say.
    pub(super) fn parts(&self, sentence: &[Symbol]) -> Vec<Vec<(Symbol, i64)>> {
        let known = sentence
            .iter()
            .filter_map(|symbol| Some((*symbol, *self.ids.get(&symbol.character)?)));
        let known: Vec<(Symbol, i64)> = known.collect();
        let mut parts = Vec::new();
        let mut rest = known.as_slice();
        while !rest.is_empty() {
            let (part, after) = rest.split_at(end(rest));
            let blank = |(symbol, _): &&(Symbol, i64)| symbol.character == ' ';
            let from = part.iter().take_while(blank).count();
            let to = part.len() - part[from..].iter().rev().take_while(blank).count();
            if part.iter().any(|(symbol, _)| is_letter(symbol.character)) {
                parts.push(part[from..to].to_vec());
            }
            rest = after;
        }
        parts
    }
}

/// Ids with the pads at both ends.
pub(super) fn padded(part: &[(Symbol, i64)]) -> Vec<i64> {
    let pad = std::iter::once(PAD);
    pad.clone()
        .chain(part.iter().map(|(_, id)| *id))
        .chain(pad)
        .collect()
}

/// How much of it is taken at once.
fn end(symbols: &[(Symbol, i64)]) -> usize {
    if symbols.len() <= ROWS {
        return symbols.len();
    }
    let last = |marks: &str| {
        let found = symbols[..ROWS]
            .iter()
            .rposition(|(symbol, _)| marks.contains(symbol.character));
        found.map(|at| at + 1)
    };
    let found = [".!?…", ":;", ",—", " "].into_iter().find_map(last);
    found.unwrap_or(ROWS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary() -> Vocabulary {
        Vocabulary::parse(r#"{"vocab":{"$":0,"a":1,"b":2," ":3,",":4,".":5,"ab":6}}"#).expect("a vocabulary")
    }

    fn symbols(text: &str) -> Vec<Symbol> {
        text.chars().map(Symbol::plain).collect()
    }

    #[test]
    fn it_is_read_from_either_file() {
        let within =
            Vocabulary::parse(r#"{"version":"1.0","model":{"vocab":{"a":1,"b":2," ":3,",":4,".":5}}}"#);
        assert_eq!(within.as_ref(), Ok(&vocabulary()));
        for (wrong, problem) in [
            ("{}", "no vocabulary"),
            (r#"{"vocab":{"a":1}}"#, "phones"),
            (r#"{"vocab":{"a":-1}}"#, "id"),
            ("[", "EOF"),
        ] {
            let error = Vocabulary::parse(wrong).expect_err(wrong);
            assert!(error.contains(problem), "{error}");
        }
    }

    #[test]
    fn phones_without_an_id_are_left_out() {
        let parts = vocabulary().parts(&symbols("a☃b$, ab."));
        assert_eq!(parts.len(), 1);
        assert_eq!(padded(&parts[0]), [0, 1, 2, 4, 3, 1, 2, 5, 0]);
        assert!(vocabulary().parts(&symbols(" ., ")).is_empty());
    }

    #[test]
    fn what_is_too_long_is_cut_where_it_is_heard_least() {
        let lengths =
            |text: &str| -> Vec<usize> { vocabulary().parts(&symbols(text)).iter().map(Vec::len).collect() };
        assert_eq!(lengths(&"a".repeat(510)), [510]);
        assert_eq!(lengths(&"a".repeat(1_200)), [510, 510, 180]);
        let words = "ab ".repeat(300);
        assert!(lengths(&words).iter().all(|length| (1..=510).contains(length)));
        let clause = format!("{}, {}", "ab ".repeat(100), "ab ".repeat(100));
        assert_eq!(lengths(&clause)[0], 301);
    }
}
