//! PDF: pages drawn, and the text that they hold themselves.
//!
//! Drawing and interpreting are hayro's. It keeps to no limit of time or memory, which the reader's process does for it.

mod judge;
pub(super) mod native;

use std::fmt;
use std::sync::Arc;

use hayro::hayro_interpret::{
    Context, InterpreterCache, InterpreterSettings, RenderContent, TransformExt, interpret_page,
};
use hayro::hayro_syntax::page::Page;
use hayro::hayro_syntax::{DecryptionError, LoadPdfError, Pdf};
use hayro::kurbo::{Affine, Rect};
use hayro::vello_cpu::color::palette::css::WHITE;
use hayro::{PixmapSettings, RenderCache, RenderSettings};

use self::judge::Verdict;
use self::native::Listener;
use super::{Ask, LONGEST_SIDE, Limits, Sheet, SheetHead, Trouble};
use crate::domain::Picture;

/// A PDF that is open.
pub(super) struct PdfFile {
    pdf: Pdf,
}

/// Units of a page an inch.
const POINTS: f32 = 72.0;

// === impl PdfFile ===

impl PdfFile {
    pub(super) fn open(bytes: Vec<u8>) -> Result<Self, Trouble> {
        let pdf = Pdf::new(bytes).map_err(|error| match error {
            LoadPdfError::Decryption(DecryptionError::PasswordProtected) => Trouble::Encrypted,
            LoadPdfError::Decryption(other) => {
                Trouble::Unsupported(format!("its encryption cannot be undone ({other:?})"))
            }
            LoadPdfError::Invalid => Trouble::Damaged("it has no pages that can be found".to_owned()),
        })?;
        if pdf.pages().is_empty() {
            return Err(Trouble::Damaged("it has no pages".to_owned()));
        }
        Ok(Self { pdf })
    }

    pub(super) fn page_count(&self) -> u32 {
        u32::try_from(self.pdf.pages().len()).unwrap_or(u32::MAX)
    }

    pub(super) fn page(&self, number: u32, ask: &Ask, limits: &Limits) -> Result<Sheet, Trouble> {
        let page = self.pdf.pages().get(number as usize).ok_or(Trouble::NoSuchPage)?;
        let scale = ask.dpi as f32 / POINTS;
        let (across, down) = page.render_dimensions();
        let pixels = |points: f32| (points * scale).floor().max(1.0);
        let (across, down) = (pixels(across), pixels(down));
        let too_large = || Trouble::TooLargeToDraw {
            width: across as u64,
            height: down as u64,
            dpi: ask.dpi,
            most: limits.max_pixels,
        };
        if !across.is_finite() || !down.is_finite() {
            return Err(Trouble::Damaged("its size is no number".to_owned()));
        }
        limits
            .check(across as u64, down as u64)
            .map_err(|_| too_large())?;
        let (width, height) = (across as u32, down as u32);
        debug_assert!(width <= LONGEST_SIDE && height <= LONGEST_SIDE);
        let settings = settings();
        let verdict = if ask.native {
            judge::judge(self.listen(page, scale, (width, height), &settings))
        } else {
            Verdict::Picture
        };
        let (native, wants_picture) = match verdict {
            Verdict::Picture => (None, true),
            Verdict::Text(text) => (Some(text), false),
            Verdict::Both(text) => (Some(text), true),
        };
        let picture = if wants_picture || ask.picture {
            Some(draw(page, scale, (width, height), &settings)?)
        } else {
            None
        };
        let head = SheetHead {
            width,
            height,
            dpi: ask.dpi as f32,
            native,
        };
        Ok(Sheet { head, picture })
    }

    /// What a page says, without drawing it.
    fn listen<'a>(
        &self,
        page: &Page<'a>,
        scale: f32,
        (width, height): (u32, u32),
        settings: &InterpreterSettings,
    ) -> native::Heard {
        let transform = Affine::scale(scale.into()) * page.initial_transform(true).to_kurbo();
        let target = Rect::new(0.0, 0.0, width.into(), height.into());
        let cache = InterpreterCache::new();
        let mut context = Context::new(transform, target, &cache, page.xref(), settings.clone());
        let mut listener = Listener::new(target);
        interpret_page(page, &mut context, &mut listener);
        listener.heard()
    }
}

/// What a person sees: annotations too, which is where forms keep what was filled in.
fn settings() -> InterpreterSettings {
    InterpreterSettings {
        warning_sink: Arc::new(|_| {}),
        render_content: RenderContent::all(),
        ..InterpreterSettings::default()
    }
}

fn draw(
    page: &Page<'_>,
    scale: f32,
    (width, height): (u32, u32),
    settings: &InterpreterSettings,
) -> Result<Picture, Trouble> {
    let cache = RenderCache::new();
    let pixmap_settings = PixmapSettings {
        x_scale: scale,
        y_scale: scale,
        bg_color: WHITE,
    };
    let drawn = hayro::render(
        page,
        &cache,
        settings,
        &RenderSettings::default(),
        &pixmap_settings,
    );
    let (drawn_width, drawn_height) = (u32::from(drawn.width()), u32::from(drawn.height()));
    // On white everything is opaque, so nothing is premultiplied.
    let mut pixels = Vec::with_capacity(drawn_width as usize * drawn_height as usize * 3);
    for pixel in drawn.data_as_u8_slice().chunks_exact(4) {
        pixels.extend_from_slice(&pixel[..3]);
    }
    let picture = Picture::from_raw(drawn_width, drawn_height, pixels)
        .ok_or_else(|| Trouble::Damaged("it was drawn in another size".to_owned()))?;
    if (drawn_width, drawn_height) == (width, height) {
        return Ok(picture);
    }
    // Less than a point across: a page of nothing.
    Err(Trouble::Damaged("it is smaller than a pixel".to_owned()))
}

impl fmt::Debug for PdfFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PdfFile")
            .field("pages", &self.pdf.pages().len())
            .finish_non_exhaustive()
    }
}
