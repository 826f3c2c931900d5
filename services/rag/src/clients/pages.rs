//! Pages that the ocr service reads: its blocks as ours, with the region of the page that each stands in.

use std::sync::Arc;

use http::Uri;
use polyphony_chassis::config::ChannelConfig;
use polyphony_chassis::connect;
use polyphony_error::{Fault, Kind};
use polyphony_proto::ocr::v1 as pb;
use polyphony_proto::ocr::v1::ocr_service_client::OcrServiceClient;
use polyphony_proto::ocr::v1::stream_document_response::Event;
use polyphony_proto::types::v1 as types;
use prost::bytes::Bytes;
use tonic::Request;

use super::{channel, fault, media_limits};
use crate::domain::{Block, BlockKind, Parsed, Place};
use crate::parse::{Outline, folded};

/// Reads pages. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Pages {
    client: OcrServiceClient<connect::Client>,
}

const SERVICE: &str = "ocr";
const KEY: &str = "rag.ocr_endpoint";

// === impl Pages ===

impl Pages {
    pub(crate) fn new(endpoint: &Uri, config: &ChannelConfig) -> Result<Self, connect::Error> {
        let client = OcrServiceClient::new(channel(endpoint, config)?);
        Ok(Self {
            client: polyphony_chassis::client!(client, &media_limits()),
        })
    }

    /// Reads an image or PDF. `language` says what to expect, as BCP-47.
    ///
    /// # Errors
    /// What the service says; INVALID_ARGUMENT when no page can be read.
    pub(crate) async fn read(&self, bytes: Bytes, language: Option<&str>) -> Result<Parsed, Fault> {
        let request = |language: Option<&str>| pb::StreamDocumentRequest {
            config: Some(pb::OcrConfig {
                language_hints: language.map(str::to_owned).into_iter().collect(),
                ..pb::OcrConfig::default()
            }),
            document: Some(types::Media {
                source: Some(types::media::Source::Inline(bytes.clone())),
            }),
            ..pb::StreamDocumentRequest::default()
        };
        match self.pages(request(language)).await {
            // A language that its model does not know is better guessed than not read at all.
            Err(fault) if language.is_some() && fault.kind == Kind::InvalidArgument => {
                self.pages(request(None)).await
            }
            read => read,
        }
    }

    async fn pages(&self, request: pb::StreamDocumentRequest) -> Result<Parsed, Fault> {
        let failed = |status: &tonic::Status| fault(SERVICE, KEY, status);
        let mut client = self.client.clone();
        let reply = client.stream_document(Request::new(request)).await;
        let mut events = reply.map_err(|status| failed(&status))?.into_inner();
        let mut sheet = Sheet::default();
        let mut unread = None;
        loop {
            let event = events.message().await.map_err(|status| failed(&status))?;
            match event.and_then(|response| response.event) {
                None => {
                    let text = format!("{SERVICE} ({KEY}): the document broke off");
                    return Err(Fault::unavailable("DOCUMENT_CUT", text));
                }
                Some(Event::Opened(_)) => {}
                Some(Event::Page(result)) => match (result.page, result.error) {
                    (_, Some(error)) => unread = unread.or(Some((result.page_number, error.message))),
                    (Some(page), None) => sheet.add(page),
                    (None, None) => {}
                },
                Some(Event::Completed(_)) => break,
            }
        }
        // A document with a page missing would be found, and the page never.
        if let Some((page, why)) = unread {
            let text = format!("page {} cannot be read: {why}", page + 1);
            return Err(Fault::invalid("content", text).with_reason("PAGE_UNREADABLE"));
        }
        Ok(sheet.parsed)
    }
}

/// A document that is put together page by page.
#[derive(Debug, Default)]
struct Sheet {
    parsed: Parsed,
    outline: Outline,
}

// === impl Sheet ===

impl Sheet {
    fn add(&mut self, page: pb::Page) {
        if page.blocks.is_empty() {
            for line in &page.lines {
                self.push(
                    BlockKind::Paragraph,
                    &line.text,
                    self.outline.above(),
                    page.page_number,
                    line.layout.as_ref(),
                );
            }
        }
        for block in &page.blocks {
            let kind = match block.r#type() {
                pb::BlockType::Heading => BlockKind::Heading,
                pb::BlockType::List => BlockKind::ListItem,
                pb::BlockType::Table => BlockKind::TableRow,
                // What stands on every page says nothing of any.
                pb::BlockType::Header | pb::BlockType::Footer => continue,
                pb::BlockType::Unspecified
                | pb::BlockType::Text
                | pb::BlockType::Figure
                | pb::BlockType::Formula => BlockKind::Paragraph,
            };
            for paragraph in &block.paragraphs {
                let lines = paragraph
                    .line_indexes
                    .iter()
                    .filter_map(|at| page.lines.get(*at as usize))
                    .map(|line| line.text.trim());
                let text = lines.collect::<Vec<_>>().join("\n");
                let above = match kind {
                    BlockKind::Heading if !text.trim().is_empty() => {
                        self.outline.enter(block.heading_level as usize, &text)
                    }
                    _ => self.outline.above(),
                };
                self.push(kind, &text, above, page.page_number, paragraph.layout.as_ref());
            }
        }
    }

    fn push(
        &mut self,
        kind: BlockKind,
        text: &str,
        headings: Arc<[String]>,
        page: u32,
        layout: Option<&pb::Layout>,
    ) {
        if text.trim().is_empty() {
            return;
        }
        let Parsed {
            title,
            text: all,
            blocks,
        } = &mut self.parsed;
        if title.is_none() && kind == BlockKind::Heading {
            *title = Some(folded(text));
        }
        if !all.is_empty() {
            all.push_str("\n\n");
        }
        let start = all.len();
        all.push_str(text);
        let region = layout.and_then(|layout| layout.region.as_ref());
        let outline: Vec<[f32; 2]> = region
            .map(|region| region.polygon.iter().map(|point| [point.x, point.y]).collect())
            .filter(|outline: &Vec<_>| outline.len() >= 3)
            .unwrap_or_else(|| vec![[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]);
        blocks.push(Block {
            kind,
            range: start..all.len(),
            headings,
            place: Some(Place::Page { page, outline }),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> pb::Line {
        pb::Line {
            text: text.to_owned(),
            ..pb::Line::default()
        }
    }

    fn block(kind: pb::BlockType, level: u32, lines: &[u32]) -> pb::Block {
        let point = |x, y| types::Point { x, y };
        pb::Block {
            r#type: kind.into(),
            heading_level: level,
            paragraphs: vec![pb::Paragraph {
                line_indexes: lines.to_vec(),
                layout: Some(pb::Layout {
                    region: Some(types::PageRegion {
                        page: 0,
                        polygon: vec![point(0.1, 0.1), point(0.9, 0.1), point(0.9, 0.2)],
                    }),
                    ..pb::Layout::default()
                }),
            }],
            ..pb::Block::default()
        }
    }

    #[test]
    fn blocks_of_pages_become_ours_with_their_places_and_headings() {
        let mut sheet = Sheet::default();
        sheet.add(pb::Page {
            page_number: 0,
            lines: ["Report", "Wings", "It stalls", "at 14 degrees.", "Page 1"]
                .map(line)
                .to_vec(),
            blocks: vec![
                block(pb::BlockType::Heading, 1, &[0]),
                block(pb::BlockType::Heading, 2, &[1]),
                block(pb::BlockType::Text, 0, &[2, 3]),
                block(pb::BlockType::Footer, 0, &[4]),
            ],
            ..pb::Page::default()
        });
        sheet.add(pb::Page {
            page_number: 1,
            lines: vec![line("More.")],
            ..pb::Page::default()
        });
        let Parsed { title, text, blocks } = sheet.parsed;
        assert_eq!(title.as_deref(), Some("Report"));
        assert_eq!(text, "Report\n\nWings\n\nIt stalls\nat 14 degrees.\n\nMore.");
        let kinds: Vec<BlockKind> = blocks.iter().map(|block| block.kind).collect();
        assert_eq!(
            kinds,
            [
                BlockKind::Heading,
                BlockKind::Heading,
                BlockKind::Paragraph,
                BlockKind::Paragraph
            ]
        );
        assert_eq!(*blocks[1].headings, ["Report".to_owned()]);
        assert_eq!(*blocks[2].headings, ["Report".to_owned(), "Wings".to_owned()]);
        assert_eq!(&text[blocks[2].range.clone()], "It stalls\nat 14 degrees.");
        let Some(Place::Page { page, outline }) = &blocks[3].place else {
            panic!("{blocks:?}")
        };
        assert_eq!((*page, outline.len()), (1, 4));
    }
}
