//! Where an ONNX file says that its weights lie, read without an ONNX library.
//!
//! A graph may name other files for its tensors (`external_data` of `TensorProto`), and a hostile one may name any file
//! of the machine (CVE-2022-25882, CVE-2024-27318). So before a runtime sees a graph, every such name must be a file of
//! the same model. This walks the messages of `onnx.proto` that can hold a tensor and skips everything else, so it reads
//! a few kilobytes of a file of gigabytes. It does not check that the graph makes sense.

use std::collections::BTreeSet;
use std::io::{self, BufReader, Read, Seek};

use crate::catalogue::MOST_FILES;

/// Messages of `onnx.proto` that hold a tensor, or hold one that does.
#[derive(Debug, Clone, Copy)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    SparseTensor,
    Function,
    Training,
    /// `StringStringEntryProto` in `TensorProto.external_data`.
    ExternalData,
}

struct Walker<R> {
    file: BufReader<R>,
    position: u64,
    locations: BTreeSet<String>,
}

/// Graphs within graphs (`If`, `Loop`) go no deeper.
const DEEPEST: u32 = 64;
/// A file name is not longer.
const LONGEST_NAME: u64 = 1024;

/// The names of all files that the graph takes tensors from, as they are written in it.
///
/// # Errors
///
/// `InvalidData` if it is not a protobuf message of `bytes` bytes, or goes absurdly deep.
pub(crate) fn external_files(file: impl Read + Seek, bytes: u64) -> io::Result<BTreeSet<String>> {
    let mut walker = Walker {
        file: BufReader::new(file),
        position: 0,
        locations: BTreeSet::new(),
    };
    walker.message(Message::Model, bytes, 0)?;
    Ok(walker.locations)
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

// === impl Message ===

impl Message {
    /// What lies in a field of this message, by the field numbers of `onnx.proto` (IR version 13).
    const fn child(self, field: u64) -> Option<Self> {
        match (self, field) {
            (Self::Model, 7) | (Self::Attribute, 6 | 11) | (Self::Training, 1 | 2) => Some(Self::Graph),
            (Self::Model, 20) => Some(Self::Training),
            (Self::Model, 25) => Some(Self::Function),
            (Self::Graph, 1) | (Self::Function, 7) => Some(Self::Node),
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::SparseTensor, 1 | 2) => Some(Self::Tensor),
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Some(Self::SparseTensor),
            (Self::Node, 5) | (Self::Function, 11) => Some(Self::Attribute),
            (Self::Tensor, 13) => Some(Self::ExternalData),
            _ => None,
        }
    }
}

// === impl Walker ===

impl<R: Read + Seek> Walker<R> {
    fn message(&mut self, message: Message, bytes: u64, depth: u32) -> io::Result<()> {
        if depth > DEEPEST {
            return Err(malformed("nested too deep for an ONNX graph"));
        }
        let end = self.position + bytes;
        let (mut key, mut value) = (String::new(), String::new());
        while self.position < end {
            let tag = self.varint()?;
            if tag > u64::from(u32::MAX) {
                // Parsers cut it to 32 bits, and then it is another field than the one seen here.
                return Err(malformed("not a protobuf message"));
            }
            let (field, wire) = (tag >> 3, tag & 7);
            let length = match wire {
                0 => {
                    self.varint()?;
                    continue;
                }
                1 => 8,
                2 => self.varint()?,
                5 => 4,
                _ => return Err(malformed("not a protobuf message")),
            };
            if length > end.saturating_sub(self.position) {
                return Err(malformed("a field is longer than its message"));
            }
            match (message, field, message.child(field)) {
                (_, _, Some(child)) if wire == 2 => self.message(child, length, depth + 1)?,
                (Message::ExternalData, 1, _) => key = self.name(length)?,
                (Message::ExternalData, 2, _) => value = self.name(length)?,
                _ => self.skip(length)?,
            }
        }
        if self.position != end {
            return Err(malformed("a field is longer than its message"));
        }
        if key == "location" {
            self.locations.insert(value);
            if self.locations.len() > MOST_FILES {
                return Err(malformed("it takes its weights from more files than a model has"));
            }
        }
        Ok(())
    }

    fn varint(&mut self) -> io::Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let mut byte = [0];
            self.file.read_exact(&mut byte)?;
            self.position += 1;
            value |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] < 0x80 {
                return Ok(value);
            }
        }
        Err(malformed("a number is longer than 64 bits"))
    }

    fn name(&mut self, length: u64) -> io::Result<String> {
        if length > LONGEST_NAME {
            return Err(malformed("the name of a file is longer than 1024 bytes"));
        }
        let mut bytes = vec![0; length as usize];
        self.file.read_exact(&mut bytes)?;
        self.position += length;
        String::from_utf8(bytes).map_err(|_| malformed("the name of a file is not UTF-8"))
    }

    fn skip(&mut self, length: u64) -> io::Result<()> {
        let step = i64::try_from(length).map_err(|_| malformed("a field is longer than its message"))?;
        self.file.seek_relative(step)?;
        self.position += length;
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Cursor;

    use super::*;

    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut varint = |mut value: usize| {
            while value >= 0x80 {
                bytes.push(value as u8 | 0x80);
                value >>= 7;
            }
            bytes.push(value as u8);
        };
        varint(usize::from(number) << 3 | 2);
        varint(content.len());
        bytes.extend(content);
        bytes
    }

    /// A tensor that says its data lies in `location`.
    fn tensor(location: &str) -> Vec<u8> {
        let entry = [field(1, b"location"), field(2, location.as_bytes())].concat();
        let length = [field(1, b"length"), field(2, b"4096")].concat();
        [
            vec![0x08, 4],
            field(13, &entry),
            field(13, &length),
            vec![0x70, 1],
        ]
        .concat()
    }

    fn graph_with(location: &str) -> Vec<u8> {
        [field(2, b"main"), field(5, &tensor(location))].concat()
    }

    /// A model whose one initializer lies in `location`.
    pub(crate) fn model(location: &str) -> Vec<u8> {
        [vec![0x08, 9], field(7, &graph_with(location))].concat()
    }

    fn files(bytes: Vec<u8>) -> io::Result<Vec<String>> {
        let length = bytes.len() as u64;
        Ok(external_files(Cursor::new(bytes), length)?.into_iter().collect())
    }

    #[test]
    fn tensors_are_found_wherever_a_graph_may_hold_them() {
        let attribute = |inner: &[u8]| field(5, inner);
        let node = |inner: &[u8]| field(1, &[field(4, b"If"), attribute(inner)].concat());
        for (where_, bytes) in [
            ("an initializer", model("w.bin")),
            ("a constant", field(7, &node(&field(5, &tensor("w.bin"))))),
            ("a list of tensors", field(7, &node(&field(10, &tensor("w.bin"))))),
            ("a branch", field(7, &node(&field(6, &graph_with("w.bin"))))),
            (
                "a list of graphs",
                field(7, &node(&field(11, &graph_with("w.bin")))),
            ),
            (
                "a sparse initializer",
                field(7, &field(15, &field(1, &tensor("w.bin")))),
            ),
            (
                "a function",
                [vec![0xca, 0x01], {
                    let node = field(7, &attribute(&field(5, &tensor("w.bin"))));
                    [vec![node.len() as u8], node].concat()
                }]
                .concat(),
            ),
        ] {
            assert_eq!(files(bytes).expect(where_), ["w.bin"], "{where_}");
        }
        assert!(
            files(field(7, &field(5, &field(9, &[0; 5000]))))
                .expect("raw data")
                .is_empty()
        );
    }

    #[test]
    fn a_tag_that_parsers_read_as_another_is_refused() {
        // Field 7 with a bit beyond the 32 that protobuf keeps: a graph to a parser, unknown to who reads it whole.
        let graph = graph_with("/etc/passwd");
        let hidden = [vec![0xba, 0x80, 0x80, 0x80, 0x10, graph.len() as u8], graph].concat();
        assert!(files(hidden).is_err());
    }

    #[test]
    fn a_graph_cannot_name_files_without_end() {
        let tensors = (0..=MOST_FILES)
            .flat_map(|n| field(5, &tensor(&format!("w{n}"))))
            .collect::<Vec<_>>();
        assert!(files(field(7, &tensors)).is_err());
    }

    #[test]
    fn what_is_not_onnx_is_refused_and_never_read_beyond() {
        let whole = model("w.bin");
        for cut in 3..whole.len() {
            assert!(files(whole[..cut].to_vec()).is_err(), "cut at {cut}");
        }
        assert!(files(vec![0xff; 32]).is_err());
        assert!(files(vec![0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f]).is_err());
        assert!(files(b"<html>not found</html>".to_vec()).is_err());
        let deep = (0..100).fold(Vec::new(), |inner, _| field(1, &field(5, &field(6, &inner))));
        assert!(files(field(7, &deep)).is_err());
    }
}
