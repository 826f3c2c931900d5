//! A second look at long lines that were read badly: in pieces.
//!
//! The recogniser was trained on lines about seven times as wide as high. Of one forty times as wide it may make nothing
//! at all, though each half of it would be read without fault.

use polyphony_inference::{Cancel, Error};

use super::ctc::{Glyph, Reading};
use super::recognize::Recognizer;
use crate::domain::Picture;

/// Less likely readings are doubted.
const DOUBTFUL: f32 = 0.75;
/// Lines wider than this many times their height are long.
const LONG: f32 = 12.0;
/// Pieces have to read so much better.
const BETTER: f32 = 0.05;
/// A column whose grey levels differ by less than this share of the line's is empty.
const EMPTY: f32 = 0.25;
/// Empty columns that part words, in heights of the line.
const GAP: f32 = 0.12;

/// Whether a line of this width and height that was read so is worth a second look.
pub(super) fn is_doubtful(reading: &Reading, (width, height): (u32, u32)) -> bool {
    reading.confidence < DOUBTFUL && width as f32 > LONG * height as f32
}

impl Recognizer {
    /// What the line says if it is read in pieces; none if it has no gaps or reads no better so.
    pub(super) fn read_pieces(
        &self,
        line: &Picture,
        whole: &Reading,
        cancel: &Cancel,
    ) -> Result<Option<Reading>, Error> {
        let cuts = cuts(line);
        if cuts.is_empty() {
            return Ok(None);
        }
        let mut joined = Reading::default();
        let (width, height) = line.dimensions();
        let ends = cuts.iter().copied().chain([width]);
        let mut from = 0;
        for to in ends {
            let piece = image::imageops::crop_imm(line, from, 0, to - from, height).to_image();
            let columns = self.widths(&[piece.dimensions()])[0];
            let reading = self.read(&piece, columns, cancel)?;
            joined.append(&reading, from as f32 / width as f32, to as f32 / width as f32);
            from = to;
        }
        let sum: f32 = joined.glyphs.iter().map(|glyph| glyph.confidence).sum();
        joined.confidence = sum / joined.glyphs.len().max(1) as f32;
        Ok((joined.confidence > whole.confidence + BETTER).then_some(joined))
    }
}

impl Reading {
    /// Adds what stands between two shares of the line's length.
    fn append(&mut self, piece: &Self, from: f32, to: f32) {
        if !self.text.is_empty()
            && !self.text.ends_with(' ')
            && !piece.text.starts_with(' ')
            && !piece.text.is_empty()
        {
            let start = self.text.len();
            self.text.push(' ');
            self.glyphs.push(Glyph {
                range: start..start + 1,
                middle: from,
                confidence: 1.0,
            });
        }
        let start = self.text.len();
        self.text.push_str(&piece.text);
        self.glyphs.extend(piece.glyphs.iter().map(|glyph| Glyph {
            range: glyph.range.start + start..glyph.range.end + start,
            middle: from + glyph.middle * (to - from),
            confidence: glyph.confidence,
        }));
    }
}

/// Columns between words at which a line falls into pieces that are not long.
fn cuts(line: &Picture) -> Vec<u32> {
    let (width, height) = line.dimensions();
    let gaps = gaps(line);
    let pieces = (width as f32 / (LONG * height.max(1) as f32)).ceil() as u32;
    let mut cuts = Vec::new();
    for piece in 1..pieces {
        let ideal = piece as f32 / pieces as f32 * width as f32;
        let reach = width as f32 / pieces as f32 * 0.4;
        let near = gaps
            .iter()
            .filter(|(from, to)| ((from + to) as f32 / 2.0 - ideal).abs() < reach);
        if let Some((from, to)) = near.max_by_key(|(from, to)| to - from) {
            cuts.push((from + to) / 2);
        }
    }
    cuts.dedup();
    cuts
}

/// Runs of empty columns with text on both sides.
fn gaps(line: &Picture) -> Vec<(u32, u32)> {
    let (width, height) = line.dimensions();
    let grey = |x: u32, y: u32| {
        line.get_pixel(x, y)
            .0
            .iter()
            .map(|&value| u32::from(value))
            .sum::<u32>()
            / 3
    };
    let range = |x: u32| {
        let levels = || (0..height).map(|y| grey(x, y));
        levels().max().unwrap_or(0) - levels().min().unwrap_or(0)
    };
    let ranges: Vec<u32> = (0..width).map(range).collect();
    let most = ranges.iter().max().copied().unwrap_or(0);
    let least = (GAP * height as f32).max(2.0);
    let mut gaps: Vec<(u32, u32)> = Vec::new();
    for (x, &range) in (0..width).zip(&ranges) {
        if range as f32 > EMPTY * most as f32 {
            continue;
        }
        match gaps.last_mut() {
            Some((_, to)) if *to == x => *to = x + 1,
            _ => gaps.push((x, x + 1)),
        }
    }
    gaps.retain(|&(from, to)| from > 0 && to < width && (to - from) as f32 >= least);
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_between_words_near_even_pieces() {
        // Words of 80 pixels, 10 apart, and one wider gap near the middle.
        let word = |x: u32| x % 90 < 80 && !(440..465).contains(&x);
        let line = Picture::from_fn(900, 30, |x, y| {
            image::Rgb([if word(x) && y % 4 < 2 { 0 } else { 255 }; 3])
        });
        let cuts = cuts(&line);
        assert_eq!(cuts.len(), 2, "{cuts:?}");
        assert!(cuts.iter().all(|&cut| !word(cut)), "{cuts:?}");
        assert!((450..465).contains(&cuts[0]) || cuts[0] == 265, "{cuts:?}");
    }

    #[test]
    fn an_even_line_cannot_be_cut() {
        assert!(cuts(&Picture::from_pixel(900, 30, image::Rgb([7; 3]))).is_empty());
        let striped = Picture::from_fn(900, 30, |_, y| image::Rgb([(y * 8) as u8; 3]));
        assert!(cuts(&striped).is_empty());
    }

    #[test]
    fn pieces_are_joined_by_a_space_with_their_places() {
        let piece = |text: &str| Reading {
            text: text.to_owned(),
            confidence: 0.9,
            glyphs: vec![Glyph {
                range: 0..text.len(),
                middle: 0.5,
                confidence: 0.9,
            }],
        };
        let mut joined = Reading::default();
        joined.append(&piece("a"), 0.0, 0.5);
        joined.append(&piece("b"), 0.5, 1.0);
        joined.append(&Reading::default(), 1.0, 1.0);
        assert_eq!(joined.text, "a b");
        let places: Vec<_> = joined
            .glyphs
            .iter()
            .map(|glyph| (glyph.range.clone(), glyph.middle))
            .collect();
        assert_eq!(places, [(0..1, 0.25), (1..2, 0.5), (2..3, 0.75)]);
    }
}
