//! Praat's TextGrid, in its long form: a tier of words, and tiers of characters and phones where there are any.
//!
//! A tier covers the whole recording without gaps or overlaps: between two words lies an empty interval.

use std::time::Duration;

use super::Timed;

/// A TextGrid of a recording of some length.
pub fn textgrid(words: &[Timed], length: Duration) -> String {
    let inner = |of: fn(&Timed) -> &[Timed]| -> Vec<&Timed> { words.iter().flat_map(of).collect() };
    let characters = inner(|word| &word.characters);
    let phones = inner(|word| &word.phones);
    let tiers = [
        ("words", words.iter().collect()),
        ("characters", characters),
        ("phones", phones),
    ];
    let tiers: Vec<_> = tiers
        .into_iter()
        .filter(|(name, units)| *name == "words" || !units.is_empty())
        .collect();
    let end = tiers
        .iter()
        .flat_map(|(_, units)| units.iter().map(|unit| unit.time.end))
        .fold(length, Duration::max)
        .as_secs_f64();
    let mut text = format!(
        "File type = \"ooTextFile\"\nObject class = \"TextGrid\"\n\nxmin = 0\nxmax = {end}\ntiers? <exists>\nsize = {}\nitem []:\n",
        tiers.len()
    );
    for (at, (name, units)) in tiers.iter().enumerate() {
        tier(&mut text, at + 1, name, units, end);
    }
    text
}

fn tier(text: &mut String, number: usize, name: &str, units: &[&Timed], end: f64) {
    let mut intervals: Vec<(f64, f64, &str)> = Vec::with_capacity(2 * units.len() + 1);
    let mut at = 0.0;
    for unit in units {
        let (start, stop) = (unit.time.start.as_secs_f64().max(at), unit.time.end.as_secs_f64());
        // Praat knows no interval without a length.
        if stop <= start {
            continue;
        }
        if start > at {
            intervals.push((at, start, ""));
        }
        intervals.push((start, stop, &unit.text));
        at = stop;
    }
    if at < end {
        intervals.push((at, end, ""));
    }
    *text += &format!(
        "    item [{number}]:\n        class = \"IntervalTier\"\n        name = \"{name}\"\n        xmin = 0\n        \
         xmax = {end}\n        intervals: size = {}\n",
        intervals.len()
    );
    for (at, (start, stop, label)) in intervals.iter().enumerate() {
        *text += &format!(
            "        intervals [{}]:\n            xmin = {start}\n            xmax = {stop}\n            \
             text = \"{}\"\n",
            at + 1,
            label.replace('"', "\"\"")
        );
    }
}
