//! Checks that a model keeps its weights in the file itself or beside it.
//!
//! An ONNX file may name other files for its tensors, by a path relative to its own. Newer releases of ONNX Runtime
//! refuse a path that leads out of the folder; the oldest that we accept do not. So this walks the protobuf
//! (onnx.proto3: `ModelProto.graph` 7, `GraphProto.node` 1 and `.initializer` 5, `NodeProto.attribute` 5,
//! `AttributeProto.t` 5 / `.g` 6 / `.tensors` 10 / `.graphs` 11, `TensorProto.external_data` 13), skipping the weights.

use std::fs::File;
use std::io::{BufReader, Error as IoError, ErrorKind, Read, Seek};
use std::path::{Component, Path};

use crate::Error;

/// What a message is, which decides which of its fields are worth entering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    SparseTensor,
    Function,
    /// `external_data`, one key and its value.
    Entry,
}

/// Graphs inside graphs; real files have three or four.
const DEEPEST: usize = 64;
/// A path in a model file; real ones are a file name.
const LONGEST_TEXT: u64 = 4096;

/// Refuses a model whose data lie anywhere but beside it.
pub(crate) fn check(path: &Path) -> Result<(), Error> {
    let file = File::open(path).map_err(|error| Error::open(path, error))?;
    let size = file.metadata().map_err(|error| Error::open(path, error))?.len();
    let mut walk = Walk {
        file: BufReader::new(file),
        outside: None,
    };
    walk.message(Message::Model, size, 0)
        .map_err(|error| Error::open(path, error))?;
    match walk.outside {
        None => Ok(()),
        Some(location) => Err(Error::unfit(
            path,
            format!("it names data at {location:?}; they must lie beside the model file"),
        )),
    }
}

struct Walk<R> {
    file: R,
    /// The first location that is not a plain name or a path downwards.
    outside: Option<String>,
}

// === impl Walk ===

impl<R: Read + Seek> Walk<R> {
    /// Reads `length` bytes of a message.
    fn message(&mut self, kind: Message, length: u64, depth: usize) -> Result<(), IoError> {
        if depth > DEEPEST {
            return Err(malformed("its graphs are nested too deeply"));
        }
        let (mut key, mut value) = (String::new(), String::new());
        let mut left = length;
        while left > 0 {
            let tag = self.varint(&mut left)?;
            match tag & 7 {
                0 => {
                    self.varint(&mut left)?;
                }
                1 => self.skip(8, &mut left)?,
                5 => self.skip(4, &mut left)?,
                2 => {
                    let size = self.varint(&mut left)?;
                    match (kind, tag >> 3) {
                        (Message::Entry, 1) => key = self.text(size, &mut left)?,
                        (Message::Entry, 2) => value = self.text(size, &mut left)?,
                        (kind, field) => match kind.field(field) {
                            Some(inner) => {
                                take(&mut left, size)?;
                                self.message(inner, size, depth + 1)?;
                            }
                            None => self.skip(size, &mut left)?,
                        },
                    }
                }
                _ => return Err(malformed("it is not an ONNX file")),
            }
        }
        if key == "location" && !is_beside(&value) && self.outside.is_none() {
            self.outside = Some(value);
        }
        Ok(())
    }

    fn varint(&mut self, left: &mut u64) -> Result<u64, IoError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            take(left, 1)?;
            let mut byte = [0];
            self.file.read_exact(&mut byte)?;
            value |= u64::from(byte[0] & 0x7F) << shift;
            if byte[0] < 0x80 {
                return Ok(value);
            }
        }
        Err(malformed("it is not an ONNX file"))
    }

    fn skip(&mut self, size: u64, left: &mut u64) -> Result<(), IoError> {
        take(left, size)?;
        let size = i64::try_from(size).map_err(|_| malformed("it is not an ONNX file"))?;
        self.file.seek_relative(size)
    }

    fn text(&mut self, size: u64, left: &mut u64) -> Result<String, IoError> {
        if size > LONGEST_TEXT {
            return Err(malformed("a path in it is too long"));
        }
        take(left, size)?;
        let mut bytes = Vec::new();
        (&mut self.file).take(size).read_to_end(&mut bytes)?;
        String::from_utf8(bytes).map_err(|_| malformed("a path in it is not UTF-8"))
    }
}

// === impl Message ===

impl Message {
    /// What the field holds, if it may lead to external data.
    const fn field(self, number: u64) -> Option<Self> {
        match (self, number) {
            (Self::Model, 7) | (Self::Attribute, 6 | 11) => Some(Self::Graph),
            (Self::Model, 25) => Some(Self::Function),
            (Self::Graph, 1) | (Self::Function, 7) => Some(Self::Node),
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::SparseTensor, 1 | 2) => Some(Self::Tensor),
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Some(Self::SparseTensor),
            (Self::Node, 5) | (Self::Function, 11) => Some(Self::Attribute),
            (Self::Tensor, 13) => Some(Self::Entry),
            _ => None,
        }
    }
}

fn take(left: &mut u64, size: u64) -> Result<(), IoError> {
    *left = left
        .checked_sub(size)
        .ok_or_else(|| malformed("it is cut short or not an ONNX file"))?;
    Ok(())
}

/// A path that goes downwards only.
fn is_beside(location: &str) -> bool {
    !location.is_empty()
        && Path::new(location)
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

fn malformed(message: &'static str) -> IoError {
    IoError::new(ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field with a length: its tag, its size, its bytes.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2, u8::try_from(bytes.len()).expect("a short field")];
        out.extend_from_slice(bytes);
        out
    }

    fn model_with_data_at(location: &str) -> Vec<u8> {
        let entry = [field(1, b"location"), field(2, location.as_bytes())].concat();
        let tensor = [field(8, b"weight"), field(13, &entry)].concat();
        // As the merged decoders have it: the tensor is in the branch of an `If`.
        let branch = field(5, &tensor);
        let node = field(1, &field(5, &field(6, &branch)));
        [vec![8, 8], field(2, b"test"), field(7, &node)].concat()
    }

    fn checked(bytes: &[u8]) -> Result<(), Error> {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("model.onnx");
        std::fs::write(&path, bytes).expect("file");
        check(&path)
    }

    #[test]
    fn data_beside_the_model_are_accepted() {
        checked(&model_with_data_at("model.onnx_data")).expect("beside");
        checked(&model_with_data_at("data/part1")).expect("below");
        checked(&[]).expect("nothing to object to; ONNX Runtime will");
    }

    #[test]
    fn data_elsewhere_are_refused() {
        for location in ["../secret", "/etc/passwd", "a/../../b", ""] {
            let error = checked(&model_with_data_at(location))
                .expect_err("elsewhere")
                .to_string();
            assert!(error.contains("must lie beside"), "{location}: {error}");
        }
    }

    #[test]
    fn a_file_that_is_cut_short_is_refused() {
        let whole = model_with_data_at("x");
        for end in [1, whole.len() / 2, whole.len() - 1] {
            assert!(checked(&whole[..end]).is_err(), "{end}");
        }
        assert!(checked(b"not a model at all").is_err());
    }
}
