//! From the probabilities of characters in each column to text: connectionist temporal classification (Graves et al.
//! 2006), the likeliest character of each column, repeats joined, blanks dropped.

use std::ops::Range;

/// What stands for "no character": the first class.
const BLANK: usize = 0;

/// The characters of a model, by class.
#[derive(Debug)]
pub(super) struct Dictionary {
    characters: Vec<String>,
}

/// A line of text as the model read it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Reading {
    pub(super) text: String,
    /// The mean probability of its characters, 0 to 1.
    pub(super) confidence: f32,
    pub(super) glyphs: Vec<Glyph>,
}

/// A character and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Glyph {
    /// Its bytes in the text.
    pub(super) range: Range<usize>,
    /// Its middle, from 0 (the line's left end) to 1.
    pub(super) middle: f32,
    pub(super) confidence: f32,
}

// === impl Dictionary ===

impl Dictionary {
    /// The characters of a list, one a line, for a model of so many classes: a blank, the characters, and a space where
    /// there is one class more.
    pub(super) fn parse(list: &str, classes: usize) -> Option<Self> {
        let mut characters = vec![String::new()];
        characters.extend(list.lines().map(|line| line.trim_end_matches('\r').to_owned()));
        if characters.len() + 1 == classes {
            characters.push(" ".to_owned());
        }
        (characters.len() == classes).then_some(Self { characters })
    }

    pub(super) fn classes(&self) -> usize {
        self.characters.len()
    }

    /// Reads the columns of a line. `filled` is the share of them that the line takes; the rest is padding.
    pub(super) fn decode(&self, probabilities: &[f32], filled: f32) -> Reading {
        let columns = probabilities.len() / self.classes();
        let mut reading = Reading::default();
        let mut previous = BLANK;
        let mut sum = 0.0;
        for (column, classes) in probabilities.chunks_exact(self.classes()).enumerate() {
            let (class, probability) = likeliest(classes);
            if class != BLANK && class != previous {
                let start = reading.text.len();
                reading.text.push_str(&self.characters[class]);
                let middle = (column as f32 + 0.5) / (columns as f32 * filled);
                reading.glyphs.push(Glyph {
                    range: start..reading.text.len(),
                    middle: middle.clamp(0.0, 1.0),
                    confidence: probability,
                });
                sum += probability;
            }
            previous = class;
        }
        if !reading.glyphs.is_empty() {
            reading.confidence = sum / reading.glyphs.len() as f32;
        }
        reading
    }
}

/// The first class of the greatest probability.
fn likeliest(classes: &[f32]) -> (usize, f32) {
    // Two passes: the first is done eight classes at a time, the second mostly stops early.
    let mut lanes = [f32::NEG_INFINITY; 8];
    let chunks = classes.chunks_exact(8);
    let rest = chunks
        .remainder()
        .iter()
        .copied()
        .fold(f32::NEG_INFINITY, f32::max);
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = if value > *lane { value } else { *lane };
        }
    }
    let greatest = lanes.into_iter().fold(rest, f32::max);
    let class = classes
        .iter()
        .position(|&value| value == greatest)
        .unwrap_or(BLANK);
    (class, greatest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(classes: &[usize], of: usize) -> Vec<f32> {
        classes
            .iter()
            .flat_map(|&class| (0..of).map(move |other| if other == class { 0.8 } else { 0.01 }))
            .collect()
    }

    #[test]
    fn repeats_are_joined_unless_a_blank_stands_between() {
        let dictionary = Dictionary::parse("a\nb\n", 4).expect("a, b, space");
        let reading = dictionary.decode(&columns(&[0, 1, 1, 0, 1, 3, 2, 2, 0, 0], 4), 0.8);
        assert_eq!(reading.text, "aa b");
        assert!((reading.confidence - 0.8).abs() < 1e-6);
        let middles: Vec<f32> = reading.glyphs.iter().map(|glyph| glyph.middle).collect();
        assert_eq!(middles, [1.5 / 8.0, 4.5 / 8.0, 5.5 / 8.0, 6.5 / 8.0]);
        assert_eq!(dictionary.decode(&columns(&[0, 0], 4), 1.0), Reading::default());
    }

    #[test]
    fn a_list_must_have_as_many_characters_as_the_model() {
        assert!(Dictionary::parse("a\nb", 3).is_some());
        assert!(Dictionary::parse("a\nb", 4).is_some());
        assert!(Dictionary::parse("a\nb", 5).is_none());
        let kept = Dictionary::parse("a\n\u{3000}\nb", 4).expect("a wide space is a character");
        assert_eq!(kept.characters[2], "\u{3000}");
    }

    #[test]
    fn the_first_of_equals_is_taken_and_no_class_is_missed() {
        for place in 0..19 {
            let mut classes = [0.1; 19];
            classes[place] = 0.5;
            classes[18] = 0.5;
            assert_eq!(likeliest(&classes), (place, 0.5));
        }
    }
}
