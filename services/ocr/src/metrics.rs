//! The names text recognition is measured by. Calls themselves are counted by the chassis.

use std::time::Duration;

use metrics::{counter, histogram};

use crate::reading::Source;

/// Pages read. Labels `engine`, `source` (`picture`, `native`, `mixed`).
const PAGES: &str = "polyphony_ocr_pages_total";
/// Milliseconds that an engine worked. Labels as above.
const WORK: &str = "polyphony_ocr_work_milliseconds_total";
/// Seconds to decode or draw a page.
const OPEN: &str = "polyphony_ocr_page_open_seconds";
/// Pages that could not be opened. Label `reason`.
const FAILED: &str = "polyphony_ocr_pages_failed_total";

pub(crate) fn page_read(engine: &'static str, source: Source, work: Duration) {
    let source = match source {
        Source::Picture => "picture",
        Source::Native => "native",
        Source::Mixed => "mixed",
    };
    counter!(PAGES, "engine" => engine, "source" => source).increment(1);
    counter!(WORK, "engine" => engine, "source" => source).increment(work.as_millis() as u64);
}

pub(crate) fn page_opened(took: Duration) {
    histogram!(OPEN).record(took.as_secs_f64());
}

pub(crate) fn page_failed(reason: &'static str) {
    counter!(FAILED, "reason" => reason).increment(1);
}
