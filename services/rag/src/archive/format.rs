//! The frames of an archive: a kind, a length, and as many bytes.
//!
//! The kinds are `M` (a [`Manifest`], once, first), `D` (a [`Document`]), `P` (a passage: the length of its JSON, its JSON,
//! and its vector as little-endian 32-bit floats, if there is one) and `E` (an [`End`], once, last). A passage belongs to
//! the document before it.

use std::io::{self, Read};

use polyphony_error::Fault;
use serde::{Deserialize, Serialize};

use crate::Error;

/// What every archive begins with; the number is the version.
pub(super) const MAGIC: &[u8; 8] = b"PLYRAG1\n";
/// No frame is larger: a passage and its vector are far below.
const MOST: u32 = 64 << 20;

/// What the space is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub(super) space_id: String,
    pub(super) display_name: String,
    pub(super) embedding_model: String,
    pub(super) language: Option<String>,
    pub(super) target_tokens: u32,
    pub(super) max_tokens: u32,
    pub(super) overlap_tokens: u32,
    /// Passages have their vectors with them.
    pub(super) vectors: bool,
}

/// A document that was ready. Times are microseconds since 1970.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) media_type: String,
    pub(crate) doc_type: Option<crate::domain::DocType>,
    pub(crate) language: Option<String>,
    /// What the client said of it.
    pub(crate) head: crate::domain::Head,
    pub(crate) size: u64,
    pub(crate) digest: String,
    pub(crate) created: i64,
    pub(crate) updated: i64,
}

/// A passage without its vector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Passage {
    pub(super) text: String,
    pub(super) headings: Vec<String>,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) place: Option<crate::ledger::WrittenPlace>,
    pub(super) tokens: u32,
}

/// What there was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    pub(super) documents: u64,
    pub(super) passages: u64,
}

/// A frame of an archive.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Frame {
    Manifest(Manifest),
    Document(Box<Document>),
    Passage(Passage, Option<Vec<f32>>),
    End(End),
}

// === impl Frame ===

impl Frame {
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let (kind, body) = match self {
            Self::Manifest(manifest) => (b'M', json(manifest)?),
            Self::Document(document) => (b'D', json(document)?),
            Self::Passage(passage, vector) => {
                let written = json(passage)?;
                let mut body = Vec::with_capacity(4 + written.len());
                body.extend_from_slice(&length(written.len())?);
                body.extend_from_slice(&written);
                if let Some(vector) = vector {
                    body.extend(crate::ledger::to_bytes(vector));
                }
                (b'P', body)
            }
            Self::End(end) => (b'E', json(end)?),
        };
        let mut bytes = Vec::with_capacity(5 + body.len());
        bytes.push(kind);
        bytes.extend_from_slice(&length(body.len())?);
        bytes.extend_from_slice(&body);
        Ok(bytes)
    }

    /// The next frame; none at the end of the bytes.
    pub(super) fn read(source: &mut impl Read) -> Result<Option<Self>, Error> {
        let mut head = [0; 5];
        if !fill(source, &mut head)? {
            return Ok(None);
        }
        let [kind, a, b, c, d] = head;
        let length = u32::from_le_bytes([a, b, c, d]);
        if length > MOST {
            return Err(broken("a frame is too large"));
        }
        let mut body = Vec::new();
        source
            .take(length.into())
            .read_to_end(&mut body)
            .map_err(unreadable)?;
        if body.len() != length as usize {
            return Err(broken("it breaks off within a frame"));
        }
        Ok(Some(match kind {
            b'M' => Self::Manifest(of_json(&body)?),
            b'D' => Self::Document(Box::new(of_json(&body)?)),
            b'P' => {
                let (length, rest) = body
                    .split_first_chunk::<4>()
                    .ok_or_else(|| broken("a passage is cut"))?;
                let length = u32::from_le_bytes(*length) as usize;
                let (written, numbers) = rest
                    .split_at_checked(length)
                    .ok_or_else(|| broken("a passage is cut"))?;
                let vector = crate::ledger::of_bytes(numbers).ok_or_else(|| broken("a vector is cut"))?;
                if vector.iter().any(|number| !number.is_finite()) {
                    return Err(broken("a vector has a number that is none"));
                }
                Self::Passage(of_json(written)?, (!vector.is_empty()).then_some(vector))
            }
            b'E' => Self::End(of_json(&body)?),
            _ => return Err(broken("a frame is of an unknown kind")),
        }))
    }
}

/// Reads exactly so many bytes; false where there are none at all.
fn fill(source: &mut impl Read, bytes: &mut [u8]) -> Result<bool, Error> {
    let mut filled = 0;
    while filled < bytes.len() {
        match source.read(&mut bytes[filled..]) {
            Ok(0) if filled == 0 => return Ok(false),
            Ok(0) => return Err(broken("it breaks off within a frame")),
            Ok(more) => filled += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
    Ok(true)
}

fn of_json<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| broken(format!("a frame cannot be read: {error}")))
}

fn length(bytes: usize) -> Result<[u8; 4], Error> {
    let length = u32::try_from(bytes).ok().filter(|length| *length <= MOST);
    length
        .map(u32::to_le_bytes)
        .ok_or_else(|| Error::damaged("a passage is too large for an archive"))
}

/// It is not an archive, or not a whole one.
pub(super) fn broken(why: impl Into<String>) -> Error {
    let why = format!("is not an archive of a space that can be read: {}", why.into());
    Error::Request(Fault::invalid("content", why).with_reason("ARCHIVE_BROKEN"))
}

fn unreadable(error: io::Error) -> Error {
    Error::file(std::path::Path::new("an archive"), "read", error)
}

fn json<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|error| Error::damaged(format!("a frame cannot be written: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_and_damaged_ones_are_refused() {
        let frames = [
            Frame::Passage(
                Passage {
                    text: "words".to_owned(),
                    headings: vec!["One".to_owned()],
                    first: 3,
                    last: 8,
                    place: None,
                    tokens: 1,
                },
                Some(vec![0.5, -1.0]),
            ),
            Frame::End(End {
                documents: 1,
                passages: 1,
            }),
        ];
        let bytes: Vec<u8> = frames
            .iter()
            .flat_map(|frame| frame.to_bytes().unwrap())
            .collect();
        let mut source = &bytes[..];
        for frame in &frames {
            assert_eq!(Frame::read(&mut source).unwrap().as_ref(), Some(frame));
        }
        assert_eq!(Frame::read(&mut source).unwrap(), None);
        // Wherever it breaks off within a frame, that is told; and no byte that is changed makes it panic.
        let first = frames[0].to_bytes().unwrap().len();
        for end in (1..bytes.len()).filter(|end| *end != first) {
            let mut source = &bytes[..end];
            let all = std::iter::from_fn(|| Frame::read(&mut source).transpose());
            assert!(all.into_iter().any(|frame| frame.is_err()), "{end}");
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x80;
            let mut source = &damaged[..];
            while let Ok(Some(_)) = Frame::read(&mut source) {}
        }
    }
}
