//! Labels with their values, by the colon that ends a label: in the same line, to its right, or below.

use super::frame::{Area, Frame};
use crate::domain::{FormField, Line, Part, Point, Quad, Span};

/// A label is no longer, in characters and in words.
const LONGEST: usize = 40;
const MOST_WORDS: usize = 6;
/// Words of a label whose value may stand below it.
const SHORT: usize = 3;
/// A value stands no further to the right of its label, in heights of a line.
const RIGHT: f32 = 15.0;
/// Pieces of a value stand no further apart.
const APART: f32 = 2.5;
/// A value stands no further below its label.
const BELOW: f32 = 1.0;

/// Where a line has a colon after a label: the bytes of the label, and where the value begins.
struct Split {
    name: usize,
    value: usize,
}

/// The labels on a page with their values, in reading order.
pub(super) fn fields(lines: &[Line], areas: &[Area], frame: &Frame) -> Vec<FormField> {
    let splits: Vec<Option<Split>> = lines.iter().map(|line| split(&line.text)).collect();
    let mut fields = Vec::new();
    for (place, line) in lines.iter().enumerate() {
        let Some(Split { name, value }) = &splits[place] else {
            continue;
        };
        let value = if line.text[*value..].trim().is_empty() {
            let found = beside(place, areas, &splits).or_else(|| {
                let words = line.text.split_whitespace().count();
                below(place, words, areas, &splits)
            });
            found.map(|places| joined(lines, areas, &places, frame))
        } else {
            Some(part(line, place, *value, line.text.len()))
        };
        if let Some(value) = value {
            fields.push(FormField {
                name: part(line, place, 0, *name),
                value,
                ticked: None,
            });
        }
    }
    fields
}

/// Whether a line is a label and nothing else.
pub(super) fn is_label(text: &str) -> bool {
    split(text).is_some_and(|split| text[split.value..].trim().is_empty())
}

fn split(text: &str) -> Option<Split> {
    let (name, colon) = text.char_indices().find(|(_, c)| matches!(c, ':' | '：'))?;
    let value = name + colon.len_utf8();
    let (label, rest) = (text[..name].trim(), &text[value..]);
    let is_time =
        label.ends_with(|c: char| c.is_ascii_digit()) && rest.starts_with(|c: char| c.is_ascii_digit());
    let fits = label.chars().any(char::is_alphabetic)
        && label.chars().count() <= LONGEST
        && label.split_whitespace().count() <= MOST_WORDS;
    (fits && !is_time && !rest.starts_with("//")).then_some(Split { name, value })
}

/// The lines to the right of a label that belong together, up to the next label.
fn beside(label: usize, areas: &[Area], splits: &[Option<Split>]) -> Option<Vec<usize>> {
    let area = areas[label];
    let mut row: Vec<usize> = (0..areas.len())
        .filter(|&i| {
            i != label && areas[i].beside(&area) && areas[i].left >= area.right - area.height() * 0.5
        })
        .collect();
    row.sort_by(|&a, &b| areas[a].left.total_cmp(&areas[b].left));
    let mut found = Vec::new();
    let (mut end, mut reach) = (area.right, RIGHT * area.height());
    for i in row {
        if splits[i].is_some() || areas[i].left - end > reach {
            break;
        }
        found.push(i);
        (end, reach) = (areas[i].right, APART * area.height());
    }
    (!found.is_empty()).then_some(found)
}

/// The line right below a label.
fn below(label: usize, words: usize, areas: &[Area], splits: &[Option<Split>]) -> Option<Vec<usize>> {
    let area = areas[label];
    // A sentence may end in a colon as well.
    if words > SHORT {
        return None;
    }
    let fits = |&i: &usize| {
        let other = areas[i];
        let gap = other.top - area.bottom;
        let aligned = (other.left - area.left).abs() < area.height();
        splits[i].is_none() && aligned && (-0.5 * area.height()..=BELOW * area.height()).contains(&gap)
    };
    (0..areas.len())
        .filter(|&i| i != label)
        .find(fits)
        .map(|i| vec![i])
}

fn joined(lines: &[Line], areas: &[Area], places: &[usize], frame: &Frame) -> Part {
    let texts: Vec<&str> = places.iter().map(|&place| lines[place].text.trim()).collect();
    let sum: f32 = places.iter().map(|&place| lines[place].confidence).sum();
    Part {
        outline: frame.outline(&Area::around(places.iter().map(|&place| &areas[place]))),
        text: texts.join(" "),
        confidence: sum / places.len() as f32,
        spans: places
            .iter()
            .map(|&place| Span {
                line: place,
                words: 0..lines[place].words.len(),
            })
            .collect(),
    }
}

/// Some of the text of a line, given by its bytes.
fn part(line: &Line, place: usize, from: usize, to: usize) -> Part {
    let text = line.text[from..to].trim();
    let within = |i: &usize| line.words[*i].range.start < to && line.words[*i].range.end > from;
    let words: Vec<usize> = (0..line.words.len()).filter(within).collect();
    let range = match words.as_slice() {
        [] => 0..0,
        [first, .., last] => *first..last + 1,
        [only] => *only..only + 1,
    };
    let begin = from + line.text[from..to].find(text).unwrap_or(0);
    Part {
        outline: stretch(line, begin, begin + text.len()),
        text: text.to_owned(),
        confidence: line.confidence,
        spans: vec![Span {
            line: place,
            words: range,
        }],
    }
}

/// Where some of the text of a line stands: a word that is cut is cut by its characters.
fn stretch(line: &Line, from: usize, to: usize) -> Quad {
    let side = |at: usize, end: bool| -> (Point, Point) {
        let holds = |word: &&crate::domain::Word| {
            if end {
                word.range.start < at && at <= word.range.end
            } else {
                word.range.start <= at && at < word.range.end
            }
        };
        let (outline, share) = match line.words.iter().find(holds) {
            Some(word) => {
                let (all, before) = (
                    word.text.chars().count(),
                    line.text[word.range.start..at].chars().count(),
                );
                (word.outline, before as f32 / all.max(1) as f32)
            }
            None => (line.outline, if end { 1.0 } else { 0.0 }),
        };
        let [a, b, c, d] = outline.0;
        let between = |a: Point, b: Point| Point {
            x: a.x + (b.x - a.x) * share,
            y: a.y + (b.y - a.y) * share,
        };
        (between(a, b), between(d, c))
    };
    let ((top_left, bottom_left), (top_right, bottom_right)) = (side(from, false), side(to, true));
    Quad([top_left, top_right, bottom_right, bottom_left])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Word;

    fn page(rows: &[(f32, f32, &str)]) -> (Vec<Line>, Vec<Area>) {
        let areas: Vec<Area> = rows
            .iter()
            .map(|&(left, top, text)| Area {
                left,
                top,
                right: left + text.chars().count() as f32 * 5.0,
                bottom: top + 10.0,
            })
            .collect();
        let frame = Frame::of(&[], (0, 0), false);
        let lines = rows.iter().zip(&areas).map(|(row, area)| {
            let outline = frame.outline(area);
            let word = Word {
                outline,
                text: row.2.to_owned(),
                range: 0..row.2.len(),
                ..Word::default()
            };
            Line {
                outline,
                text: row.2.to_owned(),
                words: vec![word],
                ..Line::default()
            }
        });
        (lines.collect(), areas)
    }

    fn pairs(rows: &[(f32, f32, &str)]) -> Vec<(String, String)> {
        let (lines, areas) = page(rows);
        let frame = Frame::of(&[], (0, 0), false);
        fields(&lines, &areas, &frame)
            .into_iter()
            .map(|field| (field.name.text, field.value.text))
            .collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn a_value_stands_in_the_line_to_the_right_or_below() {
        let found = pairs(&[
            (0.0, 0.0, "Name: Ada"),
            (0.0, 20.0, "Date:"),
            (40.0, 21.0, "05-Dec-2018"),
            (120.0, 20.0, "Place:"),
            (160.0, 20.0, "Paris"),
            (0.0, 40.0, "Address:"),
            (0.0, 52.0, "40 River Street"),
        ]);
        let expected = [
            pair("Name", "Ada"),
            pair("Date", "05-Dec-2018"),
            pair("Place", "Paris"),
            pair("Address", "40 River Street"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn times_addresses_of_pages_and_sentences_are_no_labels() {
        for text in [
            "12:30",
            "http://example.com",
            "13:00 h",
            ": nothing",
            "a rather long sentence with seven words: yes",
        ] {
            assert!(pairs(&[(0.0, 0.0, text)]).is_empty(), "{text}");
        }
        assert!(is_label("Tel：") && !is_label("Tel: 1"));
    }

    #[test]
    fn a_value_within_a_word_has_its_own_outline() {
        let (lines, areas) = page(&[(100.0, 0.0, "Ref:12345")]);
        let found = fields(&lines, &areas, &Frame::of(&[], (0, 0), false));
        assert_eq!(found[0].value.outline.0[0].x, 120.0);
        assert_eq!(found[0].name.outline.0[1].x, 115.0);
    }
}
