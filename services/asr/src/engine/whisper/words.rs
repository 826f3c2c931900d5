//! Words from tokens: where they are divided, what punctuation joins them, and times by share of letters.
//!
//! Dividing and joining are those of openai-whisper (whisper/tokenizer.py `split_to_word_tokens`, whisper/timing.py
//! `merge_punctuations`).

use super::error::WhisperError;
use super::vocabulary::Vocabulary;

/// A word, its tokens and its time.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct TimedWord {
    /// With the space before it. Empty once it is joined to a neighbour.
    pub(super) text: String,
    /// How many tokens it has.
    pub(super) tokens: usize,
    /// In seconds.
    pub(super) start: f64,
    pub(super) end: f64,
    /// The mean probability of its tokens.
    pub(super) probability: f64,
}

/// Joined to the word after them.
const BEFORE: &str = "\"'“¿([{-";
/// Joined to the word before them.
const AFTER: &str = "\"'.。,，!！?？:：”)]}、";
const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
/// Languages that do not put spaces between words.
const WITHOUT_SPACES: [&str; 6] = ["zh", "ja", "th", "lo", "my", "yue"];
const CUT_CHARACTER: char = char::REPLACEMENT_CHARACTER;

/// Divides text tokens into words: the text of each and the number of its tokens.
pub(super) fn divide(
    vocabulary: &Vocabulary,
    tokens: &[u32],
    language: Option<&str>,
) -> Result<Vec<(String, usize)>, WhisperError> {
    let parts = by_character(vocabulary, tokens)?;
    if language.is_some_and(|language| WITHOUT_SPACES.contains(&language)) {
        return Ok(parts);
    }
    let mut words: Vec<(String, usize)> = Vec::new();
    for (text, count) in parts {
        // Of nothing but spaces is a word too.
        let apart = text.starts_with(' ') || PUNCTUATION.contains(text.trim());
        match words.last_mut() {
            Some((word, tokens)) if !apart => {
                word.push_str(&text);
                *tokens += count;
            }
            _ => words.push((text, count)),
        }
    }
    Ok(words)
}

/// The shortest runs of tokens that are whole characters.
fn by_character(vocabulary: &Vocabulary, tokens: &[u32]) -> Result<Vec<(String, usize)>, WhisperError> {
    let whole: Vec<char> = vocabulary.decode(tokens)?.chars().collect();
    let (mut parts, mut start, mut offset) = (Vec::new(), 0, 0);
    for end in 1..=tokens.len() {
        let text = vocabulary.decode(&tokens[start..end])?;
        let cut = text.chars().position(|character| character == CUT_CHARACTER);
        // Text may hold the replacement character itself.
        if cut.is_none_or(|at| whole.get(offset + at) == Some(&CUT_CHARACTER)) {
            offset += text.chars().count();
            parts.push((text, end - start));
            start = end;
        }
    }
    Ok(parts)
}

/// Joins punctuation to its word.
pub(super) fn join_punctuation(words: &mut [TimedWord]) {
    let mut following = words.len().saturating_sub(1);
    for previous in (0..following).rev() {
        let text = words[previous].text.clone();
        if text.starts_with(' ') && BEFORE.contains(text.trim()) {
            words[following].text.insert_str(0, &text);
            words[following].tokens += words[previous].tokens;
            words[previous] = emptied(&words[previous]);
        } else {
            following = previous;
        }
    }
    let mut previous = 0;
    for following in 1..words.len() {
        let text = words[following].text.clone();
        if !words[previous].text.ends_with(' ') && AFTER.contains(&text) {
            words[previous].text.push_str(&text);
            words[previous].tokens += words[following].tokens;
            words[following] = emptied(&words[following]);
        } else {
            previous = following;
        }
    }
}

fn emptied(word: &TimedWord) -> TimedWord {
    TimedWord {
        text: String::new(),
        tokens: 0,
        ..word.clone()
    }
}

/// Words of a segment for a model that cannot say when: each gets the share of the time that its letters are of all.
pub(super) fn by_share(
    vocabulary: &Vocabulary,
    tokens: &[u32],
    log_probs: &[f32],
    (start, end): (f64, f64),
    language: Option<&str>,
) -> Result<Vec<TimedWord>, WhisperError> {
    let mut words: Vec<TimedWord> = divide(vocabulary, tokens, language)?
        .into_iter()
        .map(|(text, tokens)| TimedWord {
            text,
            tokens,
            ..TimedWord::default()
        })
        .collect();
    let mut first = 0;
    for word in &mut words {
        let of_word = log_probs.get(first..first + word.tokens).unwrap_or_default();
        first += word.tokens;
        let sum: f64 = of_word.iter().map(|&log_prob| f64::from(log_prob).exp()).sum();
        word.probability = sum / of_word.len().max(1) as f64;
    }
    join_punctuation(&mut words);
    words.retain(|word| !word.text.trim().is_empty());

    let letters = |word: &TimedWord| word.text.trim().chars().count();
    let all: usize = words.iter().map(letters).sum();
    let mut before = 0;
    for word in &mut words {
        let until = before + letters(word);
        let at = |letters: usize| start + (end - start) * letters as f64 / all as f64;
        (word.start, word.end) = (at(before), at(until));
        before = until;
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(texts: &[&str]) -> Vec<TimedWord> {
        texts
            .iter()
            .map(|text| TimedWord {
                text: (*text).to_owned(),
                tokens: 1,
                ..TimedWord::default()
            })
            .collect()
    }

    #[test]
    fn punctuation_goes_with_its_word() {
        let mut sentence = words(&[" \"", "Ask", " not", ",", " what", " (", "you", ")", "?"]);
        join_punctuation(&mut sentence);
        let joined: Vec<_> = sentence
            .iter()
            .filter(|word| !word.text.is_empty())
            .map(|word| word.text.as_str())
            .collect();
        assert_eq!(joined, [" \"Ask", " not,", " what", " (you)?"]);
        assert_eq!(sentence.iter().map(|word| word.tokens).sum::<usize>(), 9);
    }
}
