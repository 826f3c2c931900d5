use std::io::{Cursor, Write};

use proptest::prelude::*;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;
use crate::domain::BlockKind;

fn read(format: Format, bytes: impl AsRef<[u8]>) -> Parsed {
    parse(format, bytes.as_ref(), Limits::default()).expect("reads")
}

/// Each block as kind, text and headings.
fn blocks(parsed: &Parsed) -> Vec<(BlockKind, &str, Vec<&str>)> {
    parsed
        .blocks
        .iter()
        .map(|block| {
            let headings = block.headings.iter().map(String::as_str).collect();
            (block.kind, &parsed.text[block.range.clone()], headings)
        })
        .collect()
}

fn package(members: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in members {
        zip.start_file(*name, SimpleFileOptions::default())
            .expect("begins");
        zip.write_all(text.as_bytes()).expect("writes");
    }
    zip.finish().expect("ends").into_inner()
}

use BlockKind::{Code, Heading, ListItem, Paragraph, TableRow};

/// What of an EPUB says where its package is.
fn container(package: &str) -> String {
    let (list, entry) = ("rootfiles", "rootfile");
    format!(
        "<container xmlns=\"urn:oasis:names:tc:opendocument:xmlns:container\"><{list}><{entry} full-path=\"{package}\"/></{list}></container>"
    )
}

#[test]
fn blank_lines_part_paragraphs_of_plain_text() {
    let parsed = read(Format::Plain, "\n  One\ntwo \n \n\tthree\n");
    assert_eq!(
        blocks(&parsed),
        [(Paragraph, "One\ntwo", vec![]), (Paragraph, "three", vec![])]
    );
    assert_eq!(parsed.text, "\n  One\ntwo \n \n\tthree\n");
}

#[test]
fn markdown_keeps_its_text_and_knows_its_headings() {
    let text = "---\ntitle: \"The pond\"\n---\n# Garden\n\nA *pond*.\n\n## Fish\n\n- carp\n- tench\n  - young\n\n```\nfeed()\n\nwait()\n```\n\n| Name | Length |\n|---|---|\n| carp | 40 cm |\n\n# Shed\n\nLocked.\n";
    let parsed = read(Format::Markdown, text);
    assert_eq!(parsed.title.as_deref(), Some("The pond"));
    assert_eq!(parsed.text, text);
    let fish = vec!["Garden", "Fish"];
    assert_eq!(
        blocks(&parsed),
        [
            (Heading, "# Garden", vec![]),
            (Paragraph, "A *pond*.", vec!["Garden"]),
            (Heading, "## Fish", vec!["Garden"]),
            (ListItem, "- carp", fish.clone()),
            (ListItem, "- tench", fish.clone()),
            (ListItem, "- young", fish.clone()),
            (Code, "```\nfeed()\n\nwait()\n```", fish.clone()),
            (Heading, "| Name | Length |", fish.clone()),
            (
                TableRow,
                "| carp | 40 cm |",
                vec!["Garden", "Fish", "Name, Length"]
            ),
            (Heading, "# Shed", vec![]),
            (Paragraph, "Locked.", vec!["Shed"]),
        ]
    );
}

#[test]
fn html_tells_what_a_reader_sees() {
    let page = "<!doctype html><title>A  page</title><style>p{}</style><nav>Menu</nav><h1>Top</h1><p>Some <b>bold</b>\n text<br>here<script>alert(1)</script></p>\
        <ul><li>one<li>two</ul><table><tr><th>Name<th>Age<tr><td>Ann<td>7</table><pre>a\n  b</pre><p hidden>no</p><h2>Low</h2>tail";
    let parsed = read(Format::Html, page);
    assert_eq!(parsed.title.as_deref(), Some("A page"));
    assert_eq!(
        blocks(&parsed),
        [
            (Heading, "Top", vec![]),
            (Paragraph, "Some bold text here", vec!["Top"]),
            (ListItem, "one", vec!["Top"]),
            (ListItem, "two", vec!["Top"]),
            (Heading, "Name | Age", vec!["Top"]),
            (TableRow, "Ann | 7", vec!["Top", "Name, Age"]),
            (Code, "a\n  b", vec!["Top"]),
            (Heading, "Low", vec!["Top"]),
            (Paragraph, "tail", vec!["Top", "Low"]),
        ]
    );
    let old = read(Format::Html, b"<meta charset=iso-8859-1><p>caf\xe9".as_slice());
    assert_eq!(old.text, "café\n");
}

#[test]
fn what_is_hidden_ends_where_its_end_is_left_out() {
    let page = "<title>Tom &amp; Jerry</title><ul><li>a<li hidden>b<ul><li>c</ul>d<li>e<li hidden>f</ul>\
        <table><tr><td>g<td hidden>h<tr hidden><td>i</table>j<p hidden>k<div>l</div><nav><nav>m</nav>n</nav>o";
    let parsed = read(Format::Html, page);
    assert_eq!(parsed.title.as_deref(), Some("Tom & Jerry"));
    assert_eq!(parsed.text, "a\ne\ng\nj\nl\no\n");
}

#[test]
fn pages_with_programs_are_read() {
    let program = format!("for(i=0;i<n;i++){{{}}}", "a = 'b c';\n\t\t".repeat(5_000));
    let comment = "word ".repeat(10_000);
    let picture = "abc/".repeat(10_000);
    let page = format!(
        "<script>{program}</script><!--{comment}--><img src=\"data:image/png;base64,{picture}\"><p>text"
    );
    assert_eq!(read(Format::Html, page).text, "text\n");
}

#[test]
fn headings_that_stand_above_many_passages_are_not_longer_than_is_told() {
    let wide = "name,".repeat(10_000);
    let cells = format!("<th>{}", "name".repeat(10_000));
    for (format, text) in [
        (Format::Csv, format!("{wide}\n1\n")),
        (Format::Html, format!("<table><tr>{cells}<tr><td>1</table>")),
        (
            Format::Markdown,
            format!("| {} |\n|---|\n| 1 |\n", "name".repeat(10_000)),
        ),
    ] {
        let parsed = read(format, text);
        let row = parsed.blocks.last().expect("a row");
        assert_eq!(row.kind, TableRow);
        assert!((900..=1_000).contains(&row.headings[0].len()), "{format:?}");
    }
}

#[test]
fn docx_finds_rows_in_controls_and_says_nothing_twice() {
    let word = "xmlns:w=\"http://schemas.openxmlformats.org/wordprocessingml/2006/main\" xmlns:mc=\"urn:mc\"";
    let run = |text: &str| format!("<w:r><w:t>{text}</w:t></w:r>");
    let paragraph = |text: &str| format!("<w:p>{}</w:p>", run(text));
    let boxed = |text: &str| {
        format!(
            "<w:r><mc:AlternateContent><mc:Choice>{0}</mc:Choice><mc:Fallback>{0}</mc:Fallback></mc:AlternateContent></w:r>",
            paragraph(text)
        )
    };
    let cell = |text: String| format!("<w:tc>{text}</w:tc>");
    let row = |text: String| format!("<w:tr>{text}</w:tr>");
    let control = |text: String| format!("<w:sdt><w:sdtContent>{text}</w:sdtContent></w:sdt>");
    let inner = format!("<w:tbl>{}</w:tbl>", row(cell(paragraph("in"))));
    let body = format!(
        "<w:document {word}><w:body><w:tbl>{}{}</w:tbl><w:p>{}{}<w:moveFrom>{}</w:moveFrom></w:p></w:body></w:document>",
        control(row(cell(paragraph("a")) + &control(cell(paragraph("b"))))),
        row(cell(format!("<w:p>{}{}</w:p>{inner}", run("c"), boxed("d")))),
        run("e"),
        boxed("f"),
        run("gone")
    );
    let parsed = read(Format::Docx, package(&[("word/document.xml", &body)]));
    assert_eq!(parsed.text, "a | b\nc d in\ne\nf\n");
    // Paragraphs in paragraphs, and tables in tables: no text is looked at for each of them.
    for (open, close) in [
        ("<w:p>", "</w:p>"),
        ("<w:tbl><w:tr><w:tc>", "</w:tc></w:tr></w:tbl>"),
    ] {
        let deep = format!(
            "<w:document {word}>{}{}{}</w:document>",
            open.repeat(30_000),
            paragraph("deep"),
            close.repeat(30_000)
        );
        let parsed = read(Format::Docx, package(&[("word/document.xml", &deep)]));
        assert_eq!(parsed.text, "deep\n");
    }
}

#[test]
fn docx_knows_headings_by_style_lists_tables_and_notes() {
    let word = "xmlns:w=\"http://schemas.openxmlformats.org/wordprocessingml/2006/main\"";
    let styles = format!(
        "<w:styles {word}><w:style w:styleId=\"H1\"><w:name w:val=\"heading 1\"/></w:style>\
         <w:style w:styleId=\"Own\"><w:name w:val=\"Own\"/><w:basedOn w:val=\"H1\"/></w:style></w:styles>"
    );
    let run = |text: &str| format!("<w:r><w:t>{text}</w:t></w:r>");
    let body = format!(
        "<w:document {word}><w:body><w:p><w:pPr><w:pStyle w:val=\"Own\"/></w:pPr>{}</w:p><w:p>{}{}<w:del><w:r><w:delText>gone</w:delText></w:r></w:del></w:p>\
         <w:p><w:pPr><w:numPr/></w:pPr>{}</w:p><w:tbl><w:tr><w:trPr><w:tblHeader/></w:trPr><w:tc><w:p>{}</w:p></w:tc><w:tc><w:p>{}</w:p></w:tc></w:tr>\
         <w:tr><w:tc><w:p>{}</w:p></w:tc><w:tc><w:p>{}</w:p></w:tc></w:tr></w:tbl></w:body></w:document>",
        run("Pay"),
        run("By "),
        run("Friday."),
        run("cash"),
        run("Who"),
        run("What"),
        run("Ann"),
        run("12")
    );
    let notes = format!(
        "<w:footnotes {word}><w:footnote><w:p>{}</w:p></w:footnote></w:footnotes>",
        run("Net.")
    );
    let core = "<c:coreProperties xmlns:c=\"urn:c\" xmlns:dc=\"urn:dc\"><dc:title>Terms</dc:title></c:coreProperties>";
    let bytes = package(&[
        ("word/document.xml", &body),
        ("word/styles.xml", &styles),
        ("word/footnotes.xml", &notes),
        ("docProps/core.xml", core),
    ]);
    assert_eq!(Format::find("", "x", &bytes).expect("known").1, Format::Docx);
    let parsed = read(Format::Docx, &bytes);
    assert_eq!(parsed.title.as_deref(), Some("Terms"));
    assert_eq!(
        blocks(&parsed),
        [
            (Heading, "Pay", vec![]),
            (Paragraph, "By Friday.", vec!["Pay"]),
            (ListItem, "cash", vec!["Pay"]),
            (Heading, "Who | What", vec!["Pay"]),
            (TableRow, "Ann | 12", vec!["Pay", "Who, What"]),
            (Paragraph, "Net.", vec!["Pay"]),
        ]
    );
}

#[test]
fn epub_is_read_in_the_order_of_its_spine() {
    let container = container("book/x.opf");
    let opf = "<package xmlns:dc=\"urn:dc\"><metadata><dc:title>Walden</dc:title></metadata><manifest><item id=\"a\" href=\"a%20b.xhtml\"/><item id=\"b\" href=\"../b.xhtml\"/><item id=\"gone\" href=\"gone.xhtml\"/></manifest><spine><itemref idref=\"b\"/><itemref idref=\"gone\"/><itemref idref=\"a\"/></spine></package>";
    let bytes = package(&[
        ("META-INF/container.xml", container.as_str()),
        ("book/x.opf", opf),
        ("book/a b.xhtml", "<h1>Two</h1><p>second</p>"),
        ("b.xhtml", "<h1>One</h1><p>first</p>"),
    ]);
    assert_eq!(Format::find("", "x.epub", &bytes).expect("known").1, Format::Epub);
    let parsed = read(Format::Epub, &bytes);
    assert_eq!(parsed.title.as_deref(), Some("Walden"));
    assert_eq!(parsed.text, "One\nfirst\nTwo\nsecond\n");
    assert_eq!(parsed.blocks[3].headings[..], ["Two".to_owned()]);
}

#[test]
fn rows_of_a_table_have_the_names_of_its_columns_above_them() {
    let text = "name,note\n\"Ann\",\"says \"\"hi\"\",\nthen goes\"\n\nBob,x\n";
    let parsed = read(Format::Csv, text);
    assert_eq!(parsed.text, text);
    assert_eq!(
        blocks(&parsed),
        [
            (Heading, "name,note", vec![]),
            (
                TableRow,
                "\"Ann\",\"says \"\"hi\"\",\nthen goes\"",
                vec!["name, note"]
            ),
            (TableRow, "Bob,x", vec!["name, note"]),
        ]
    );
}

#[test]
fn code_stays_together_below_the_margin() {
    let parsed = read(
        Format::Code,
        "use a;\n\nfn b() {\n    c();\n\n    d();\n}\n\nfn e() {}\n",
    );
    let texts: Vec<_> = blocks(&parsed).into_iter().map(|(_, text, _)| text).collect();
    assert_eq!(
        texts,
        ["use a;", "fn b() {\n    c();\n\n    d();\n}", "fn e() {}"]
    );
}

#[test]
fn a_format_is_what_is_said_else_how_it_is_called_else_how_it_begins() {
    let find =
        |declared, name, bytes: &[u8]| Format::find(declared, name, bytes).map(|(_, format)| format).ok();
    assert_eq!(
        find("text/html; charset=utf-8", "x.md", b"%PDF-"),
        Some(Format::Html)
    );
    assert_eq!(
        find("application/octet-stream", "dir/x.MD", b"%PDF-"),
        Some(Format::Markdown)
    );
    assert_eq!(
        find("", "https://example.org/a.pdf?x=1.png", b""),
        Some(Format::Pdf)
    );
    assert_eq!(find("", "Makefile", b""), Some(Format::Code));
    assert_eq!(find("", "unnamed", b"RIFF....WAVEfmt "), Some(Format::Audio));
    assert_eq!(find("", "unnamed", "gr\u{fc}n".as_bytes()), Some(Format::Plain));
    assert_eq!(find("", "unnamed", b"\x00\x01\x02"), None);
    assert_eq!(find("application/x-tar", "x.md", b"text"), None);
    assert!(
        MEDIA_TYPES
            .iter()
            .all(|media_type| find(media_type, "", b"").is_some())
    );
}

#[test]
fn what_cannot_be_read_says_why() {
    let fails = |format, bytes: &[u8]| {
        parse(format, bytes, Limits::default())
            .expect_err("fails")
            .to_string()
    };
    assert_eq!(fails(Format::Plain, b"  \n "), "holds no text");
    assert!(fails(Format::Markdown, b"caf\xe9").contains("convert it to UTF-8"));
    assert!(fails(Format::Plain, b"a\0b").contains("NUL"));
    assert!(fails(Format::Docx, b"no zip").starts_with("is not a readable DOCX"));
    assert!(fails(Format::Docx, &package(&[("a", "b")])).contains("word/document.xml is missing"));
    assert!(fails(Format::Epub, &package(&[("META-INF/container.xml", "<a>")])).contains("container.xml"));
    let bomb = "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>";
    assert!(fails(Format::Docx, &package(&[("word/document.xml", bomb)])).contains("DTD"));
}

#[test]
fn packages_that_unpack_to_too_much_are_refused() {
    let limits = Limits {
        text_bytes: 1 << 16,
        blocks: 1000,
    };
    let bytes = package(&[("word/document.xml", &" ".repeat(10 << 20))]);
    assert!(bytes.len() < 1 << 16);
    let error = parse(Format::Docx, &bytes, limits).expect_err("too large");
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    let many = "a\n\n".repeat(2000);
    assert!(matches!(
        parse(Format::Plain, many.as_bytes(), limits),
        Err(Error::TooLarge { .. })
    ));
}

#[test]
fn pages_that_are_slow_to_read_on_purpose_are_not() {
    let page = format!("{}deep{}", "<div>".repeat(200_000), "</div>".repeat(200_000));
    assert_eq!(read(Format::Html, page).text, "deep\n");
    let tables = format!("{}deep", "<table><tr><td>".repeat(50_000));
    assert_eq!(read(Format::Html, tables).text, "deep\n");
    let many = |write: &dyn Fn(usize) -> String| (0..100_000).map(write).collect::<String>();
    for page in [
        format!("<p {}>x", many(&|at| format!("a{at} "))),
        format!("x</p {}>", many(&|at| format!("a{at} "))),
        format!("<p {}>x", many(&|at| format!("a{at}=\"\""))),
        format!("<p a=b=\" {}>x", many(&|at| format!("a{at} "))),
    ] {
        let error = parse(Format::Html, page.as_bytes(), Limits::default());
        assert!(matches!(error, Err(Error::TooLarge { .. })));
    }
    for open in ["- ", "> ", ">", "1. "] {
        let lines = format!("{}deep\n{}", open.repeat(20_000), "and on\n".repeat(20_000));
        let error = parse(Format::Markdown, lines.as_bytes(), Limits::default());
        assert!(matches!(error, Err(Error::TooLarge { .. })), "{open}");
    }
    let items = format!("{}deep\n{}", "- ".repeat(1_000), "and on\n".repeat(10_000));
    assert!(parse(Format::Markdown, items.as_bytes(), Limits::default()).is_ok());
    let quotes = format!("{}deep", "> ".repeat(100_000));
    assert!(parse(Format::Markdown, quotes.as_bytes(), Limits::default()).is_ok());
}

const FORMATS: [Format; 8] = [
    Format::Plain,
    Format::Markdown,
    Format::Html,
    Format::Docx,
    Format::Epub,
    Format::Csv,
    Format::Tsv,
    Format::Code,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn blocks_are_parts_of_the_text_in_order(
        text in "([a-z#*|>`\\- \t\n\"<,.0-9é]|<[a-z1-6/]{1,5}>|\n\n){0,200}",
        format in proptest::sample::select(&FORMATS[..]),
    ) {
        if let Ok(parsed) = parse(format, text.as_bytes(), Limits::default()) {
            let mut end = 0;
            for block in &parsed.blocks {
                prop_assert!(block.range.start >= end && block.range.start < block.range.end);
                prop_assert!(!parsed.text[block.range.clone()].trim().is_empty());
                end = block.range.end;
            }
        }
    }

    #[test]
    fn damaged_packages_are_refused_and_nothing_worse(
        at in 0_usize..400,
        byte in any::<u8>(),
        cut in 0_usize..400,
    ) {
        let container = container("x.opf");
        let mut bytes = package(&[("META-INF/container.xml", container.as_str()), ("x.opf", "<package/>")]);
        let length = bytes.len();
        bytes[at % length] = byte;
        bytes.truncate(length - cut % length);
        for format in [Format::Docx, Format::Epub] {
            prop_assert!(parse(format, &bytes, Limits::default()).is_err());
        }
    }
}
