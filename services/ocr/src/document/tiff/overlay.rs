//! Bytes with a few of them replaced, so that a decoder can be shown one page of a file without a copy of the file.

use std::io::{self, Read, Seek, SeekFrom};

/// A file with patches.
#[derive(Debug)]
pub(super) struct Overlay<'a> {
    bytes: &'a [u8],
    patches: Vec<(usize, Vec<u8>)>,
    at: u64,
}

// === impl Overlay ===

impl<'a> Overlay<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            patches: Vec::new(),
            at: 0,
        }
    }

    /// From now on these bytes stand at `offset`.
    pub(super) fn put(&mut self, offset: usize, patch: Vec<u8>) {
        self.patches.push((offset, patch));
    }
}

impl Read for Overlay<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let begin = usize::try_from(self.at)
            .unwrap_or(usize::MAX)
            .min(self.bytes.len());
        let length = buf.len().min(self.bytes.len() - begin);
        let read = &mut buf[..length];
        read.copy_from_slice(&self.bytes[begin..begin + length]);
        for (offset, patch) in &self.patches {
            for (at, byte) in (*offset..).zip(patch) {
                if let Some(place) = at.checked_sub(begin).and_then(|at| read.get_mut(at)) {
                    *place = *byte;
                }
            }
        }
        self.at += length as u64;
        Ok(length)
    }
}

impl Seek for Overlay<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (from, by) = match to {
            SeekFrom::Start(at) => {
                self.at = at;
                return Ok(at);
            }
            SeekFrom::End(by) => (self.bytes.len() as u64, by),
            SeekFrom::Current(by) => (self.at, by),
        };
        self.at = from
            .checked_add_signed(by)
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_are_seen_wherever_reading_begins() {
        let mut overlay = Overlay::new(b"abcdef");
        overlay.put(2, b"XY".to_vec());
        for (begin, expected) in [(0, &b"abXYef"[..]), (3, b"Yef"), (4, b"ef"), (9, b"")] {
            overlay.seek(SeekFrom::Start(begin)).expect("seeks");
            let mut read = Vec::new();
            overlay.read_to_end(&mut read).expect("reads");
            assert_eq!(read, expected);
        }
    }
}
