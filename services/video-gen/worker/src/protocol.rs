//! What the worker and its parent say to each other: JSON, an object a line. Commands go in by standard input, events come
//! out by standard output; standard error is a log for people and no part of it.
//!
//! It is not a network protocol: both ends are of one build, and both refuse what they do not know. Orders are done one
//! after the other, in the order they came; `cancel` is heard at any time. For each `generate` exactly one of `done`,
//! `cancelled` and `failed` comes, and it comes when the device is free again. When standard input ends, the parent is
//! gone: what is under way is given up, and the worker exits.

use std::io::{self, BufRead, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

mod command;
mod event;

pub use command::{Command, DummySize, Order, Sampler, Weights};
pub use event::{Event, FailureKind, Part, Precision, Stage, Timings};

/// The version of what is said here; `ready` tells it, and a parent of another one must not go on.
pub const VERSION: u32 = 2;

/// The longest line in bytes, without its end. Two prompts of 4,000 characters and a receipt take a tenth of it.
pub const MAX_LINE_BYTES: usize = 256 * 1024;

/// A line that could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// It is longer than [`MAX_LINE_BYTES`].
    #[error("a line of more than {MAX_LINE_BYTES} bytes")]
    TooLong,
    /// It is none of the messages.
    #[error("a line that is no message of protocol version {VERSION}")]
    Unknown(#[source] serde_json::Error),
    /// The pipe failed, or ended within a line.
    #[error("the pipe failed")]
    Pipe(#[source] io::Error),
}

/// Reads the next message; none when the pipe has ended. After [`LineError::Unknown`] the next line can be read.
///
/// # Errors
///
/// A line that is too long, no message, or cut off.
pub fn read<T: DeserializeOwned>(from: &mut impl BufRead) -> Result<Option<T>, LineError> {
    let mut line = Vec::new();
    let limit = u64::try_from(MAX_LINE_BYTES).unwrap_or(u64::MAX) + 1;
    let count = from
        .take(limit)
        .read_until(b'\n', &mut line)
        .map_err(LineError::Pipe)?;
    if count == 0 {
        return Ok(None);
    }
    if line.pop_if(|last| *last == b'\n').is_none() {
        return Err(if count > MAX_LINE_BYTES {
            LineError::TooLong
        } else {
            LineError::Pipe(io::ErrorKind::UnexpectedEof.into())
        });
    }
    parse(&line).map(Some)
}

/// A message from its line, without the line's end: for who reads lines in another way.
///
/// # Errors
///
/// A line that is too long or no message.
pub fn parse<T: DeserializeOwned>(line: &[u8]) -> Result<T, LineError> {
    if line.len() > MAX_LINE_BYTES {
        return Err(LineError::TooLong);
    }
    serde_json::from_slice(line).map_err(LineError::Unknown)
}

/// A message as its line, with the line's end.
///
/// # Errors
///
/// A message that makes too long a line.
pub fn line<T: Serialize>(message: &T) -> Result<Vec<u8>, LineError> {
    let mut line = serde_json::to_vec(message).map_err(LineError::Unknown)?;
    if line.len() > MAX_LINE_BYTES {
        return Err(LineError::TooLong);
    }
    line.push(b'\n');
    Ok(line)
}

/// Writes a message and sees it off.
///
/// # Errors
///
/// A message that makes too long a line, or a pipe that nobody reads.
pub fn write<T: Serialize>(to: &mut impl Write, message: &T) -> Result<(), LineError> {
    let line = line(message)?;
    to.write_all(&line)
        .and_then(|()| to.flush())
        .map_err(LineError::Pipe)
}

#[cfg(test)]
mod tests;
