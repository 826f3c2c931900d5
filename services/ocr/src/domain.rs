//! The nouns of text recognition: plain data, known to engines and adapters alike.
//!
//! All places are in pixels of the page as it is read, that is, after it was turned by [`PageReading::rotation`]: x to
//! the right, y downwards, (0, 0) the top left corner of the top left pixel. A page that is askew is not redrawn: its
//! lines are read along their own slant, and their outlines lie on the page as it is.

use std::ops::Range;

use polyphony_models::Provenance;

/// A page to read: 8-bit RGB. What was transparent is laid on white by whoever decodes it.
pub type Picture = image::RgbImage;

/// How a page is to be read: what the caller asked for, checked, defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Turn pages that lie on a side or upside down.
    pub orientation: bool,
    /// Find the slant of the page, and order its lines along it.
    pub deskew: bool,
    /// Give each character its box.
    pub symbols: bool,
    /// Find tables.
    pub tables: bool,
    /// Find labels with their values, and boxes that are ticked.
    pub form_fields: bool,
    /// Say how good the picture is.
    pub quality: bool,
    /// Lines that are less sure are left out, 0 to 1.
    pub min_confidence: f32,
    /// How to find text.
    pub detection: Detection,
}

/// How to find text (differentiable binarization, Liao et al. 2020). None: the engine's own.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Detection {
    /// The longer side is scaled down to this many pixels, 320 to 8,192.
    pub max_side: Option<u32>,
    /// A pixel more probable than this is text, 0 to 1.
    pub pixel_threshold: Option<f32>,
    /// A box more probable than this is kept, 0 to 1.
    pub box_threshold: Option<f32>,
    /// How much a box is enlarged, 1 to 4.
    pub unclip_ratio: Option<f32>,
}

/// What stands on a page.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PageReading {
    /// Pixels across, after turning.
    pub width: u32,
    /// Pixels down, after turning.
    pub height: u32,
    /// By how much the page was turned before it was read.
    pub rotation: Rotation,
    /// The angle by which the page would have to be turned to be straight, clockwise, -45 to 45 degrees.
    pub skew_degrees: f32,
    /// In reading order.
    pub lines: Vec<Line>,
    /// In reading order; each line is in exactly one.
    pub blocks: Vec<Block>,
    /// Empty unless asked for.
    pub tables: Vec<Table>,
    /// Empty unless asked for.
    pub form_fields: Vec<FormField>,
    /// The commonest first.
    pub languages: Vec<Language>,
    /// None unless asked for.
    pub quality: Option<Quality>,
}

/// A quarter turn or none, clockwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rotation {
    /// Not turned.
    #[default]
    None,
    /// By 90 degrees.
    Quarter,
    /// By 180 degrees.
    Half,
    /// By 270 degrees.
    ThreeQuarters,
}

/// A place on a page, in pixels.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Point {
    /// To the right.
    pub x: f32,
    /// Downwards.
    pub y: f32,
}

/// An outline of four corners, clockwise from the top left of the text; not always upright.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Quad(pub [Point; 4]);

/// A line of text, as it was found: a stretch without wide gaps.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Line {
    /// Where.
    pub outline: Quad,
    /// Its text.
    pub text: String,
    /// How sure the engine is, 0 to 1.
    pub confidence: f32,
    /// The angle of its baseline, clockwise, -180 to 180 degrees.
    pub angle_degrees: f32,
    /// Its words, in order; joined by single spaces (none between characters of Chinese) they are the text.
    pub words: Vec<Word>,
}

/// A word, or a run of characters of a script that has no spaces.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Word {
    /// Where.
    pub outline: Quad,
    /// Its text, without spaces.
    pub text: String,
    /// Its bytes in the text of the line.
    pub range: Range<usize>,
    /// How sure the engine is, 0 to 1.
    pub confidence: f32,
    /// Its characters. Empty unless asked for.
    pub symbols: Vec<Symbol>,
}

/// A character.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Symbol {
    /// Where.
    pub outline: Quad,
    /// Its text.
    pub text: String,
    /// Its bytes in the text of the line.
    pub range: Range<usize>,
    /// How sure the engine is, 0 to 1.
    pub confidence: f32,
}

/// A part of a page.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Block {
    /// Where.
    pub outline: Quad,
    /// What it is.
    pub kind: BlockKind,
    /// How sure the engine is of its lines, 0 to 1.
    pub confidence: f32,
    /// Its paragraphs, in reading order.
    pub paragraphs: Vec<Paragraph>,
}

/// What a part of a page is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BlockKind {
    /// Running text.
    #[default]
    Text,
    /// A heading, with its level, 1 to 6.
    Heading(u8),
    /// A list.
    List,
    /// A table: the one of this place in [`PageReading::tables`].
    Table(usize),
    /// What stands above the text of each page.
    Header,
    /// What stands below the text of each page.
    Footer,
}

/// A paragraph.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Paragraph {
    /// Where.
    pub outline: Quad,
    /// How sure the engine is of its lines, 0 to 1.
    pub confidence: f32,
    /// Its lines, as places in [`PageReading::lines`]: successive numbers.
    pub lines: Range<usize>,
}

/// Words of one line, as places in [`PageReading::lines`] and [`Line::words`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Span {
    /// The line.
    pub line: usize,
    /// Its words.
    pub words: Range<usize>,
}

/// A table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// Where.
    pub outline: Quad,
    /// How sure the engine is of its lines, 0 to 1.
    pub confidence: f32,
    /// How many columns it has.
    pub columns: usize,
    /// How many of the rows are its head.
    pub header_rows: usize,
    /// From top to bottom. A cell stands in the row in which it begins.
    pub rows: Vec<Vec<Cell>>,
}

/// A cell of a table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cell {
    /// Where.
    pub outline: Quad,
    /// The column in which it begins, counted from 0.
    pub column: usize,
    /// How many rows it takes, 1 or more.
    pub row_span: usize,
    /// How many columns it takes, 1 or more.
    pub column_span: usize,
    /// Its text, lines parted by a space.
    pub text: String,
    /// How sure the engine is of it, 0 to 1.
    pub confidence: f32,
    /// What it holds, in reading order.
    pub spans: Vec<Span>,
}

/// A label with its value, or a box to tick.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FormField {
    /// The label.
    pub name: Part,
    /// The value. Empty for a box, whose outline it then has.
    pub value: Part,
    /// Whether a box is ticked. None: it is no box.
    pub ticked: Option<bool>,
}

/// A piece of the text of a page.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Part {
    /// Where.
    pub outline: Quad,
    /// Its text.
    pub text: String,
    /// How sure the engine is of it, 0 to 1.
    pub confidence: f32,
    /// Its words, in reading order.
    pub spans: Vec<Span>,
}

/// A language on a page.
#[derive(Debug, Clone, PartialEq)]
pub struct Language {
    /// BCP-47: "en", "zh".
    pub code: String,
    /// The share of the text that is in it, 0 to 1.
    pub confidence: f32,
}

/// How good a picture is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Quality {
    /// 0 (cannot be read) to 1 (faultless).
    pub score: f32,
    /// What is wrong with it, the worst first.
    pub defects: Vec<Defect>,
}

/// Something that is wrong with a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Defect {
    /// "BLURRY", "DARK", "FAINT", "TEXT_TOO_SMALL".
    pub kind: &'static str,
    /// How sure it is, 0 to 1.
    pub confidence: f32,
}

/// What an engine is, for receipts and capabilities.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineInfo {
    /// Engine, model, digest, device.
    pub provenance: Provenance,
    /// The languages it knows, BCP-47, the default first.
    pub languages: Vec<String>,
    /// The longer side that detection takes by default, in pixels.
    pub max_side: u32,
    /// A pixel more probable than this is text by default.
    pub pixel_threshold: f32,
    /// A box more probable than this is kept by default.
    pub box_threshold: f32,
    /// How much a box is enlarged by default.
    pub unclip_ratio: f32,
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Self {
            orientation: true,
            deskew: true,
            symbols: false,
            tables: false,
            form_fields: false,
            quality: false,
            min_confidence: 0.5,
            detection: Detection::default(),
        }
    }
}

// === impl Rotation ===

impl Rotation {
    /// Clockwise: 0, 90, 180 or 270.
    pub const fn degrees(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Quarter => 90,
            Self::Half => 180,
            Self::ThreeQuarters => 270,
        }
    }
}

// === impl PageReading ===

impl PageReading {
    /// The text in reading order, with one line feed after each line.
    pub fn text(&self) -> String {
        self.lines
            .iter()
            .flat_map(|line| [line.text.as_str(), "\n"])
            .collect()
    }
}
