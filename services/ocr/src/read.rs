//! One page from the document to what stands on it: the reader's process opens it, the engine reads its picture, and the
//! document's own text is taken where it is of use.

use std::time::{Duration, Instant};

use polyphony_error::Fault;
use polyphony_inference::Cancel;

use crate::convert::request::Plan;
use crate::document::{Sheet, SheetHead};
use crate::domain::{Options, PageReading, Picture, Rotation};
use crate::engine::Engine;
use crate::layout;
use crate::metrics;
use crate::mixed;
use crate::native;
use crate::reader::OpenDocument;
use crate::reading::{Page, Source};

/// A page, and how long the engine worked on it.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) page: Page,
    pub(crate) inference: Duration,
}

/// Reads a page, counted from 0. Blocks. `field` is where the document stood in the request.
pub(crate) fn page(
    document: &mut OpenDocument,
    number: u32,
    plan: &Plan,
    engine: &dyn Engine,
    cancel: &Cancel,
    field: &str,
) -> Result<Read, Fault> {
    let opening = Instant::now();
    let sheet = document.page(number, &plan.ask).map_err(|trouble| {
        metrics::page_failed(trouble.reason());
        trouble.fault(field)
    })?;
    metrics::page_opened(opening.elapsed());
    let began = Instant::now();
    let read = of_sheet(sheet, number, &plan.options, engine, cancel)?;
    let inference = began.elapsed();
    metrics::page_read(engine.info().provenance.engine, read.source, inference);
    Ok(Read {
        page: read,
        inference,
    })
}

/// What stands on a page that is open.
fn of_sheet(
    sheet: Sheet,
    number: u32,
    options: &Options,
    engine: &dyn Engine,
    cancel: &Cancel,
) -> Result<Page, Fault> {
    let Sheet { head, picture } = sheet;
    let SheetHead {
        width,
        height,
        dpi,
        native,
    } = head;
    let page = |source, reading| Page {
        number,
        dpi,
        source,
        reading,
    };
    let Some(text) = native else {
        let picture = picture.ok_or_else(|| Fault::internal("a page without text and picture"))?;
        let reading = engine.read(&picture, options, cancel)?;
        return Ok(page(Source::Picture, reading));
    };
    let rotation = if options.orientation {
        native::turn(&text)
    } else {
        Rotation::None
    };
    let text = native::turned(text, rotation, (width as f32, height as f32));
    let picture = picture.map(|picture| turned(picture, rotation));
    let (width, height) = match rotation {
        Rotation::None | Rotation::Half => (width, height),
        Rotation::Quarter | Rotation::ThreeQuarters => (height, width),
    };
    let mut lines = native::lines(&text, options.symbols);
    let mut source = Source::Native;
    if let Some(picture) = picture.as_ref().filter(|_| !text.pictures.is_empty()) {
        // It lies the way its text does.
        let upright = Options {
            orientation: false,
            ..options.clone()
        };
        let seen = engine.read(picture, &upright, cancel)?;
        if mixed::add(&mut lines, seen.lines, &text.pictures) > 0 {
            source = Source::Mixed;
        }
    }
    let reading = PageReading {
        width,
        height,
        rotation,
        lines,
        ..PageReading::default()
    };
    Ok(page(source, layout::arrange(reading, picture.as_ref(), options)))
}

fn turned(picture: Picture, rotation: Rotation) -> Picture {
    match rotation {
        Rotation::None => picture,
        Rotation::Quarter => image::imageops::rotate90(&picture),
        Rotation::Half => image::imageops::rotate180(&picture),
        Rotation::ThreeQuarters => image::imageops::rotate270(&picture),
    }
}
