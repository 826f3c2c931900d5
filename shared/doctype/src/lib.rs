//! What kind of document a text is, by rules over its words and the shape of its lines.
//!
//! Rules that people can read: what they look for is in `cues` and `shapes`, what a score means in `score`. They know the
//! words of English documents best. Nothing is trained here, and nothing is read from files; the ocr service asks it
//! about pages, rag about documents of any sort.

mod cues;
mod features;
mod mrz;
mod score;
mod shapes;

use features::Features;

pub use cues::LABELS;

/// A label, and how sure the rules are of it, 0 to 1.
pub type Scored = (&'static str, f32);

/// What a document of these lines is: all labels, the likeliest first. What is missing to 1 is the chance that it is none
/// of them. `slimness` is how much higher than wide its first page is, where it has pages.
pub fn scores<'a>(lines: impl IntoIterator<Item = &'a str>, slimness: Option<f32>) -> Vec<Scored> {
    let lines: Vec<&str> = lines.into_iter().filter(|line| !line.trim().is_empty()).collect();
    let mut features = Features::of_lines(&lines);
    features.slim = slimness.unwrap_or_default();
    score::scores(&features)
}

#[cfg(test)]
mod tests;
