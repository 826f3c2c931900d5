//! Follows the elements of a Matroska file far enough to say whether it may end where it ends.
//!
//! A live recorder (every browser) writes segments and clusters of unknown size, so that the end of the bytes is the
//! end of the file, if it falls between two elements. symphonia reports it as an unexpected end, as it does for a file
//! that was cut. The walk descends into segments and clusters, skips all else by its size, and reads no content.
//! Element identifiers and sizes: RFC 8794 §4 to §6.

const SEGMENT: u64 = 0x1853_8067;
const CLUSTER: u64 = 0x1f43_b675;

/// The state between two pieces of input.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    /// Bytes seen.
    position: u64,
    /// Where the element that is being skipped ends.
    skip_to: u64,
    /// Where the last segment or cluster of known size ends.
    promised: u64,
    /// The beginning of an element's header.
    header: Vec<u8>,
    /// Something that is not understood came; nothing can be said any more.
    lost: bool,
}

// === impl Walk ===

impl Walk {
    /// Takes the next bytes.
    pub(crate) fn see(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.lost {
            let skip = self.skip_to.saturating_sub(self.position).min(bytes.len() as u64);
            let step = if skip > 0 { skip as usize } else { 1 };
            let (seen, rest) = bytes.split_at(step);
            self.position += step as u64;
            bytes = rest;
            if skip == 0 {
                self.header.extend_from_slice(seen);
                self.enter();
            }
        }
    }

    /// Whether the bytes so far end between two elements, with nothing promised that is missing.
    pub(crate) const fn is_whole(&self) -> bool {
        let between = self.header.is_empty() && self.position >= self.skip_to;
        !self.lost && between && self.position > 0 && self.position >= self.promised
    }

    /// Acts on the header once it is complete.
    fn enter(&mut self) {
        let Some((id, rest)) = vint(&self.header, 4, false) else {
            self.lost = self.header.len() >= 4;
            return;
        };
        let Some((size, rest)) = vint(rest, 8, true) else {
            self.lost = rest.len() >= 8;
            return;
        };
        debug_assert!(rest.is_empty());
        self.header.clear();
        let end = size.and_then(|size| self.position.checked_add(size));
        match (id, end) {
            (Some(SEGMENT | CLUSTER), None) => {}
            (Some(SEGMENT | CLUSTER), Some(end)) => self.promised = self.promised.max(end),
            (_, Some(end)) => self.skip_to = end,
            (_, None) => self.lost = true,
        }
    }
}

/// A number whose length is given by its leading zeros, and what follows it. The inner `None` is the unknown size,
/// all ones. An identifier keeps its marker bit, a size does not.
fn vint(bytes: &[u8], max: usize, is_size: bool) -> Option<(Option<u64>, &[u8])> {
    let len = bytes.first()?.leading_zeros() as usize + 1;
    if len > max || bytes.len() < len {
        return None;
    }
    let (number, rest) = bytes.split_at(len);
    let value = number.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
    if !is_size {
        return Some((Some(value), rest));
    }
    let mask = (1u64 << (7 * len)) - 1;
    Some((Some(value & mask).filter(|size| *size != mask), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An EBML header, a segment of unknown size, a cluster of unknown size with a block of three bytes.
    const LIVE: [u8; 28] = [
        0x1a, 0x45, 0xdf, 0xa3, 0x81, 0x00, 0x18, 0x53, 0x80, 0x67, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0x1f, 0x43, 0xb6, 0x75, 0xff, 0xa3, 0x83, 1, 2, 3,
    ];

    #[test]
    fn a_live_file_may_end_between_two_elements_only() {
        let whole: Vec<usize> = (0..=LIVE.len())
            .filter(|len| {
                let mut walk = Walk::default();
                walk.see(&LIVE[..*len]);
                walk.is_whole()
            })
            .collect();
        assert_eq!(whole, [6, 18, 23, 28]);
    }

    #[test]
    fn pieces_make_no_difference_and_a_known_size_is_a_promise() {
        let mut walk = Walk::default();
        LIVE.iter().for_each(|byte| walk.see(&[*byte]));
        assert!(walk.is_whole());

        let mut promised = LIVE;
        promised[17] = 0xfe;
        let mut walk = Walk::default();
        walk.see(&promised);
        assert!(!walk.is_whole());
    }
}
