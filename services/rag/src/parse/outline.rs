//! The headings above a place, as a document is read from its beginning to its end.

use std::sync::Arc;

/// Headings deeper than this are kept at this depth; HTML has six levels.
const DEEPEST: usize = 9;
/// A heading is told up to so many characters.
const LONGEST: usize = 300;

/// The headings that are open.
#[derive(Debug, Default)]
pub(super) struct Outline {
    open: Vec<(usize, String)>,
    /// Shared by all blocks below the same headings.
    above: Arc<[String]>,
}

// === impl Outline ===

impl Outline {
    /// The headings above what comes next.
    pub(super) fn above(&self) -> Arc<[String]> {
        Arc::clone(&self.above)
    }

    /// A heading comes; gives those above it. Level 1 is the outermost.
    pub(super) fn enter(&mut self, level: usize, title: &str) -> Arc<[String]> {
        let level = level.clamp(1, DEEPEST);
        self.open.retain(|(open, _)| *open < level);
        let above: Arc<[String]> = self.open.iter().map(|(_, title)| title.clone()).collect();
        let title: String = title.split_whitespace().collect::<Vec<_>>().join(" ");
        self.open.push((level, title.chars().take(LONGEST).collect()));
        self.above = self.open.iter().map(|(_, title)| title.clone()).collect();
        above
    }
}
