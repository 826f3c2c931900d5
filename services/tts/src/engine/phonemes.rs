//! A script as phones, sentence by sentence, for models that speak phones; each phone with the word it belongs to.
//!
//! espeak-ng tells the phones of a clause without saying which word they come from. When that is wanted, it speaks the
//! text as well, which tells both, and the two are laid side by side: they are nearly the same.

use std::ops::Range;

use polyphony_espeak as espeak;
use polyphony_espeak::Espeak;

use crate::domain::{Cancel, Saying, Script};
use crate::error::Error;

/// A script as phones.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Spoken {
    /// In order; none is empty.
    pub(super) sentences: Vec<Vec<Symbol>>,
    /// The words of the script, in bytes of it; empty if nobody wanted them.
    pub(super) words: Vec<Range<usize>>,
    /// The phones, and to which word each belongs; empty if nobody wanted them.
    pub(super) phones: Vec<(String, Option<usize>)>,
}

/// A character of a sentence in phones: of a phone, a space or punctuation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Symbol {
    pub(super) character: char,
    /// To which phone it belongs.
    pub(super) phone: Option<usize>,
}

/// How phones are wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) voice: &'a espeak::Voice,
    /// Between the letters of a phone that has several.
    pub(super) tie: Option<char>,
    /// Whether words and phones are wanted.
    pub(super) times: bool,
}

/// Phones of a script. The punctuation that ends clauses stays among them, with a space behind what ends no sentence.
pub(super) fn of(
    espeak: &Espeak,
    script: &Script,
    wanted: Wanted<'_>,
    cancel: &Cancel,
) -> Result<Spoken, Error> {
    let mut spoken = Spoken::default();
    let mut open: Vec<Symbol> = Vec::new();
    let runs = runs(script);
    let count = runs.len();
    for (number, (range, ipa)) in runs.into_iter().enumerate() {
        let text = &script.text()[range.clone()];
        if text.starts_with(char::is_whitespace) && !open.is_empty() && !ends_blank(&open) {
            open.push(Symbol::plain(' '));
        }
        match ipa {
            Some(ipa) => {
                let ipa = tied(ipa, wanted.tie);
                given(&mut spoken, &mut open, script, range, &ipa, wanted.times);
            }
            None => {
                let run = read(espeak, text, wanted, cancel)?;
                // A sentence goes on over what is said in given phones, unless it is over by itself.
                let over = number + 1 == count || ends_by_itself(text);
                adopt(&mut spoken, &mut open, range.start, run, over);
            }
        }
        if text.ends_with(char::is_whitespace) && !open.is_empty() && !ends_blank(&open) {
            open.push(Symbol::plain(' '));
        }
    }
    end_sentence(&mut spoken, &mut open);
    Ok(spoken)
}

/// Stretches of a script that are read, and those that are said in given phones.
fn runs(script: &Script) -> Vec<(Range<usize>, Option<&str>)> {
    let mut runs: Vec<(Range<usize>, Option<&str>)> = Vec::new();
    for span in script.spans() {
        let ipa = match &span.saying {
            Saying::Phones(ipa) => Some(ipa.as_str()),
            Saying::Same | Saying::Instead => None,
        };
        match runs.last_mut() {
            Some((range, None)) if ipa.is_none() => range.end = span.range.end,
            _ => runs.push((span.range.clone(), ipa)),
        }
    }
    runs
}

/// Whether a text ends with the punctuation of a sentence.
fn ends_by_itself(text: &str) -> bool {
    let mark = |character: char| matches!(character, '.' | '!' | '?' | '。' | '！' | '？' | '।' | '؟' | '۔');
    text.trim_end().ends_with(mark)
}

/// What was read of a run.
struct Run {
    clauses: Vec<espeak::PhoneClause>,
    speech: Option<espeak::Speech>,
}

fn read(espeak: &Espeak, text: &str, wanted: Wanted<'_>, cancel: &Cancel) -> Result<Run, Error> {
    let failed = |error| match error {
        espeak::Error::Cancelled => Error::Cancelled,
        error => Error::engine("espeak", error),
    };
    let clauses = espeak.phonemes(wanted.voice, text, wanted.tie).map_err(failed)?;
    let speech = if wanted.times {
        let script = espeak::Script::plain(text);
        let settings = espeak::Settings::default();
        let cancelled = || cancel.is_cancelled();
        Some(
            espeak
                .render(wanted.voice, script, settings, &cancelled)
                .map_err(failed)?,
        )
    } else {
        None
    };
    Ok(Run { clauses, speech })
}

/// Takes a run that begins at `start` over into what is spoken. Its end ends a sentence if it is `over`.
fn adopt(spoken: &mut Spoken, open: &mut Vec<Symbol>, start: usize, run: Run, over: bool) {
    let (words, phones) = (spoken.words.len(), spoken.phones.len());
    let mut sounds: Vec<(char, usize)> = Vec::new();
    if let Some(speech) = &run.speech {
        let ranges = speech
            .words
            .iter()
            .map(|word| word.range.start + start..word.range.end + start);
        spoken.words.extend(ranges);
        for phone in &speech.phones {
            sounds.extend(
                phone
                    .symbol
                    .chars()
                    .map(|character| (character, spoken.phones.len())),
            );
            spoken
                .phones
                .push((phone.symbol.clone(), phone.word.map(|word| word + words)));
        }
    }
    let mut symbols: Vec<(Vec<Symbol>, bool)> = Vec::new();
    for clause in &run.clauses {
        let ipa = without_flags(&clause.ipa);
        let mut line: Vec<Symbol> = ipa.chars().map(Symbol::plain).collect();
        if let Some(mark) = clause.terminator {
            line.push(Symbol::plain(mark));
            if !clause.ends_sentence {
                line.push(Symbol::plain(' '));
            }
        }
        symbols.push((line, clause.ends_sentence));
    }
    if spoken.phones.len() > phones {
        let letters = symbols.iter_mut().flat_map(|(line, _)| line.iter_mut());
        lay(
            letters.filter(|symbol| is_letter(symbol.character)).collect(),
            &sounds,
        );
    }
    let last = symbols.len();
    for (at, (line, ends)) in symbols.into_iter().enumerate() {
        open.extend(line);
        if ends && (over || at + 1 < last) {
            end_sentence(spoken, open);
        }
    }
}

/// Given phones whose letters are tied as those of espeak-ng are: people write diphthongs and affricates without.
fn tied(ipa: &str, tie: Option<char>) -> String {
    const PAIRS: [&str; 11] = ["aɪ", "aʊ", "eɪ", "eə", "oʊ", "ɔɪ", "əʊ", "dz", "dʒ", "ts", "tʃ"];
    let Some(tie) = tie else {
        return ipa.to_owned();
    };
    let mut tied = ipa.replace(['\u{361}', '\u{35C}'], &tie.to_string());
    for pair in PAIRS {
        let mut letters = pair.chars();
        if let (Some(first), Some(second)) = (letters.next(), letters.next()) {
            tied = tied.replace(pair, &format!("{first}{tie}{second}"));
        }
    }
    tied
}

/// Phones that were given for a word or several.
fn given(
    spoken: &mut Spoken,
    open: &mut Vec<Symbol>,
    script: &Script,
    range: Range<usize>,
    ipa: &str,
    times: bool,
) {
    let ipa = ipa.trim();
    if !times {
        open.extend(ipa.chars().map(Symbol::plain));
        return;
    }
    let text = &script.text()[range.clone()];
    let blank = text.len() - text.trim_start().len();
    spoken
        .words
        .push(range.start + blank..range.start + blank + text.trim().len());
    let word = spoken.words.len() - 1;
    let mut last = ' ';
    for character in ipa.chars() {
        if !is_letter(character) {
            open.push(Symbol::plain(character));
        } else {
            // A mark of stress begins a phone, a letter does unless stress came before it; what modifies goes along.
            let begins = is_stress(character) || !is_modifier(character) && !is_stress(last);
            if begins || spoken.phones.last().is_none_or(|(_, of)| *of != Some(word)) {
                spoken.phones.push((String::new(), Some(word)));
            }
            if let Some((symbol, _)) = spoken.phones.last_mut() {
                symbol.push(character);
            }
            let phone = spoken.phones.len() - 1;
            open.push(Symbol {
                character,
                phone: Some(phone),
            });
        }
        last = character;
    }
}

/// Ends a sentence, if it has something to say.
fn end_sentence(spoken: &mut Spoken, open: &mut Vec<Symbol>) {
    let sentence = std::mem::take(open);
    if sentence.iter().any(|symbol| is_letter(symbol.character)) {
        spoken.sentences.push(sentence);
    } else if let Some(last) = spoken.sentences.last_mut() {
        // Punctuation by itself belongs to what was said before.
        last.extend(sentence.into_iter().filter(|symbol| symbol.character != ' '));
    }
}

/// Words of another language stand between "(en)" and "(de)".
fn without_flags(ipa: &str) -> String {
    let mut plain = String::with_capacity(ipa.len());
    let mut rest = ipa;
    while let Some((before, after)) = rest.split_once('(') {
        plain.push_str(before);
        match after.split_once(')') {
            Some((flag, after)) if !flag.is_empty() => rest = after,
            _ => {
                plain.push('(');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    plain
}

/// Lays symbols beside the sounds of speech so that most of them are the same, in order; each symbol then belongs to the
/// phone of its sound, and one that has none to that of the symbol before it.
fn lay(mut symbols: Vec<&mut Symbol>, sounds: &[(char, usize)]) {
    let (rows, columns) = (symbols.len(), sounds.len());
    if columns == 0 {
        return;
    }
    // The most that can be the same of what follows each place.
    let mut most = vec![0_u16; (rows + 1) * (columns + 1)];
    let at = |row: usize, column: usize| row * (columns + 1) + column;
    for row in (0..rows).rev() {
        for column in (0..columns).rev() {
            most[at(row, column)] = if symbols[row].character == sounds[column].0 {
                most[at(row + 1, column + 1)] + 1
            } else {
                most[at(row + 1, column)].max(most[at(row, column + 1)])
            };
        }
    }
    let (mut row, mut column) = (0, 0);
    let mut phone = None;
    let mut before: Vec<usize> = Vec::new();
    while row < rows {
        let same = column < columns && symbols[row].character == sounds[column].0;
        if same {
            phone = Some(sounds[column].1);
            symbols[row].phone = phone;
            // What came before all sounds belongs to the first.
            for earlier in before.drain(..) {
                symbols[earlier].phone = phone;
            }
            (row, column) = (row + 1, column + 1);
        } else if column < columns && most[at(row, column + 1)] >= most[at(row + 1, column)] {
            column += 1;
        } else {
            symbols[row].phone = phone;
            if phone.is_none() {
                before.push(row);
            }
            row += 1;
        }
    }
}

fn ends_blank(open: &[Symbol]) -> bool {
    open.last().is_some_and(|symbol| symbol.character == ' ')
}

/// Of a phone, not between phones.
pub(super) fn is_letter(character: char) -> bool {
    !character.is_whitespace() && !is_mark(character)
}

/// Punctuation that is left among phones.
pub(super) fn is_mark(character: char) -> bool {
    matches!(
        character,
        '.' | ','
            | ':'
            | ';'
            | '?'
            | '!'
            | '"'
            | '('
            | ')'
            | '“'
            | '”'
            | '«'
            | '»'
            | '—'
            | '–'
            | '…'
            | '¡'
            | '¿'
    )
}

fn is_stress(character: char) -> bool {
    matches!(character, 'ˈ' | 'ˌ')
}

/// What goes with the letter before it.
fn is_modifier(character: char) -> bool {
    matches!(u32::from(character), 0x02B0..=0x02C7 | 0x02CD..=0x02FF | 0x0300..=0x036F | 0x1D2C..=0x1D6A | 0x207F)
}

// === impl Symbol ===

impl Symbol {
    pub(super) const fn plain(character: char) -> Self {
        Self {
            character,
            phone: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_other_languages_are_left_out() {
        assert_eq!(without_flags("dɛɾ (en)sˈɒft(de) a"), "dɛɾ sˈɒft a");
        assert_eq!(without_flags("a (b"), "a (b");
        assert_eq!(without_flags("()"), "()");
    }

    #[test]
    fn symbols_belong_to_the_phones_that_are_like_them() {
        let sounds = [
            ('h', 0),
            ('ə', 1),
            ('l', 2),
            ('ˈ', 3),
            ('o', 3),
            ('ʊ', 3),
            ('t', 4),
        ];
        let mut symbols: Vec<Symbol> = "xhəlˈoʊɾ".chars().map(Symbol::plain).collect();
        lay(symbols.iter_mut().collect(), &sounds);
        let phones: Vec<_> = symbols
            .iter()
            .map(|symbol| symbol.phone.expect("a phone"))
            .collect();
        assert_eq!(phones, [0, 0, 1, 2, 3, 3, 3, 3]);
    }

    #[test]
    fn given_phones_are_tied_as_those_that_are_read() {
        assert_eq!(tied("t͡ʃaɪdʒ", Some('^')), "t^ʃa^ɪd^ʒ");
        assert_eq!(tied("t͡ʃaɪ", None), "t͡ʃaɪ");
    }

    #[test]
    fn given_phones_are_told_apart() {
        let mut script = Script::default();
        script.push_phones(" tomato ", 0..6, "təˈmɑːtʰoʊ");
        let (mut spoken, mut open) = (Spoken::default(), Vec::new());
        given(&mut spoken, &mut open, &script, 0..8, "təˈmɑːtʰoʊ", true);
        let phones: Vec<_> = spoken.phones.iter().map(|(symbol, _)| symbol.as_str()).collect();
        assert_eq!(phones, ["t", "ə", "ˈm", "ɑː", "tʰ", "o", "ʊ"]);
        assert_eq!(spoken.words, vec![1..7]);
        assert_eq!(open.len(), 10);
    }
}
