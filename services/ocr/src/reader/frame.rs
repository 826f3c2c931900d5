//! What crosses between us and the process that opens documents: a message in JSON, and a blob. Both ends are of one
//! program, so there are no versions.

use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::document::{Ask, Limits, MediaType, SheetHead, Trouble};

/// What is asked of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Call {
    /// Open the document in the blob.
    Open(Limits),
    /// Give a page of it.
    Page {
        /// Counted from 0.
        number: u32,
        /// How.
        ask: Ask,
    },
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    /// The document is open.
    Opened {
        /// What it is.
        media_type: MediaType,
        /// How many pages it has.
        pages: u32,
    },
    /// A page. The blob is its picture, 8-bit RGB, or empty.
    Page(SheetHead),
    /// It cannot be done. The document stays open, if it was.
    Trouble(Trouble),
}

/// The longest message: all glyphs that a page can hold take less.
const LONGEST_MESSAGE: u64 = 256 << 20;

/// Writes a message and a blob.
pub(super) fn write(to: &mut impl Write, message: &impl Serialize, blob: &[u8]) -> io::Result<()> {
    let message = serde_json::to_vec(message)?;
    to.write_all(&(message.len() as u64).to_le_bytes())?;
    to.write_all(&(blob.len() as u64).to_le_bytes())?;
    to.write_all(&message)?;
    to.write_all(blob)
}

/// Reads a message and a blob of at most so many bytes.
pub(super) fn read<T: DeserializeOwned>(from: &mut impl Read, largest: u64) -> io::Result<(T, Vec<u8>)> {
    let message_length = number(from)?;
    let blob_length = number(from)?;
    if message_length > LONGEST_MESSAGE || blob_length > largest {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a frame that is too long",
        ));
    }
    let message = exactly(from, message_length)?;
    let message = serde_json::from_slice(&message)?;
    Ok((message, exactly(from, blob_length)?))
}

fn number(from: &mut impl Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    from.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

fn exactly(from: &mut impl Read, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_cross_whole_and_long_ones_not_at_all() {
        let mut bytes = Vec::new();
        let reply = Reply::Trouble(Trouble::Encrypted);
        write(&mut bytes, &reply, b"blob").expect("writes");
        let (message, blob): (Reply, _) = read(&mut &bytes[..], 4).expect("reads");
        assert!(matches!(message, Reply::Trouble(Trouble::Encrypted)) && blob == b"blob");
        let error = read::<Reply>(&mut &bytes[..], 3).expect_err("too long");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let error = read::<Reply>(&mut &bytes[..10], 4).expect_err("cut off");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
