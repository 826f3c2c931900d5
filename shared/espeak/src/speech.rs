//! Speech with the times of its words and phones: what is made of the library's events.
//!
//! The library tells words by characters that may be one off, tells a number as several words, and several short words
//! as one. What is wanted are the words of the text, each with its time, so events are put to the words of the text
//! here. No function of the library is called.

use std::ops::Range;

use crate::ffi::{Event, EventKind, Rendered, SAMPLE_RATE};
use crate::text::Part;

/// Speech of a stretch of text. Times are samples at [`Speech::SAMPLE_RATE`] from its own beginning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Speech {
    /// The audio, mono.
    pub samples: Vec<i16>,
    /// Which bytes of the text are spoken in it.
    pub text: Range<usize>,
    /// The words of the text that are heard, in order, without overlap.
    pub words: Vec<Word>,
    /// The phones, in order, without overlap. Between them are pauses.
    pub phones: Vec<Phone>,
}

/// A word of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Where it stands, in bytes of the text, without the punctuation around it.
    pub range: Range<usize>,
    /// When it is heard, in samples.
    pub time: Range<usize>,
    /// Whether `time` is a share of what is said as one with a neighbour ("of the"), by its letters.
    pub shared: bool,
}

/// A phone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phone {
    /// In IPA, with the mark of stress before it.
    pub symbol: String,
    /// When it is heard, in samples.
    pub time: Range<usize>,
    /// To which of the words it belongs; none before the first.
    pub word: Option<usize>,
}

// === impl Speech ===

impl Speech {
    /// Samples a second.
    pub const SAMPLE_RATE: u32 = SAMPLE_RATE;

    /// What the library made of a part.
    pub(crate) fn of(text: &str, part: &Part, rendered: Rendered) -> Self {
        let Rendered { samples, events } = rendered;
        let marks: Vec<Mark> = events
            .iter()
            .filter_map(|event| Mark::of(event, text, part))
            .collect();
        let sounds = sounds(&events, samples.len());
        let words = words(text, part, &marks, &sounds);
        let phones = sounds
            .into_iter()
            .map(|(symbol, time)| Phone {
                word: words.iter().rposition(|word| word.time.start <= time.start),
                symbol,
                time,
            })
            .collect();
        Self {
            samples,
            text: part.range.clone(),
            words,
            phones,
        }
    }

    /// Appends what is spoken after this.
    pub fn append(&mut self, next: Self) {
        let (shift, first) = (self.samples.len(), self.words.len());
        let moved = |time: Range<usize>| time.start + shift..time.end + shift;
        self.samples.extend(next.samples);
        self.text.end = next.text.end;
        self.words.extend(next.words.into_iter().map(|word| Word {
            time: moved(word.time),
            ..word
        }));
        self.phones.extend(next.phones.into_iter().map(|phone| Phone {
            time: moved(phone.time),
            word: phone.word.map(|word| word + first),
            ..phone
        }));
    }
}

/// The library says that a word begins.
#[derive(Debug, Clone, Copy)]
struct Mark {
    /// In bytes of the text.
    at: usize,
    sample: usize,
}

impl Mark {
    fn of(event: &Event, text: &str, part: &Part) -> Option<Self> {
        if event.kind != EventKind::Word {
            return None;
        }
        let at = part.origin(event.character);
        // A word that seems to begin with a space begins behind it.
        let rest = &text[at..part.range.end];
        let blank = rest.len() - rest.trim_start().len();
        Some(Self {
            at: at + blank,
            sample: event.sample,
        })
    }
}

/// The phones with their times: each lasts until the next, a pause or the end of the clause.
fn sounds(events: &[Event], end: usize) -> Vec<(String, Range<usize>)> {
    let mut sounds: Vec<(String, Range<usize>)> = Vec::new();
    let mut open = false;
    for event in events {
        if event.kind == EventKind::Word {
            continue;
        }
        let sample = event.sample.min(end);
        if let Some(last) = sounds.last_mut().filter(|_| open) {
            last.1.end = sample.max(last.1.start);
        }
        open = match &event.kind {
            EventKind::Phone(symbol) if !symbol.is_empty() => {
                sounds.push((symbol.clone(), sample..end));
                true
            }
            _ => false,
        };
    }
    sounds
}

fn words(text: &str, part: &Part, marks: &[Mark], sounds: &[(String, Range<usize>)]) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    // Tokens that were said as one with the word before them.
    let mut silent: Vec<Range<usize>> = Vec::new();
    let mut marks = marks.iter().peekable();
    let close = |words: &mut Vec<Word>, silent: &mut Vec<Range<usize>>, next: usize| {
        if let Some(last) = words.last_mut() {
            last.time.end = end_of_sound(sounds, last.time.start, next);
            share(words, std::mem::take(silent), text);
        }
    };
    for token in tokens(text, part, &marks.clone().copied().collect::<Vec<_>>()) {
        let mut begins = None;
        while let Some(mark) = marks.next_if(|mark| mark.at < token.end) {
            begins.get_or_insert(mark.sample);
        }
        let Some(range) = trimmed(text, token) else {
            continue;
        };
        match begins {
            Some(start) => {
                close(&mut words, &mut silent, start);
                words.push(Word {
                    range,
                    time: start..start,
                    shared: false,
                });
            }
            None if is_said(&text[range.clone()]) => silent.push(range),
            None => {}
        }
    }
    close(&mut words, &mut silent, usize::MAX);
    words
}

/// Where the sound that begins at `start` ends, at `next` at the latest.
fn end_of_sound(sounds: &[(String, Range<usize>)], start: usize, next: usize) -> usize {
    let own = sounds
        .iter()
        .filter(|(_, time)| time.start >= start && time.start < next);
    own.map(|(_, time)| time.end.min(next)).max().unwrap_or(start)
}

/// Gives words that were said as one with the last a share of its time, by their letters.
fn share(words: &mut Vec<Word>, others: Vec<Range<usize>>, text: &str) {
    let Some(first) = words.last_mut().filter(|_| !others.is_empty()) else {
        return;
    };
    let letters = |range: &Range<usize>| text[range.clone()].chars().count();
    let (begin, length) = (first.time.start, first.time.len());
    let all: usize = letters(&first.range) + others.iter().map(letters).sum::<usize>();
    let mut passed = letters(&first.range);
    let mut at = begin + length * passed / all.max(1);
    first.time.end = at;
    first.shared = true;
    for range in others {
        passed += letters(&range);
        let end = begin + length * passed / all.max(1);
        words.push(Word {
            range,
            time: at..end,
            shared: true,
        });
        at = end;
    }
}

/// What stands between spaces; in scripts that put none between words, what stands between the marks.
fn tokens(text: &str, part: &Part, marks: &[Mark]) -> Vec<Range<usize>> {
    let mut tokens = Vec::new();
    let mut begin: Option<usize> = None;
    let mut before = ' ';
    for (at, character) in text[part.range.clone()].char_indices() {
        let at = part.range.start + at;
        let unspaced = is_unspaced(character) || is_unspaced(before);
        let parted = unspaced && marks.iter().any(|mark| mark.at == at);
        if character.is_whitespace() || parted {
            tokens.extend(begin.take().map(|begin| begin..at));
        }
        if !character.is_whitespace() {
            begin.get_or_insert(at);
        }
        before = character;
    }
    tokens.extend(begin.map(|begin| begin..part.range.end));
    tokens
}

/// A token without the punctuation around it; with it, if it is nothing else but has a name ("€"); none for what is
/// never said.
fn trimmed(text: &str, token: Range<usize>) -> Option<Range<usize>> {
    let whole = &text[token.clone()];
    let inner = whole.trim_matches(|character: char| !character.is_alphanumeric() && !is_symbol(character));
    if inner.is_empty() {
        return None;
    }
    let start = token.start + (inner.as_ptr() as usize - whole.as_ptr() as usize);
    Some(start..start + inner.len())
}

/// Whether the word cannot have been left out.
fn is_said(word: &str) -> bool {
    word.chars().any(char::is_alphanumeric)
}

/// Characters that are said by their name.
fn is_symbol(character: char) -> bool {
    matches!(
        character,
        '%' | '&' | '+' | '=' | '@' | '#' | '<' | '>' | '$' | '£' | '¥' | '€' | '¢' | '§' | '©' | '®'
    ) || matches!(u32::from(character), 0x20A0..=0x20CF | 0x2100..=0x2BFF | 0x1_F000..=0x1_FAFF)
        || matches!(u32::from(character), 0x300..=0x36F | 0x900..=0xDFF | 0x200C..=0x200D | 0xFE0F)
}

/// Scripts that put no spaces between words: Thai to Burmese, Khmer, kana, Han and what stands among them.
fn is_unspaced(character: char) -> bool {
    matches!(u32::from(character),
        0x0E00..=0x0EFF | 0x0F00..=0x0FFF | 0x1000..=0x109F | 0x1780..=0x17FF
        | 0x3000..=0x30FF | 0x31F0..=0x31FF | 0x3400..=0x9FFF | 0xF900..=0xFAFF | 0xFF00..=0xFFEF | 0x2_0000..=0x3_FFFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: EventKind, character: usize, sample: usize) -> Event {
        Event {
            kind,
            character,
            sample,
        }
    }

    fn phone(symbol: &str, sample: usize) -> Event {
        event(EventKind::Phone(symbol.to_owned()), 0, sample)
    }

    fn speech(text: &str, events: Vec<Event>) -> Speech {
        let part = Part::new(text, 0..text.len(), &[]);
        let samples = vec![0; 1000];
        Speech::of(text, &part, Rendered { samples, events })
    }

    fn told(text: &str, speech: &Speech) -> Vec<(String, Range<usize>)> {
        let words = speech.words.iter();
        words
            .map(|word| (text[word.range.clone()].to_owned(), word.time.clone()))
            .collect()
    }

    #[test]
    fn a_word_ends_where_its_sound_does() {
        let text = "Hello, wörld!";
        let made = speech(
            text,
            vec![
                event(EventKind::Word, 0, 0),
                phone("h", 10),
                phone("ˈoʊ", 100),
                phone("", 300),
                event(EventKind::End, 6, 400),
                event(EventKind::Word, 7, 400),
                phone("w", 400),
                phone("", 700),
                event(EventKind::End, 12, 900),
            ],
        );
        assert_eq!(
            told(text, &made),
            [("Hello".to_owned(), 0..300), ("wörld".to_owned(), 400..700)]
        );
        let phones: Vec<_> = made
            .phones
            .iter()
            .map(|p| (p.symbol.as_str(), p.time.clone(), p.word))
            .collect();
        assert_eq!(
            phones,
            [
                ("h", 10..100, Some(0)),
                ("ˈoʊ", 100..300, Some(0)),
                ("w", 400..700, Some(1))
            ]
        );
    }

    #[test]
    fn a_number_is_one_word_however_it_is_told() {
        let text = "is 1,234 now";
        let made = speech(
            text,
            vec![
                event(EventKind::Word, 0, 0),
                phone("ɪ", 0),
                event(EventKind::Word, 3, 100),
                phone("w", 100),
                event(EventKind::Word, 4, 200),
                phone("θ", 200),
                event(EventKind::Word, 5, 300),
                phone("t", 300),
                event(EventKind::Word, 9, 500),
                phone("n", 500),
            ],
        );
        let words = told(text, &made);
        let expected = [
            ("is".to_owned(), 0..100),
            ("1,234".to_owned(), 100..500),
            ("now".to_owned(), 500..1000),
        ];
        assert_eq!(words, expected);
    }

    #[test]
    fn words_that_are_said_as_one_share_the_time() {
        let text = "of the cat";
        let made = speech(
            text,
            vec![
                event(EventKind::Word, 0, 0),
                phone("ə", 0),
                event(EventKind::Word, 7, 500),
                phone("k", 500),
            ],
        );
        let expected = [
            ("of".to_owned(), 0..200),
            ("the".to_owned(), 200..500),
            ("cat".to_owned(), 500..1000),
        ];
        assert_eq!(told(text, &made), expected);
        let shared: Vec<_> = made.words.iter().map(|word| word.shared).collect();
        assert_eq!(shared, [true, true, false]);
    }

    #[test]
    fn text_without_spaces_is_parted_by_what_is_told() {
        let text = "你好，世界2023年";
        let events = [0, 3, 5, 6, 9].iter().enumerate();
        let mut list = Vec::new();
        for (at, &character) in events {
            list.push(event(EventKind::Word, character, at * 100));
            list.push(phone("a", at * 100));
        }
        let made = speech(text, list);
        let words: Vec<_> = told(text, &made).into_iter().map(|(word, _)| word).collect();
        assert_eq!(words, ["你好", "世界", "2023", "年"]);
    }

    #[test]
    fn speech_is_appended_with_its_times() {
        let text = "a b";
        let first = || speech(text, vec![event(EventKind::Word, 0, 0), phone("a", 0)]);
        let mut both = first();
        both.append(first());
        assert_eq!(both.samples.len(), 2000);
        assert_eq!(both.words[2].time, 1000..both.words[2].time.end);
        assert_eq!(both.phones[1].word, Some(2));
    }
}
