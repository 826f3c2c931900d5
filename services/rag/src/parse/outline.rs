//! The headings above a place, as a document is read from its beginning to its end.

use std::sync::Arc;

/// Headings deeper than this are kept at this depth; HTML has six levels.
const DEEPEST: usize = 9;
/// A heading or title is told up to so many characters: it stands before each of the passages below it.
const LONGEST: usize = 300;
/// The names of the columns of a table are told up to so many characters together.
const LONGEST_NAMES: usize = 1_000;

/// The headings that are open.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    /// Their levels, each with the headings down to it, shared by all blocks right below.
    open: Vec<(usize, Arc<[String]>)>,
}

// === impl Outline ===

impl Outline {
    /// The headings above what comes next.
    pub(crate) fn above(&self) -> Arc<[String]> {
        self.open
            .last()
            .map_or_else(Arc::default, |(_, all)| Arc::clone(all))
    }

    /// A heading comes; gives those above it. Level 1 is the outermost.
    pub(crate) fn enter(&mut self, level: usize, title: &str) -> Arc<[String]> {
        let level = level.clamp(1, DEEPEST);
        self.open.retain(|(open, _)| *open < level);
        let above = self.above();
        let all = above.iter().cloned().chain([folded(title)]).collect();
        self.open.push((level, all));
        above
    }

    /// What is above the rows of a table that comes next.
    pub(super) fn above_rows(&self, columns: &str) -> Arc<[String]> {
        let names = upto(columns, LONGEST_NAMES);
        self.above().iter().cloned().chain([names]).collect()
    }
}

/// A heading or title on one line, and not longer than is told.
pub(crate) fn folded(text: &str) -> String {
    upto(text, LONGEST)
}

/// Whether a heading is told whole by what stands for it above others.
pub(crate) fn is_whole(told: &str) -> bool {
    // A blank at the end of what is told is left out.
    told.chars().count() < LONGEST - 1
}

fn upto(text: &str, most: usize) -> String {
    let mut told = String::new();
    let mut left = most;
    for word in text.split_whitespace() {
        if !told.is_empty() {
            told.push(' ');
            left -= 1;
        }
        let end = word.char_indices().nth(left).map_or(word.len(), |(at, _)| at);
        told.push_str(&word[..end]);
        left -= word[..end].chars().count();
        if left == 0 {
            break;
        }
    }
    told.truncate(told.trim_end().len());
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_those_above_and_not_longer_than_is_told() {
        let mut outline = Outline::default();
        assert!(outline.enter(1, " A \n b ").is_empty());
        assert_eq!(outline.enter(3, "c")[..], ["A b".to_owned()]);
        assert_eq!(outline.enter(2, &"é".repeat(400))[..], ["A b".to_owned()]);
        assert_eq!(outline.above()[1], "é".repeat(300));
        assert_eq!(
            outline.above_rows(&"ab ".repeat(500))[2],
            "ab ".repeat(334).trim_end()[..1_000]
        );
        assert!(outline.enter(1, "d").is_empty());
        assert_eq!(outline.above()[..], ["d".to_owned()]);
    }
}
