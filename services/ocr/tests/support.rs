//! What several tests use.

pub(crate) mod pdf;
pub(crate) mod program;
pub(crate) mod served;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use polyphony_inference::Cancel;
use polyphony_ocr::document::{Ask, Sheet, Trouble};
use polyphony_ocr::reader::{Bounds, OpenDocument, Readers};

/// A client is told within this.
pub(crate) const SOON: Duration = Duration::from_secs(5);

/// A fixture; `fixtures/documents/make.py` makes them.
pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let path = folder().join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of all fixtures with one of these endings.
pub(crate) fn fixtures(endings: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder())
        .expect("the folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("a name")
        })
        .filter(|name| endings.iter().any(|ending| name.ends_with(ending)))
        .collect();
    names.sort();
    assert!(!names.is_empty(), "{endings:?}");
    names
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/documents")
}

pub(crate) fn bounds() -> Bounds {
    Bounds {
        max_pixels: 50_000_000,
        time: Duration::from_secs(4),
        memory: 1 << 30,
    }
}

/// Readers with the program that was built for these tests.
pub(crate) fn readers(bounds: Bounds) -> Readers {
    Readers::new(Path::new(env!("CARGO_BIN_EXE_polyphony-ocr")), bounds).expect("the program")
}

pub(crate) fn open(bytes: Vec<u8>) -> Result<OpenDocument, Trouble> {
    readers(bounds()).open(bytes.into(), &Cancel::default())
}

pub(crate) const ASK: Ask = Ask {
    dpi: 100,
    native: true,
    picture: false,
};

/// The first page.
pub(crate) fn first_page(bytes: Vec<u8>) -> Result<Sheet, Trouble> {
    open(bytes)?.page(0, &ASK)
}

/// The text of a page's own lines.
pub(crate) fn native_lines(sheet: &Sheet) -> Vec<String> {
    let native = sheet.head.native.as_ref().expect("native text");
    polyphony_ocr::native::lines(native, false)
        .into_iter()
        .map(|line| line.text)
        .collect()
}
