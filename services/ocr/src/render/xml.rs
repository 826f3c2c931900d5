//! What the formats made of tags have in common: text that cannot break out of them, and places in whole pixels.

use std::fmt;

use crate::domain::{PageReading, Quad};

/// Text within XML or HTML, in elements and quoted attributes. What XML 1.0 cannot hold is left out.
pub(super) struct Escaped<'a>(pub(super) &'a str);

/// A place in whole pixels, within the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) left: u32,
    pub(super) top: u32,
    pub(super) right: u32,
    pub(super) bottom: u32,
}

/// What `write` writes.
pub(super) fn written(write: impl FnOnce(&mut String) -> fmt::Result) -> String {
    let mut out = String::new();
    match write(&mut out) {
        // Writing to a string does not fail.
        Ok(()) | Err(fmt::Error) => out,
    }
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\t' | '\n' | '\r' => f.write_char(' ')?,
                '\0'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}' => {}
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

// === impl Bounds ===

impl Bounds {
    pub(super) fn of(quad: &Quad, page: &PageReading) -> Self {
        let (mut left, mut top) = (f32::INFINITY, f32::INFINITY);
        let (mut right, mut bottom) = (f32::NEG_INFINITY, f32::NEG_INFINITY);
        for point in quad.0 {
            left = left.min(point.x);
            top = top.min(point.y);
            right = right.max(point.x);
            bottom = bottom.max(point.y);
        }
        // Casting takes what is no number for 0.
        let within = |value: f32, most: u32| (value.max(0.0) as u32).min(most);
        let (left, top) = (within(left.floor(), page.width), within(top.floor(), page.height));
        Self {
            left,
            top,
            right: within(right.ceil(), page.width).max(left),
            bottom: within(bottom.ceil(), page.height).max(top),
        }
    }

    pub(super) const fn width(self) -> u32 {
        self.right - self.left
    }

    pub(super) const fn height(self) -> u32 {
        self.bottom - self.top
    }
}

/// hOCR's own way to write it.
impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "bbox {} {} {} {}",
            self.left, self.top, self.right, self.bottom
        )
    }
}
