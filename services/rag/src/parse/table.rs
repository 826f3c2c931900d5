//! Tables as text, comma- or tab-separated. The text stays as it is, each row is a block, and the row of names is the
//! heading above all others: so a row is found by the names of its columns too, and cited as it stands.

use std::sync::Arc;

use csv::{ByteRecord, ReaderBuilder};

use super::Error;
use super::outline::Outline;
use crate::domain::{Block, BlockKind, Parsed};

pub(super) fn parse(text: String, delimiter: u8) -> Result<Parsed, Error> {
    let mut rows = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(text.as_bytes());
    let mut record = ByteRecord::new();
    let mut headings: Option<Arc<[String]>> = None;
    let mut blocks = Vec::new();
    loop {
        let start = offset(rows.position());
        let more = rows
            .read_byte_record(&mut record)
            .map_err(|error| Error::Broken {
                format: "table",
                reason: error.to_string(),
            })?;
        if !more {
            break;
        }
        let end = offset(rows.position());
        let row = &text[start..end];
        let start = start + (row.len() - row.trim_start().len());
        let end = start + row.trim().len();
        if start == end {
            continue;
        }
        let names = headings.get_or_insert_with(|| {
            let names = record
                .iter()
                .map(|cell| String::from_utf8_lossy(cell).trim().to_owned());
            Outline::default().above_rows(&names.collect::<Vec<_>>().join(", "))
        });
        let is_head = blocks.is_empty();
        blocks.push(Block {
            kind: if is_head {
                BlockKind::Heading
            } else {
                BlockKind::TableRow
            },
            range: start..end,
            headings: if is_head {
                Arc::default()
            } else {
                Arc::clone(names)
            },
            place: None,
        });
    }
    Ok(Parsed {
        title: None,
        text,
        blocks,
    })
}

fn offset(position: &csv::Position) -> usize {
    usize::try_from(position.byte()).unwrap_or(usize::MAX)
}
