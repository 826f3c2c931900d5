use super::*;
use crate::domain::{Block, BlockKind, Cell, Line, PageReading, Paragraph, Point, Quad, Symbol, Table, Word};
use crate::reading::Source;

fn quad(left: f32, top: f32, right: f32, bottom: f32) -> Quad {
    let point = |x, y| Point { x, y };
    Quad([
        point(left, top),
        point(right, top),
        point(right, bottom),
        point(left, bottom),
    ])
}

/// A line of words of 50 pixels each, 20 apart.
fn line(top: f32, text: &str) -> Line {
    let mut words = Vec::new();
    let mut start = 0;
    for (at, word) in text.split(' ').enumerate() {
        let left = 10.0 + 70.0 * at as f32;
        words.push(Word {
            outline: quad(left, top, left + 50.0, top + 20.0),
            text: word.to_owned(),
            range: start..start + word.len(),
            confidence: 0.9,
            symbols: Vec::new(),
        });
        start += word.len() + 1;
    }
    Line {
        outline: quad(10.0, top, 70.0 * words.len() as f32, top + 20.0),
        text: text.to_owned(),
        confidence: 0.9,
        angle_degrees: 0.0,
        words,
    }
}

/// A page of blocks: what they are and their paragraphs, each some lines.
fn page(blocks: &[(BlockKind, &[&[&str]])], tables: Vec<Table>) -> Page {
    let mut reading = PageReading {
        width: 600,
        height: 800,
        tables,
        ..PageReading::default()
    };
    for (kind, paragraphs) in blocks {
        let mut block = Block {
            kind: *kind,
            ..Block::default()
        };
        for texts in *paragraphs {
            let begin = reading.lines.len();
            for text in *texts {
                let top = 30.0 * reading.lines.len() as f32;
                reading.lines.push(line(top, text));
            }
            let outline = quad(
                10.0,
                30.0 * begin as f32,
                300.0,
                30.0 * reading.lines.len() as f32,
            );
            block.paragraphs.push(Paragraph {
                outline,
                confidence: 0.9,
                lines: begin..reading.lines.len(),
            });
            block.outline = outline;
        }
        reading.blocks.push(block);
    }
    Page {
        number: 0,
        dpi: 300.0,
        source: Source::Picture,
        reading,
    }
}

fn cell(column: usize, column_span: usize, text: &str) -> Cell {
    Cell {
        column,
        column_span,
        row_span: 1,
        text: text.to_owned(),
        ..Cell::default()
    }
}

/// What would break out of any of the formats.
const EVIL: &str = "<script>alert('1 & 2')</script> \"x\" ]]> \u{0} --> | *a* _b_ `c` [d](e) # \\";

fn everything() -> Page {
    let table = Table {
        columns: 2,
        header_rows: 1,
        rows: vec![
            vec![cell(0, 1, "Item"), cell(1, 1, "Price | <b>")],
            vec![cell(0, 1, "Tea"), cell(1, 1, "2")],
        ],
        ..Table::default()
    };
    page(
        &[
            (BlockKind::Header, &[&["Running head"]]),
            (BlockKind::Heading(2), &[&["A title", "in two lines"]]),
            (
                BlockKind::Text,
                &[
                    &["First line,", "second hyphen-", "ated"],
                    &[EVIL],
                    &["# no heading"],
                ],
            ),
            (BlockKind::List, &[&["• one"], &["- two & three"], &["3. third"]]),
            (BlockKind::Table(0), &[&["Item Price"], &["Tea 2"]]),
            (BlockKind::Footer, &[&["1"]]),
        ],
        vec![table],
    )
}

/// Checks that it is well formed, and gives its elements by name with their attribute `class`.
fn parsed(xml: &str) -> roxmltree::Document<'_> {
    let options = roxmltree::ParsingOptions {
        allow_dtd: true,
        ..roxmltree::ParsingOptions::default()
    };
    roxmltree::Document::parse_with_options(xml, options).unwrap_or_else(|error| panic!("{error}\n{xml}"))
}

#[test]
fn text_is_lines_and_pages() {
    let (first, second) = (
        page(&[(BlockKind::Text, &[&["a", "b"]])], vec![]),
        page(&[], vec![]),
    );
    assert_eq!(
        render(Format::Text, &[&first, &second, &first]),
        "a\nb\n\u{C}\u{C}a\nb\n"
    );
}

#[test]
fn markdown_means_what_stands_there() {
    let expected = concat!(
        "Running head\n\n",
        "## A title in two lines\n\n",
        "First line, second hyphen-ated\n\n",
        "\\<script\\>alert('1 &amp; 2')\\</script\\> \"x\" \\]\\]\\>   --\\> \\| \\*a\\* \\_b\\_ \\`c\\` \\[d\\](e) # \\\\\n\n",
        "\\# no heading\n\n",
        "- one\n- two &amp; three\n3. third\n\n",
        "| Item | Price \\| \\<b\\> |\n| --- | --- |\n| Tea | 2 |\n\n",
        "1\n",
    );
    assert_eq!(render(Format::Markdown, &[&everything()]), expected);
    let numbered = page(
        &[(BlockKind::Text, &[&["12. not a list"], &["+ neither"]])],
        vec![],
    );
    assert_eq!(
        render(Format::Markdown, &[&numbered]),
        "12\\. not a list\n\n\\+ neither\n"
    );
}

#[test]
fn a_table_that_markdown_cannot_write_is_its_lines() {
    let spanning = Table {
        columns: 2,
        rows: vec![vec![cell(0, 2, "Both")], vec![cell(0, 1, "a"), cell(1, 1, "b")]],
        ..Table::default()
    };
    let page = page(&[(BlockKind::Table(0), &[&["Both"], &["a b"]])], vec![spanning]);
    assert_eq!(render(Format::Markdown, &[&page]), "Both\n\na b\n");
    let html = render(Format::Html, &[&page]);
    assert!(html.contains("<tr><td colspan=\"2\">Both</td></tr>"), "{html}");
}

#[test]
fn html_shows_everything_and_runs_nothing() {
    let html = render(Format::Html, &[&everything()]);
    let body = html.split_once('\n').expect("a doctype").1;
    let document = parsed(body);
    let text = |tag: &str| -> Vec<&str> {
        document
            .descendants()
            .filter(|node| node.has_tag_name(tag))
            .filter_map(|node| node.text())
            .collect()
    };
    assert_eq!(text("h2"), ["A title in two lines"]);
    assert_eq!(text("li"), ["one", "two & three", "3. third"]);
    assert_eq!(
        (text("th"), text("td")),
        (vec!["Item", "Price | <b>"], vec!["Tea", "2"])
    );
    assert!(text("script").is_empty());
    let evil = EVIL.replace('\0', "");
    assert!(text("p").contains(&evil.as_str()), "{:?}", text("p"));
}

#[test]
fn hocr_says_what_and_where() {
    let mut page = everything();
    page.reading.lines[0].angle_degrees = 90.0;
    let xml = render(Format::Hocr, &[&page, &page]);
    let document = parsed(&xml);
    let of_class = |class: &str| -> Vec<roxmltree::Node<'_, '_>> {
        document
            .descendants()
            .filter(|node| node.attribute("class") == Some(class))
            .collect()
    };
    assert_eq!(of_class("ocr_page").len(), 2);
    assert_eq!(
        of_class("ocr_page")[0].attribute("title"),
        Some("bbox 0 0 600 800; ppageno 0; scan_res 300 300")
    );
    assert_eq!(
        (of_class("ocr_table").len(), of_class("ocr_header").len()),
        (2, 2)
    );
    let lines = of_class("ocr_line");
    assert_eq!(lines.len(), 2 * page.reading.lines.len());
    assert_eq!(
        lines[0].attribute("title"),
        Some("bbox 10 0 140 20; textangle -90")
    );
    assert_eq!(
        lines[1].attribute("title"),
        Some("bbox 10 30 140 50; baseline 0.000 0")
    );
    let words: Vec<_> = lines[1].children().filter(roxmltree::Node::is_element).collect();
    assert_eq!(words[1].text(), Some("title"));
    assert_eq!(words[1].attribute("title"), Some("bbox 80 30 130 50; x_wconf 90"));
    let text: String = lines[1]
        .descendants()
        .filter_map(|node| node.text().filter(|_| node.is_text()))
        .collect();
    assert_eq!(text, "A title");
    let mut ids: Vec<&str> = document
        .descendants()
        .filter_map(|node| node.attribute("id"))
        .collect();
    ids.truncate(ids.len() / 2);
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "ids are unique on a page");
}

#[test]
fn alto_has_its_elements_in_their_order() {
    let mut page = everything();
    page.reading.lines[1].angle_degrees = 3.0;
    page.reading.lines[1].words[0].symbols = vec![Symbol {
        outline: quad(10.0, 30.0, 60.0, 50.0),
        text: "A".to_owned(),
        range: 0..1,
        confidence: 0.8,
    }];
    let xml = render(Format::Alto, &[&page]);
    let document = parsed(&xml);
    let all = |tag: &str| -> Vec<roxmltree::Node<'_, '_>> {
        document
            .descendants()
            .filter(|node| node.tag_name().name() == tag)
            .collect()
    };
    assert_eq!(
        document.root_element().tag_name().namespace(),
        Some("http://www.loc.gov/standards/alto/ns-v4#")
    );
    let parts: Vec<&str> = document
        .root_element()
        .children()
        .filter(roxmltree::Node::is_element)
        .map(|node| node.tag_name().name())
        .collect();
    assert_eq!(parts, ["Description", "Layout"]);
    let lines = all("TextLine");
    assert_eq!(lines.len(), page.reading.lines.len());
    let parts: Vec<&str> = lines[1]
        .children()
        .filter(roxmltree::Node::is_element)
        .map(|node| node.tag_name().name())
        .collect();
    assert_eq!(parts, ["Shape", "String", "SP", "String"]);
    let word = all("String")[3];
    assert_eq!(
        (word.attribute("CONTENT"), word.attribute("HPOS")),
        (Some("title"), Some("80"))
    );
    assert_eq!(
        (word.attribute("WC"), word.attribute("WIDTH")),
        (Some("0.900"), Some("50"))
    );
    assert_eq!(all("Glyph").len(), 1);
    assert!(
        all("ComposedBlock")
            .iter()
            .any(|block| block.attribute("TYPE") == Some("table"))
    );
}

#[test]
fn no_place_lies_outside_of_its_page() {
    let mut page = page(&[(BlockKind::Text, &[&["far"]])], vec![]);
    page.reading.lines[0].words[0].outline = quad(-50.0, f32::NAN, 1e9, f32::INFINITY);
    let hocr = render(Format::Hocr, &[&page]);
    assert!(
        hocr.contains("title=\"bbox 0 800 600 800; x_wconf 90\""),
        "{hocr}"
    );
}
