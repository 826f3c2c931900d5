//! Where lines and words stand in a text that is lines with a line feed after each.

use std::ops::Range;

use crate::domain::{PageReading, Span};

/// Where things stand in the text of a page.
#[derive(Debug)]
pub(super) struct Places {
    /// Of each line, without its line feed.
    lines: Vec<Range<usize>>,
    /// Of each word of each line, within the line.
    words: Vec<Vec<Range<usize>>>,
}

// === impl Places ===

impl Places {
    /// `offset` is where the page begins.
    pub(super) fn of(reading: &PageReading, offset: usize) -> Self {
        let mut begin = offset;
        let mut lines = Vec::with_capacity(reading.lines.len());
        let mut words = Vec::with_capacity(reading.lines.len());
        for line in &reading.lines {
            let end = begin + line.text.len();
            lines.push(begin..end);
            words.push(line.words.iter().map(|word| word.range.clone()).collect());
            begin = end + 1;
        }
        Self { lines, words }
    }

    /// From the first of these lines to the end of the last.
    pub(super) fn lines(&self, lines: Range<usize>) -> Option<Range<usize>> {
        let found = self.lines.get(lines)?;
        Some(found.first()?.start..found.last()?.end)
    }

    /// What the words cover, if they follow one another: one range cannot leave out what stands between.
    pub(super) fn spans(&self, spans: &[Span]) -> Option<Range<usize>> {
        let mut covered: Option<(Range<usize>, usize, usize)> = None;
        for span in spans {
            let line = self.lines.get(span.line)?;
            let words = self.words.get(span.line)?;
            let first = words.get(span.words.start)?;
            let last = words.get(span.words.end.checked_sub(1)?)?;
            let range = line.start + first.start..line.start + last.end;
            covered = Some(match covered {
                None => (range, span.line, span.words.end),
                Some((before, at, end)) => {
                    let same = at == span.line && end == span.words.start;
                    let next =
                        at + 1 == span.line && end == self.words.get(at)?.len() && span.words.start == 0;
                    if !same && !next {
                        return None;
                    }
                    (before.start..range.end, span.line, span.words.end)
                }
            });
        }
        covered.map(|(range, ..)| range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Line, Word};

    fn reading() -> PageReading {
        let line = |text: &str| {
            let mut words = Vec::new();
            let mut start = 0;
            for word in text.split(' ') {
                words.push(Word {
                    text: word.to_owned(),
                    range: start..start + word.len(),
                    ..Word::default()
                });
                start += word.len() + 1;
            }
            Line {
                text: text.to_owned(),
                words,
                ..Line::default()
            }
        };
        PageReading {
            lines: vec![line("ab cd"), line("ef"), line("gh ij")],
            ..PageReading::default()
        }
    }

    fn span(line: usize, words: Range<usize>) -> Span {
        Span { line, words }
    }

    #[test]
    fn places_point_into_the_text() {
        let reading = reading();
        let places = Places::of(&reading, 100);
        let text = reading.text();
        let at = |range: Option<Range<usize>>| {
            range.map(|range| text[range.start - 100..range.end - 100].to_owned())
        };
        assert_eq!(at(places.lines(1..2)).as_deref(), Some("ef"));
        assert_eq!(at(places.lines(0..2)).as_deref(), Some("ab cd\nef"));
        assert_eq!(places.lines(2..4), None);
        assert_eq!(
            at(places.spans(&[span(0, 1..2), span(1, 0..1)])).as_deref(),
            Some("cd\nef")
        );
        assert_eq!(
            at(places.spans(&[span(2, 0..1), span(2, 1..2)])).as_deref(),
            Some("gh ij")
        );
    }

    #[test]
    fn what_does_not_follow_has_no_range() {
        let places = Places::of(&reading(), 0);
        for spans in [
            &[span(0, 0..1), span(1, 0..1)][..],
            &[span(0, 0..2), span(2, 0..1)],
            &[span(1, 0..1), span(0, 0..1)],
            &[span(0, 0..0)],
            &[span(9, 0..1)],
            &[],
        ] {
            assert_eq!(places.spans(spans), None, "{spans:?}");
        }
    }
}
