//! Where a passage stands, for a person: a page, a time, or a line of a file that is on this machine.

use std::collections::HashMap;
use std::fs;

use polyphony_proto::rag::v1 as pb;
use polyphony_proto::types::v1::{Anchor, anchor};
use sha2::{Digest, Sha256};

use super::ingest::hexadecimal;
use super::{Client, id};
use crate::wire;

/// Finds lines. A document is asked for and its file read once.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// The text of documents whose lines can be counted.
    texts: HashMap<String, Option<Vec<u8>>>,
    /// What documents are called.
    names: HashMap<String, String>,
}

/// Larger files are not read to count lines.
const MOST_BYTES: u64 = 64 << 20;

// === impl Places ===

impl Places {
    /// "docs/engine.md, line 12", "scan.pdf, page 4", "talk.mp3, 12:03-12:09".
    pub(super) async fn tell(
        &mut self,
        client: &mut Client,
        document: &str,
        anchor: Option<&Anchor>,
    ) -> String {
        self.learn(client, document).await;
        let name = self
            .names
            .get(document)
            .map_or_else(|| id(document), String::as_str);
        match anchor.and_then(|anchor| anchor.place.as_ref()) {
            None => name.to_owned(),
            Some(anchor::Place::Page(region)) => format!("{name}, page {}", region.page + 1),
            Some(anchor::Place::Time(span)) => {
                let (start, end) = (wire::duration(span.start_offset), wire::duration(span.end_offset));
                format!("{name}, {}-{}", clock(start.as_secs()), clock(end.as_secs()))
            }
            Some(anchor::Place::Text(range)) => {
                let text = self.texts.get(document).and_then(Option::as_deref);
                let start = usize::try_from(range.start_byte).unwrap_or(usize::MAX);
                match text.and_then(|text| line(text, start)) {
                    Some(line) => format!("{name}, line {line}"),
                    None => format!("{name}, bytes {}-{}", range.start_byte, range.end_byte),
                }
            }
        }
    }

    /// Asks what a document is, and reads its file if it is here as it was.
    async fn learn(&mut self, client: &mut Client, document: &str) {
        if self.texts.contains_key(document) {
            return;
        }
        let request = pb::GetDocumentRequest {
            name: document.to_owned(),
        };
        // It may be deleted by now; then its name has to do.
        let known = client
            .get_document(request)
            .await
            .map(tonic::Response::into_inner);
        let text = match &known {
            Ok(known) => {
                if !known.source_uri.is_empty() {
                    self.names.insert(document.to_owned(), known.source_uri.clone());
                }
                read(known)
            }
            Err(_) => None,
        };
        self.texts.insert(document.to_owned(), text);
    }
}

/// The text that places of a document count in, where that is its file: of formats that are text as they are.
fn read(document: &pb::Document) -> Option<Vec<u8>> {
    let is_text = match document.media_type.as_str() {
        "text/html" | "text/csv" | "text/tab-separated-values" => false,
        other => other.starts_with("text/"),
    };
    let is_small =
        fs::metadata(&document.source_uri).is_ok_and(|about| about.is_file() && about.len() <= MOST_BYTES);
    if !is_text || !is_small {
        return None;
    }
    let bytes = fs::read(&document.source_uri).ok()?;
    let digest = format!("sha256:{}", hexadecimal(&Sha256::digest(&bytes)));
    // With a mark before it the text begins later than its file.
    let is_same = digest == document.content_digest && !bytes.starts_with(b"\xef\xbb\xbf");
    is_same.then_some(bytes)
}

/// The line of a byte, counted from 1; none behind the end.
fn line(text: &[u8], at: usize) -> Option<usize> {
    Some(1 + text.get(..at)?.iter().filter(|byte| **byte == b'\n').count())
}

/// "12:03", "1:02:03".
fn clock(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_times_are_counted() {
        assert_eq!(line(b"a\nb\nc", 4), Some(3));
        assert_eq!(line(b"a\nb\nc", 0), Some(1));
        assert_eq!(line(b"a", 9), None);
        assert_eq!(clock(723), "12:03");
        assert_eq!(clock(3_723), "1:02:03");
        assert_eq!(clock(5), "0:05");
    }

    #[test]
    fn only_the_very_file_is_counted_in() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.md");
        fs::write(&path, b"hello").expect("written");
        let document = |media_type: &str, digest: &str| pb::Document {
            source_uri: path.to_str().expect("UTF-8").to_owned(),
            media_type: media_type.to_owned(),
            content_digest: digest.to_owned(),
            ..pb::Document::default()
        };
        let digest = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        assert_eq!(
            read(&document("text/markdown", digest)).as_deref(),
            Some(&b"hello"[..])
        );
        assert_eq!(read(&document("text/markdown", "sha256:00")), None);
        assert_eq!(read(&document("text/html", digest)), None);
    }
}
