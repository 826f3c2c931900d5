//! `PageRange`: which pages of a document are wanted.

use polyphony_error::Fault;
use polyphony_proto::ocr::v1 as pb;
use polyphony_wire::Refusals;

/// Ranges that are well formed; empty: all pages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ranges(Vec<(u32, u32)>);

/// More ranges than this are not looked at.
const MOST_RANGES: usize = 1_000;

// === impl Ranges ===

impl Ranges {
    pub(crate) fn parse(ranges: Vec<pb::PageRange>) -> Result<Self, Fault> {
        let mut refusals = Refusals::at("");
        if ranges.len() > MOST_RANGES {
            refusals.add("pages", "must be at most 1000 ranges");
        }
        let mut parsed = Vec::with_capacity(ranges.len().min(MOST_RANGES));
        for (at, range) in ranges.into_iter().take(MOST_RANGES).enumerate() {
            let pb::PageRange { start_page, end_page } = range;
            if start_page >= end_page {
                refusals.add(
                    &format!("pages[{at}].end_page"),
                    "must be more than start_page; it is one past the last",
                );
            }
            parsed.push((start_page, end_page));
        }
        refusals.finish()?;
        Ok(Self(parsed))
    }

    /// The pages of a document of `count` pages, in order and each once, at most `most`.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for pages that the document does not have, RESOURCE_EXHAUSTED for too many.
    pub(crate) fn pages(&self, count: u32, most: u32, field: &str) -> Result<Vec<u32>, Fault> {
        let mut refusals = Refusals::at("");
        for (at, (_, end)) in self.0.iter().enumerate() {
            if *end > count {
                let text = format!("must be at most {count}: the document has so many pages");
                refusals.add(&format!("pages[{at}].end_page"), text);
            }
        }
        refusals.finish()?;
        let mut pages: Vec<u32> = if self.0.is_empty() {
            (0..count).take(most as usize + 1).collect()
        } else {
            let mut ranges = self.0.clone();
            ranges.sort_unstable();
            let mut pages = Vec::new();
            let mut next = 0;
            for (start, end) in ranges {
                pages.extend((start.max(next)..end).take(most as usize + 1 - pages.len().min(most as usize)));
                next = next.max(end);
            }
            pages
        };
        if pages.len() > most as usize {
            let asked = if self.0.is_empty() {
                count.to_string()
            } else {
                format!("more than {most}")
            };
            let text = format!(
                "has {asked} pages to read; at most {most} (ocr.max_pages) are read in one call: name some in pages"
            );
            return Err(Fault::exhausted(
                "TOO_MANY_PAGES",
                "ocr.max_pages",
                format!("{field}: {text}"),
                None,
            )
            .and_invalid(field.to_owned(), text));
        }
        pages.shrink_to_fit();
        Ok(pages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(ranges: &[(u32, u32)]) -> Result<Ranges, Fault> {
        let wire = ranges
            .iter()
            .map(|(start_page, end_page)| pb::PageRange {
                start_page: *start_page,
                end_page: *end_page,
            })
            .collect();
        Ranges::parse(wire)
    }

    #[test]
    fn pages_come_in_order_and_once() {
        let pages = |wanted: &[(u32, u32)]| ranges(wanted).expect("ranges").pages(10, 5, "document");
        assert_eq!(pages(&[(4, 6), (0, 1), (5, 7)]).expect("pages"), [0, 4, 5, 6]);
        assert_eq!(pages(&[(0, 5), (1, 3)]).expect("pages"), [0, 1, 2, 3, 4]);
        assert_eq!(
            ranges(&[]).expect("all").pages(3, 5, "document").expect("pages"),
            [0, 1, 2]
        );
        for too_many in [&[][..], &[(0, 6)], &[(0, 3), (3, 5), (9, 10)]] {
            assert_eq!(pages(too_many).expect_err("too many").reason, "TOO_MANY_PAGES");
        }
        assert_eq!(
            pages(&[(0, 1), (9, 11)]).expect_err("no such page").violations[0].field,
            "pages[1].end_page"
        );
        assert!(
            ranges(&[(u32::MAX - 1, u32::MAX)])
                .expect("a range")
                .pages(10, 5, "document")
                .is_err()
        );
    }

    #[test]
    fn an_empty_range_is_refused() {
        for range in [(3, 3), (3, 2)] {
            assert_eq!(
                ranges(&[range]).expect_err("empty").violations[0].field,
                "pages[0].end_page"
            );
        }
    }
}
