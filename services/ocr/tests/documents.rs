//! Every format and variant that must be read, through the reader's process.

use polyphony_ocr::document::{Ask, MediaType, Trouble};
use polyphony_ocr::domain::Picture;

use crate::support::{ASK, first_page, fixture, fixtures, native_lines, open, pdf};

const BLACK: [u8; 3] = [0; 3];
const WHITE: [u8; 3] = [255; 3];
const RED: [u8; 3] = [255, 0, 0];
const BLUE: [u8; 3] = [0, 0, 255];

/// The middle of the four fields of a fixture, row by row.
fn fields(picture: &Picture) -> [[u8; 3]; 4] {
    let (width, height) = picture.dimensions();
    [(1, 1), (3, 1), (1, 3), (3, 3)].map(|(x, y)| picture.get_pixel(width * x / 4, height * y / 4).0)
}

#[track_caller]
fn assert_fields(name: &str, picture: &Picture, expected: [[u8; 3]; 4], off: u8) {
    let found = fields(picture);
    let near = found.iter().flatten().zip(expected.iter().flatten());
    assert!(
        near.into_iter()
            .all(|(found, expected)| found.abs_diff(*expected) <= off),
        "{name}: {found:?} is not {expected:?}"
    );
}

#[test]
fn every_format_of_pictures_is_read_as_it_looks() {
    let grey = |value: u8| [value; 3];
    // What red and blue are in grey (ITU-R 601), which is how the fixtures were made.
    let greyed = [BLACK, WHITE, grey(76), grey(29)];
    let (plain, bits) = ([BLACK, WHITE, RED, BLUE], [BLACK, WHITE, WHITE, BLACK]);
    for name in fixtures(&[".png", ".webp", ".gif", ".bmp", ".jpg", ".tif"]) {
        let sheet = first_page(fixture(&name)).unwrap_or_else(|trouble| panic!("{name}: {trouble:?}"));
        let picture = sheet.picture.expect("a picture");
        assert_eq!(picture.dimensions(), (40, 24), "{name}");
        let (expected, off) = match name.as_str() {
            name if name.starts_with("bits") => (bits, 0),
            name if name.starts_with("grey") => (greyed, 3),
            "alpha.tif" => ([WHITE; 4], 0),
            name if name.starts_with("alpha") => ([WHITE, WHITE, RED, BLUE], 0),
            // Inks mix otherwise than light, and a palette of the web has no pure colours.
            name if name.starts_with("cmyk") || name.starts_with("palette") => (plain, 5),
            name if name.contains("jp")
                || name == "frames.webp"
                || name.starts_with("lossy")
                || name.starts_with("ycbcr") =>
            {
                (plain, 10)
            }
            _ => (plain, 0),
        };
        assert_fields(&name, &picture, expected, off);
    }
}

#[test]
fn dots_an_inch_are_told_where_a_picture_says_them() {
    for (name, dpi) in [
        ("rgb.png", 300.0),
        ("baseline.jpg", 200.0),
        ("bits-group4.tif", 204.0),
        ("bits.png", 0.0),
    ] {
        assert_eq!(first_page(fixture(name)).expect(name).head.dpi, dpi, "{name}");
    }
}

#[test]
fn each_page_of_a_tiff_is_a_page() {
    let mut document = open(fixture("pages.tif")).expect("opens");
    assert_eq!(
        (document.media_type(), document.page_count()),
        (MediaType::Tiff, 3)
    );
    for number in (0..3).rev() {
        let picture = document
            .page(number, &ASK)
            .expect("a page")
            .picture
            .expect("a picture");
        let is_colour = number == 0;
        assert_eq!(fields(&picture)[2] == RED, is_colour, "page {number}");
        assert_eq!(fields(&picture)[..2], [BLACK, WHITE], "page {number}");
    }
    assert_eq!(document.page(3, &ASK), Err(Trouble::NoSuchPage));
    assert!(document.page(1, &ASK).is_ok(), "the document is still open");
}

#[test]
fn a_damaged_page_of_a_tiff_does_not_hide_the_others() {
    let mut bytes = fixture("pages.tif");
    // The second directory: its compression, tag 259, becomes one that nobody knows.
    let directories: Vec<usize> = (0..bytes.len() - 8)
        .filter(|at| bytes[*at..*at + 4] == [3, 1, 3, 0])
        .collect();
    bytes[directories[1] + 8] = 99;
    let mut document = open(bytes).expect("opens");
    assert_eq!(document.page_count(), 3);
    assert!(document.page(0, &ASK).is_ok() && document.page(2, &ASK).is_ok());
    let trouble = document.page(1, &ASK).expect_err("unknown compression");
    assert!(
        matches!(trouble, Trouble::Unsupported(_) | Trouble::Damaged(_)),
        "{trouble:?}"
    );
}

#[test]
fn a_pdf_says_its_own_text() {
    let mut document = open(fixture("text.pdf")).expect("opens");
    assert_eq!(
        (document.media_type(), document.page_count()),
        (MediaType::Pdf, 2)
    );
    let sheet = document.page(1, &ASK).expect("a page");
    assert!(sheet.picture.is_none(), "nothing needs to be drawn");
    // A5 at 100 dots an inch.
    assert_eq!(
        (sheet.head.width, sheet.head.height, sheet.head.dpi),
        (582, 826, 100.0)
    );
    let lines = native_lines(&sheet);
    assert_eq!(lines[0], "The second page");
    assert_eq!(
        lines[1],
        "A document that was written and not scanned keeps its words."
    );
    assert!(
        lines.concat().contains("naïve, Größe, déjà vu, żółć"),
        "{lines:?}"
    );
}

#[test]
fn a_page_is_drawn_when_its_text_is_not_wanted_or_of_no_use() {
    let unwanted = Ask { native: false, ..ASK };
    let page = |name: &str, ask: &Ask| open(fixture(name)).expect(name).page(0, ask).expect(name);
    for (name, ask) in [
        ("text.pdf", &unwanted),
        ("no-characters.pdf", &ASK),
        ("scan.pdf", &ASK),
    ] {
        let sheet = page(name, ask);
        assert!(sheet.head.native.is_none(), "{name}");
        let picture = sheet.picture.expect("a picture");
        assert_eq!(picture.dimensions(), (sheet.head.width, sheet.head.height));
        let dark = picture.pixels().filter(|pixel| pixel.0[0] < 100).count();
        assert!(dark > 300, "{name}: {dark} dark pixels");
    }
    let both = page("mixed.pdf", &ASK);
    assert_eq!(native_lines(&both)[0], "Words and a picture");
    assert_eq!(both.head.native.expect("text").pictures.len(), 1);
    assert!(both.picture.is_some());
    let asked = Ask { picture: true, ..ASK };
    let sheet = page("text.pdf", &asked);
    assert!(sheet.picture.is_some() && sheet.head.native.is_some());
}

#[test]
fn a_page_that_is_stored_on_its_side_is_read_upright() {
    let sheet = first_page(fixture("rotated.pdf")).expect("a page");
    assert!(sheet.head.width > sheet.head.height, "{:?}", sheet.head);
    let native = sheet.head.native.expect("text");
    // It was written upright and then turned, so its text runs downwards.
    assert_eq!(polyphony_ocr::native::turn(&native).degrees(), 270);
}

#[test]
fn a_document_that_needs_a_password_is_refused_and_one_that_does_not_is_read() {
    assert_eq!(
        open(fixture("locked.pdf")).expect_err("locked"),
        Trouble::Encrypted
    );
    let sheet = first_page(fixture("owned.pdf")).expect("no password is needed to read it");
    assert_eq!(native_lines(&sheet)[0], "The first page");
}

#[test]
fn text_that_cannot_be_seen_is_not_read() {
    let content = [
        pdf::say("seen", 50.0, 700.0),
        "3 Tr ".to_owned() + &pdf::say("invisible", 50.0, 680.0),
        "0 Tr q 0 0 10 10 re W n ".to_owned() + &pdf::say("clipped", 50.0, 660.0) + "Q ",
        pdf::say("outside", 5_000.0, 640.0),
    ]
    .concat();
    let sheet = first_page(pdf::document(&[&content], 600.0, 800.0)).expect("a page");
    assert_eq!(native_lines(&sheet), ["seen"]);
}
