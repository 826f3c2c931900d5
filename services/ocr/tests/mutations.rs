//! Damaged files: whatever is done to a document, its reader answers, soon and with one trouble, or reads it.

use std::cell::Cell;
use std::panic;
use std::sync::Once;
use std::time::{Duration, Instant};

use polyphony_inference::Cancel;
use polyphony_ocr::document::{Ask, Document, Limits, MediaType};
use polyphony_testing::Rng;

use crate::support::{ASK, SOON, bounds, fixture, fixtures, readers};

/// Files that are damaged in memory, for each kind.
const DAMAGED: usize = 400;
/// And through a process.
const THROUGH: usize = 8;
/// Injuries of one file at most.
const WOUNDS: usize = 4;
const LIMITS: Limits = Limits {
    max_pixels: 1_000_000,
    max_memory: 64 << 20,
};

thread_local! {
    /// Whether panics of this thread are of no interest.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// What decoders say when they panic is not shown: the process of the reader catches it. Other tests still say theirs.
fn quietly<T>(work: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                before(info);
            }
        }));
    });
    QUIET.set(true);
    let done = work();
    QUIET.set(false);
    done
}

fn try_all(endings: &[&str], rounds: usize) {
    let mut rng = Rng::new(0x0C12);
    let names = fixtures(endings);
    for round in 0..rounds {
        let name = &names[round % names.len()];
        let bytes = rng.mutate(&fixture(name), WOUNDS);
        let began = Instant::now();
        let read = quietly(|| {
            panic::catch_unwind(move || {
                let document = Document::open(bytes, LIMITS).ok()?;
                let mut largest = 0;
                for number in 0..document.page_count().min(3) {
                    let found = document.page(number, &Ask { dpi: 72, ..ASK });
                    if let Some(picture) = found.ok().and_then(|sheet| sheet.picture) {
                        largest = largest.max(u64::from(picture.width()) * u64::from(picture.height()));
                    }
                }
                Some(largest)
            })
        });
        if let Ok(Some(largest)) = read {
            assert!(
                largest <= LIMITS.max_pixels,
                "{name}, round {round}: {largest} pixels"
            );
        }
        assert!(
            began.elapsed() < SOON,
            "{name}, round {round}, took {:?}",
            began.elapsed()
        );
    }
}

#[test]
fn damaged_pictures_do_no_harm() {
    try_all(&[".png", ".jpg", ".webp", ".gif", ".bmp"], 5 * DAMAGED);
}

#[test]
fn damaged_tiffs_do_no_harm() {
    try_all(&[".tif"], 2 * DAMAGED);
}

#[test]
fn damaged_pdfs_do_no_harm() {
    try_all(&[".pdf"], DAMAGED / 2);
}

#[test]
fn damaged_files_are_answered_by_the_process_too() {
    let mut rng = Rng::new(0xD0C);
    let hasty = polyphony_ocr::reader::Bounds {
        time: Duration::from_secs(3),
        memory: 256 << 20,
        ..bounds()
    };
    let readers = readers(hasty);
    for kind in [".png", ".jpg", ".webp", ".gif", ".bmp", ".tif", ".pdf"] {
        let names = fixtures(&[kind]);
        for round in 0..THROUGH {
            let bytes = rng.mutate(&fixture(&names[round % names.len()]), WOUNDS);
            let began = Instant::now();
            let known = MediaType::of(&bytes);
            match readers.open(bytes.into(), &Cancel::default()) {
                Ok(mut document) => {
                    assert_eq!(Ok(document.media_type()), known);
                    if let Err(trouble) = document.page(0, &ASK) {
                        assert_ne!(trouble.reason(), "INTERNAL", "{kind}, round {round}: {trouble:?}");
                    }
                }
                Err(trouble) => {
                    assert_ne!(trouble.reason(), "INTERNAL", "{kind}, round {round}: {trouble:?}")
                }
            }
            assert!(
                began.elapsed() < 2 * SOON,
                "{kind}, round {round}, took {:?}",
                began.elapsed()
            );
        }
    }
}
