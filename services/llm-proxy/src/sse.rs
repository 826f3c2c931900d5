//! Server-sent events out of bytes that come in any pieces: a state machine that knows no socket and no JSON.
//!
//! As the HTML standard says: lines end with LF, CR LF or CR; a line `data:…` adds to the event, an empty line ends it, what
//! begins with `:` is a comment. Other fields are not used by any language-model server and are skipped.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr2;

/// Cuts a stream into the data of its events.
#[derive(Debug)]
pub(crate) struct Events {
    buffer: BytesMut,
    /// Bytes of the buffer that hold no end of a line, as far as was looked.
    looked: usize,
    data: Data,
    most: usize,
    /// The last line ended with CR: an LF that follows belongs to it.
    after_cr: bool,
    at_start: bool,
}

/// The data lines of the event so far.
#[derive(Debug, Default)]
enum Data {
    #[default]
    None,
    /// Nearly always it is one line, which needs no copy.
    One(Bytes),
    Many(Vec<u8>),
}

/// The event is larger than is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLarge;

// === impl Events ===

impl Events {
    /// Events of at most so many bytes.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            looked: 0,
            data: Data::None,
            most,
            after_cr: false,
            at_start: true,
        }
    }

    /// More bytes of the stream. To be followed by [`Events::next`] until it has no more.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The data of the next event that is whole.
    ///
    /// # Errors
    /// [`TooLarge`]; the stream is of no use any more.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, TooLarge> {
        loop {
            if self.after_cr && !self.buffer.is_empty() {
                self.after_cr = false;
                if self.buffer[0] == b'\n' {
                    self.buffer.advance(1);
                }
            }
            let Some(end) = memchr2(b'\n', b'\r', &self.buffer[self.looked..]) else {
                self.looked = self.buffer.len();
                let held = self.buffer.len() + self.data.len();
                return if held > self.most { Err(TooLarge) } else { Ok(None) };
            };
            let mut line = self.buffer.split_to(self.looked + end).freeze();
            self.looked = 0;
            self.after_cr = self.buffer[0] == b'\r';
            self.buffer.advance(1);
            if std::mem::take(&mut self.at_start) && line.starts_with(b"\xef\xbb\xbf") {
                line.advance(3);
            }
            if line.is_empty() {
                match std::mem::take(&mut self.data) {
                    Data::None => {}
                    Data::One(data) => return Ok(Some(data)),
                    Data::Many(data) => return Ok(Some(data.into())),
                }
            } else if line.starts_with(b"data:") {
                line.advance(5);
                if line.first() == Some(&b' ') {
                    line.advance(1);
                }
                self.data.add(line);
                if self.data.len() > self.most {
                    return Err(TooLarge);
                }
            }
        }
    }

    /// The data that came without the empty line at its end: some servers close after the last line. Anything else that is
    /// left is not whole.
    pub(crate) fn rest(&mut self) -> Option<Bytes> {
        if self.buffer.starts_with(b"data:") {
            self.push(b"\n");
        }
        self.push(b"\n");
        self.next().ok().flatten()
    }
}

// === impl Data ===

impl Data {
    fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(data) => data.len(),
            Self::Many(data) => data.len(),
        }
    }

    fn add(&mut self, line: Bytes) {
        *self = match std::mem::take(self) {
            Self::None => Self::One(line),
            Self::One(first) => {
                let mut all = Vec::with_capacity(first.len() + 1 + line.len());
                all.extend_from_slice(&first);
                all.push(b'\n');
                all.extend_from_slice(&line);
                Self::Many(all)
            }
            Self::Many(mut all) => {
                all.push(b'\n');
                all.extend_from_slice(&line);
                Self::Many(all)
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] = b"\xef\xbb\xbf: hello\r\n\r\ndata: {\"a\":1}\n\ndata:two\ndata: lines\r\n\r\nevent: x\rid: 7\rdata:  padded\r\rretry: 1\n\ndata: [DONE]\n\n";

    fn all(pieces: impl Iterator<Item = Vec<u8>>) -> Vec<String> {
        let mut events = Events::new(100);
        let mut found = Vec::new();
        for piece in pieces {
            events.push(&piece);
            while let Some(data) = events.next().expect("small") {
                found.push(String::from_utf8(data.to_vec()).expect("text"));
            }
        }
        assert_eq!(events.rest(), None);
        found
    }

    #[test]
    fn events_do_not_depend_on_how_the_bytes_were_cut() {
        let expected = ["{\"a\":1}", "two\nlines", " padded", "[DONE]"];
        for size in 1..STREAM.len() {
            let found = all(STREAM.chunks(size).map(<[u8]>::to_vec));
            assert_eq!(found, expected, "pieces of {size}");
        }
    }

    #[test]
    fn an_event_without_an_end_is_refused_in_time() {
        let mut events = Events::new(10);
        events.push(b"data: 12345678901");
        assert_eq!(events.next(), Err(TooLarge));
        let mut lines = Events::new(10);
        lines.push(b"data: 1234\ndata: 5678\ndata: 9\n");
        assert_eq!(lines.next(), Err(TooLarge));
    }

    #[test]
    fn a_last_line_without_its_end_still_counts() {
        let mut events = Events::new(100);
        events.push(b"data: [DONE]");
        assert_eq!(events.next(), Ok(None));
        assert_eq!(events.rest().as_deref(), Some(&b"[DONE]"[..]));
        events.push(b"dat");
        assert_eq!(events.next(), Ok(None));
        assert_eq!(events.rest(), None);
    }
}
