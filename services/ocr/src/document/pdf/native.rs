//! What a page of PDF says and where, without drawing it: every glyph that can be seen with its character and its place,
//! and where pictures stand.

use hayro::hayro_interpret::font::{Glyph as PdfGlyph, GlyphRun};
use hayro::hayro_interpret::hayro_cmap::{BfString, WritingMode};
use hayro::hayro_interpret::{
    BlendMode, ClipPath, Device, DrawMode, DrawProps, Image, ImageDrawProps, Paint, SoftMask,
};
use hayro::kurbo::{Affine, BezPath, Point, Rect as Box2, Shape};
use serde::{Deserialize, Serialize};

/// The text of a page.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NativeText {
    /// In the order of the file, which need not be that of reading.
    pub glyphs: Vec<Glyph>,
    /// Where pictures stand that may hold more text.
    pub pictures: Vec<Rect>,
}

/// A glyph and its place, in pixels of the page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Glyph {
    /// What it stands for; more than one character for a ligature, and a space for a space.
    pub text: String,
    /// Where it begins on its baseline.
    pub origin: [f32; 2],
    /// From there to where the next one begins.
    pub advance: [f32; 2],
    /// The height of the font.
    pub em: f32,
    /// What it covers, if anything.
    pub ink: Option<Rect>,
}

/// A rectangle, in pixels of the page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Rect {
    /// The left edge.
    pub left: f32,
    /// The upper edge.
    pub top: f32,
    /// The right edge.
    pub right: f32,
    /// The lower edge.
    pub bottom: f32,
}

/// A stretch of glyphs that were shown at once.
pub type Run = Vec<Glyph>;

/// All that was heard of a page.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// The glyphs that can be seen and read.
    pub(super) glyphs: Vec<Glyph>,
    /// Where pictures stand.
    pub(super) pictures: Vec<Rect>,
    /// Glyphs that can be seen, but stand for no known character.
    pub(super) unknown: usize,
    /// Pixels of the page.
    pub(super) area: f32,
    /// There were more glyphs than a page can hold.
    pub(super) overflow: bool,
}

/// Hears what a page says.
#[derive(Debug)]
pub(super) struct Listener {
    page: Box2,
    heard: Heard,
    /// What can be seen, innermost last.
    clips: Vec<Box2>,
    /// For each group that is open, whether it hides what is in it.
    hidden: Vec<bool>,
}

/// No page that is read holds more.
const MOST_GLYPHS: usize = 200_000;
const MOST_PICTURES: usize = 10_000;
/// Fainter than this is not there.
const FAINTEST: f32 = 0.05;
/// Glyphs are drawn in a square of so many units.
const UNITS: f64 = 1_000.0;

// === impl Listener ===

impl Listener {
    pub(super) fn new(page: Box2) -> Self {
        Self {
            page,
            heard: Heard {
                area: page.area() as f32,
                ..Heard::default()
            },
            clips: Vec::new(),
            hidden: Vec::new(),
        }
    }

    pub(super) fn heard(self) -> Heard {
        self.heard
    }

    fn window(&self) -> Box2 {
        self.clips.last().copied().unwrap_or(self.page)
    }

    fn is_hidden(&self) -> bool {
        self.hidden.iter().any(|hidden| *hidden)
    }

    fn hear(&mut self, glyph: &PdfGlyph<'_>, place: Affine, vertical: bool) {
        let window = self.window();
        let begin = place * Point::ORIGIN;
        if !begin.is_finite() || !window.inflate(1.0, 1.0).contains(begin) {
            return;
        }
        if self.heard.glyphs.len() + self.heard.unknown >= MOST_GLYPHS {
            self.heard.overflow = true;
            return;
        }
        let text = match glyph.as_unicode() {
            Some(BfString::Char(character)) => character.to_string(),
            Some(BfString::String(text)) => text,
            None => String::new(),
        };
        let (width, ink) = match glyph {
            PdfGlyph::Outline(outline) => {
                let path = place * outline.outline();
                let ink = Some(path.bounding_box()).filter(|ink| ink.area() > 0.0);
                (outline.advance_width(), ink)
            }
            PdfGlyph::Type3(shape) => (shape.advance_width(), None),
        };
        if text.is_empty() || text.chars().all(|character| character.is_control()) {
            // A glyph of no character that covers nothing is no loss.
            self.heard.unknown += usize::from(ink.is_some());
            return;
        }
        let step = if vertical {
            Point::new(0.0, -UNITS)
        } else {
            Point::new(width.map_or(UNITS / 2.0, f64::from), 0.0)
        };
        let origin = place * Point::ORIGIN;
        let (end, top) = (place * step, place * Point::new(0.0, UNITS));
        let float = |point: Point, from: Point| [(point.x - from.x) as f32, (point.y - from.y) as f32];
        self.heard.glyphs.push(Glyph {
            text,
            origin: [origin.x as f32, origin.y as f32],
            advance: float(end, origin),
            em: (top - origin).hypot() as f32,
            ink: ink.map(Rect::of),
        });
    }
}

impl<'a> Device<'a> for Listener {
    fn draw_path(&mut self, _: &BezPath, _: DrawProps<'a>, _: &DrawMode) {}

    fn push_clip_path(&mut self, clip_path: &ClipPath) {
        let bounds = clip_path.path.bounding_box();
        self.push_clip_rect(&bounds);
    }

    fn push_clip_rect(&mut self, rect: &Box2) {
        self.clips.push(self.window().intersect(*rect));
    }

    fn push_transparency_group(&mut self, opacity: f32, _: Option<SoftMask<'a>>, _: BlendMode) {
        self.hidden.push(opacity < FAINTEST);
    }

    fn draw_glyph_run(&mut self, run: &GlyphRun<'_, 'a>, props: DrawProps<'a>, mode: &DrawMode) {
        // Text that is not drawn is somebody else's reading of the picture beneath it, good or bad.
        let faint = matches!(&props.paint, Paint::Color(color) if color.to_rgba().components()[3] < FAINTEST);
        if matches!(mode, DrawMode::Invisible) || faint || self.is_hidden() {
            return;
        }
        let vertical = matches!(run.writing_mode(), WritingMode::Vertical);
        for glyph in run.glyphs() {
            self.hear(glyph, props.transform * glyph.transform(), vertical);
        }
    }

    fn draw_image(&mut self, image: Image<'a, '_>, props: ImageDrawProps<'a>) {
        let (width, height) = (f64::from(image.width()), f64::from(image.height()));
        let bounds = props
            .transform
            .transform_rect_bbox(Box2::new(0.0, 0.0, width, height));
        let seen = bounds.intersect(self.window());
        if seen.is_finite()
            && seen.area() > 0.0
            && self.heard.pictures.len() < MOST_PICTURES
            && !self.is_hidden()
        {
            self.heard.pictures.push(Rect::of(seen));
        }
    }

    fn pop_clip(&mut self) {
        self.clips.pop();
    }

    fn pop_transparency_group(&mut self) {
        self.hidden.pop();
    }
}

// === impl Rect ===

impl Rect {
    fn of(rect: Box2) -> Self {
        Self {
            left: rect.x0 as f32,
            top: rect.y0 as f32,
            right: rect.x1 as f32,
            bottom: rect.y1 as f32,
        }
    }

    /// Pixels within.
    pub fn area(&self) -> f32 {
        (self.right - self.left).max(0.0) * (self.bottom - self.top).max(0.0)
    }

    /// Whether the point is within.
    pub fn contains(&self, x: f32, y: f32) -> bool {
        (self.left..=self.right).contains(&x) && (self.top..=self.bottom).contains(&y)
    }
}
