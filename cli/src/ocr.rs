//! `polyphony ocr`: the text of an image or document, page by page as it is read.

use std::process::ExitCode;

use anyhow::bail;
use polyphony_proto::ocr::v1 as pb;
use polyphony_proto::ocr::v1::ocr_service_client::OcrServiceClient;
use polyphony_proto::ocr::v1::stream_document_response::Event;
use serde_json::{Value, json};
use tokio_stream::StreamExt;

use crate::args::{Mesh, Ocr, OcrFormat};
use crate::source::{self, Input};
use crate::{client, output, wire};

pub(crate) async fn run(mesh: &Mesh, json: bool, args: Ocr) -> anyhow::Result<ExitCode> {
    let format = if json { OcrFormat::Json } else { args.format };
    let Input::Whole(document) = source::open(&args.file, source::MOST_WHOLE)? else {
        bail!(
            "{} is larger than {} MiB, the most that fits into one message; split it, or read it with --pages from parts",
            args.file.display(),
            source::MOST_WHOLE >> 20
        );
    };
    client::within(args.timeout, async {
        let mut ocr = OcrServiceClient::new(client::connect(mesh).await?);
        let request = pb::StreamDocumentRequest {
            config: Some(config(&args, format)),
            document: source::inline(document),
            pages: ranges(&args),
        };
        let mut events = ocr
            .stream_document(client::request(request, args.timeout))
            .await?
            .into_inner();
        let mut ended = None;
        while let Some(response) = events.next().await {
            match response?.event {
                Some(Event::Opened(opened)) => {
                    if let Some(remark) = opened.receipt.and_then(wire::degraded) {
                        output::remark(&remark);
                    }
                }
                Some(Event::Page(page)) => print(page, format)?,
                Some(Event::Completed(completed)) => ended = Some(completed),
                None => {}
            }
        }
        let Some(ended) = ended else {
            bail!("the document broke off: the mesh ended it without saying how");
        };
        if ended.failed_pages > 0 {
            let all = ended.failed_pages + ended.succeeded_pages;
            bail!("{} of {all} pages could not be read", ended.failed_pages);
        }
        Ok(ExitCode::SUCCESS)
    })
    .await
}

fn ranges(args: &Ocr) -> Vec<pb::PageRange> {
    let ranges = args.pages.as_deref().unwrap_or_default().iter();
    let range = |range: &std::ops::Range<u32>| pb::PageRange {
        start_page: range.start,
        end_page: range.end,
    };
    ranges.map(range).collect()
}

fn config(args: &Ocr, format: OcrFormat) -> pb::OcrConfig {
    let output_formats = match format {
        OcrFormat::Text | OcrFormat::Json => Vec::new(),
        OcrFormat::Hocr => vec![pb::OutputFormat::Hocr.into()],
        OcrFormat::Alto => vec![pb::OutputFormat::Alto.into()],
        OcrFormat::Markdown => vec![pb::OutputFormat::Markdown.into()],
        OcrFormat::Html => vec![pb::OutputFormat::Html.into()],
    };
    pb::OcrConfig {
        model: args.model.clone().unwrap_or_default(),
        language_hints: args.languages.clone(),
        enable_native_pdf_parsing: args.force_ocr.then_some(false),
        enable_tables: args.tables.then_some(true),
        enable_form_fields: args.forms.then_some(true),
        output_formats,
        ..Default::default()
    }
}

fn print(page: pb::PageResult, format: OcrFormat) -> anyhow::Result<()> {
    if let Some(error) = &page.error {
        output::remark(&format!("page {}: {}", page.page_number + 1, error.message));
        if format != OcrFormat::Json {
            return Ok(());
        }
    }
    match format {
        OcrFormat::Json => output::object(&object(&page)),
        OcrFormat::Text => {
            // Pages are parted by a form feed, as `pdftotext` parts them.
            let feed = if page.page_number > 0 { "\u{c}" } else { "" };
            output::line(&format!("{feed}{}", page.text.trim_end()))
        }
        _ => page
            .rendered
            .iter()
            .try_for_each(|rendered| output::line(rendered.content.trim_end())),
    }
}

fn object(result: &pb::PageResult) -> Value {
    let page = result.page.clone().unwrap_or_default();
    let size = page.size.unwrap_or_default();
    let lines: Vec<Value> = page.lines.iter().map(line).collect();
    let tables: Vec<Value> = page.tables.iter().map(table).collect();
    let fields: Vec<Value> = page
        .form_fields
        .iter()
        .map(|field| json!({ "name": field.name, "value": field.value }))
        .collect();
    json!({
        "page": result.page_number + 1,
        "error": result.error.as_ref().map(|error| &error.message),
        "width": size.width_pixels,
        "height": size.height_pixels,
        "rotation": page.rotation_degrees,
        "skew": page.skew_degrees,
        "text": result.text,
        "lines": lines,
        "tables": tables,
        "fields": fields,
    })
}

fn line(line: &pb::Line) -> Value {
    let layout = line.layout.clone().unwrap_or_default();
    json!({
        "text": line.text,
        "confidence": layout.confidence,
        "polygon": polygon(&layout),
    })
}

fn polygon(layout: &pb::Layout) -> Vec<[f32; 2]> {
    let points = layout.region.iter().flat_map(|region| &region.polygon);
    points.map(|point| [point.x, point.y]).collect()
}

fn table(table: &pb::Table) -> Value {
    let rows = table.header_rows.iter().chain(&table.body_rows);
    let cells = |row: &pb::TableRow| row.cells.iter().map(|cell| cell.text.clone()).collect::<Vec<_>>();
    json!(rows.map(cells).collect::<Vec<_>>())
}
