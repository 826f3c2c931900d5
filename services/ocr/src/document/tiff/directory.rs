//! The chain of directories of a TIFF: where each page begins.

use std::collections::HashSet;
use std::ops::Range;

use crate::document::Trouble;

/// Where the directories of a TIFF lie, and how its numbers are written.
#[derive(Debug)]
pub(super) struct Chain {
    big_endian: bool,
    /// BigTIFF: offsets of 8 bytes.
    big: bool,
    /// Offsets of the directories that are pages; thumbnails and masks are none.
    pub(super) pages: Vec<u64>,
}

/// A file of any size that is accepted holds fewer.
const MOST_DIRECTORIES: usize = 100_000;
const NEW_SUBFILE_TYPE: u16 = 254;
/// Bits of NewSubfileType: a smaller copy of another page, or the mask of one.
const NO_PAGE: u64 = 0b101;

// === impl Chain ===

impl Chain {
    pub(super) fn walk(bytes: &[u8]) -> Result<Self, Trouble> {
        let damaged = |what: &str| Trouble::Damaged(what.to_owned());
        let big_endian = bytes.starts_with(b"MM");
        let mut chain = Self {
            big_endian,
            big: false,
            pages: Vec::new(),
        };
        chain.big = chain.number(bytes, 2, 2) == Some(43);
        let mut next = chain
            .number(bytes, chain.pointer_at(), chain.width())
            .ok_or_else(|| damaged("it ends within its header"))?;
        let mut seen = HashSet::new();
        while next != 0 {
            if !seen.insert(next) {
                return Err(damaged("its pages run in a circle"));
            }
            if seen.len() > MOST_DIRECTORIES {
                return Err(damaged("it has too many directories"));
            }
            let Some((entries, after)) = chain.extent(bytes, next) else {
                // What comes before is good.
                if chain.pages.is_empty() {
                    return Err(damaged("it ends within its directory"));
                }
                break;
            };
            let kind = chain.find(bytes, entries, NEW_SUBFILE_TYPE);
            if kind.is_none_or(|(_, kind)| kind & NO_PAGE == 0) {
                chain.pages.push(next);
            }
            // A file that ends here has no further page.
            next = chain.number(bytes, after, chain.width()).unwrap_or(0);
        }
        if chain.pages.is_empty() {
            return Err(damaged("it has no pages"));
        }
        Ok(chain)
    }

    /// Where the header points to the first directory.
    pub(super) const fn pointer_at(&self) -> usize {
        if self.big { 8 } else { 4 }
    }

    /// An offset as this file writes it.
    pub(super) fn pointer(&self, offset: u64) -> Vec<u8> {
        let bytes = offset.to_be_bytes();
        let mut written = bytes[bytes.len() - self.width()..].to_vec();
        if !self.big_endian {
            written.reverse();
        }
        written
    }

    /// A number of two bytes as this file writes it.
    pub(super) fn short(&self, value: u16) -> Vec<u8> {
        if self.big_endian {
            value.to_be_bytes().to_vec()
        } else {
            value.to_le_bytes().to_vec()
        }
    }

    /// Where the first value of a tag stands in the directory at `offset`, if it stands there, and what it is.
    pub(super) fn entry(&self, bytes: &[u8], offset: u64, tag: u16) -> Option<(usize, u64)> {
        let (entries, _) = self.extent(bytes, offset)?;
        self.find(bytes, entries, tag)
    }

    fn find(&self, bytes: &[u8], entries: Range<usize>, tag: u16) -> Option<(usize, u64)> {
        let step = self.step();
        let mut at = entries.start;
        while at < entries.end {
            if self.number(bytes, at, 2) == Some(tag.into()) {
                let size = match self.number(bytes, at + 2, 2)? {
                    3 => 2,
                    4 => 4,
                    _ => return None,
                };
                let value_at = at + step - self.width();
                return Some((value_at, self.number(bytes, value_at, size)?));
            }
            at += step;
        }
        None
    }

    /// Where the entries of the directory at `offset` stand, and where the pointer to the next stands.
    fn extent(&self, bytes: &[u8], offset: u64) -> Option<(Range<usize>, usize)> {
        let offset = usize::try_from(offset).ok()?;
        let counter = if self.big { 8 } else { 2 };
        let count = usize::try_from(self.number(bytes, offset, counter)?).ok()?;
        let begin = offset.checked_add(counter)?;
        let end = begin.checked_add(count.checked_mul(self.step())?)?;
        (count > 0 && end <= bytes.len()).then_some((begin..end, end))
    }

    /// Bytes of an entry.
    const fn step(&self) -> usize {
        if self.big { 20 } else { 12 }
    }

    /// Bytes of an offset.
    const fn width(&self) -> usize {
        if self.big { 8 } else { 4 }
    }

    fn number(&self, bytes: &[u8], at: usize, width: usize) -> Option<u64> {
        let bytes = bytes.get(at..at.checked_add(width)?)?.iter();
        let join = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Some(if self.big_endian {
            bytes.fold(0, join)
        } else {
            bytes.rev().fold(0, join)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Directories of one entry each, `next[i]` the offset that directory i points to.
    fn file(kinds: &[u32], next: &[u32]) -> Vec<u8> {
        let mut bytes = b"II*\0\x08\0\0\0".to_vec();
        for (kind, next) in kinds.iter().zip(next) {
            bytes.extend([1, 0, 254, 0, 4, 0, 1, 0, 0, 0]);
            bytes.extend(kind.to_le_bytes());
            bytes.extend(next.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn pages_are_found_and_thumbnails_left_out() {
        let chain = Chain::walk(&file(&[0, 1, 2], &[26, 44, 0])).expect("a chain");
        assert_eq!(chain.pages, [8, 44]);
        assert_eq!(chain.pointer(44), [44, 0, 0, 0]);
    }

    #[test]
    fn a_circle_is_damage_and_not_a_loop() {
        for next in [[8, 0], [26, 8]] {
            let found = Chain::walk(&file(&[0, 0], &next));
            assert!(matches!(found, Err(Trouble::Damaged(_))), "{found:?}");
        }
    }

    #[test]
    fn a_file_that_is_cut_off_has_the_pages_before_the_cut() {
        let whole = file(&[0, 0], &[26, 0]);
        assert_eq!(Chain::walk(&whole[..36]).expect("one page").pages, [8]);
        assert!(Chain::walk(&whole[..20]).is_err());
    }
}
