//! Which way up a page is, told from its lines before it is read.
//!
//! Boxes say whether lines run across the page or along it; the classifier says of each line whether it stands on its
//! head; and where it does not speak clearly, a few lines are read both ways and the likelier reading decides.

use polyphony_inference::{Cancel, Error, crew};

use super::PpOcr;
use super::strip::Strip;
use crate::domain::{Picture, Rotation};

/// Lines that are read both ways.
const SAMPLES: usize = 5;
/// Below this share of upside-down lines nobody doubts that the page is upright.
const DOUBT: f32 = 0.2;
/// Readings of the wrong way are not that likely; nor is anything on a page whose letters stand upright in columns.
const LEGIBLE: f32 = 0.6;

impl PpOcr {
    /// By how much the page has to be turned clockwise so that its lines can be read.
    pub(super) fn judge(
        &self,
        sheet: &Picture,
        strips: &[Strip],
        cancel: &Cancel,
    ) -> Result<Rotation, Error> {
        let length = |strip: &Strip| strip.length();
        let total: f32 = strips.iter().map(length).sum();
        if total <= 0.0 {
            return Ok(Rotation::None);
        }
        let sideways = strips.iter().filter(|strip| strip.tall).map(length).sum::<f32>() > total / 2.0;
        let mut counted: Vec<&Strip> = strips.iter().filter(|strip| strip.tall == sideways).collect();
        let all: f32 = counted.iter().map(|strip| strip.length()).sum();
        let turned: f32 = counted
            .iter()
            .map(|strip| strip.upside_down * strip.length())
            .sum::<f32>()
            / all;
        if !sideways && turned < DOUBT {
            return Ok(Rotation::None);
        }
        // Long lines say most, but very long ones cost most.
        counted.sort_by(|a, b| {
            b.length()
                .min(20.0 * b.breadth())
                .total_cmp(&a.length().min(20.0 * a.breadth()))
        });
        counted.truncate(SAMPLES);
        let [upright, head] = self.both_ways(sheet, &counted, cancel)?;
        Ok(match (sideways, upright >= head) {
            (true, _) if upright.max(head) < LEGIBLE => Rotation::None,
            // Strips that are tall are laid on their left side before they are read.
            (true, true) => Rotation::ThreeQuarters,
            (true, false) => Rotation::Quarter,
            (false, true) => Rotation::None,
            (false, false) => Rotation::Half,
        })
    }

    /// How likely the lines read as they are, and on their head.
    fn both_ways(&self, sheet: &Picture, strips: &[&Strip], cancel: &Cancel) -> Result<[f32; 2], Error> {
        let sizes: Vec<_> = strips.iter().map(|strip| strip.size()).collect();
        let widths = self.recognizer.widths(&sizes);
        let likely = crew::each(strips.len() * 2, self.threads, |i| {
            let strip = strips[i / 2];
            let line = strip.cut(sheet, i % 2 == 1);
            let reading = self.recognizer.read(&line, widths[i / 2], cancel)?;
            Ok::<_, Error>(reading.confidence)
        })?;
        let mean = |way: usize| likely.iter().skip(way).step_by(2).sum::<f32>() / strips.len() as f32;
        Ok([mean(0), mean(1)])
    }
}
