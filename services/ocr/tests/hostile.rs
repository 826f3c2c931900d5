//! Documents made to take all time and memory there is: each is answered soon, within the memory of its process.

use std::io::Write as _;
use std::time::{Duration, Instant};

use polyphony_inference::Cancel;
use polyphony_ocr::document::{Sheet, Trouble};
use polyphony_ocr::reader::{Bounds, MOST_DEATHS};
use polyphony_testing::Meters;

use crate::support::{ASK, SOON, bounds, first_page, fixture, open, pdf, readers};

/// Opens a document and its first page, and sees that it does not take long.
#[track_caller]
fn soon(what: &str, bytes: Vec<u8>) -> Result<Sheet, Trouble> {
    let began = Instant::now();
    let found = first_page(bytes);
    assert!(began.elapsed() < SOON, "{what} took {:?}", began.elapsed());
    found
}

fn deflated(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).expect("writes");
    encoder.finish().expect("ends")
}

/// Spaces, deflated twice: `mebibytes` of them in a few hundred kilobytes at most.
fn bomb(mebibytes: usize) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.flush().expect("writes");
    let begin = encoder.get_ref().len();
    encoder.write_all(&vec![b' '; 1 << 20]).expect("writes");
    // Ends at a whole byte and can be repeated. The checksum at the end is wrong; nobody gets there.
    encoder.flush().expect("writes");
    let end = encoder.get_ref().len();
    let once = encoder.finish().expect("ends");
    let (head, piece, tail) = (&once[..begin], &once[begin..end], &once[end..]);
    deflated(&[head, &piece.repeat(mebibytes), tail].concat())
}

#[test]
fn a_size_that_is_only_declared_is_refused_by_the_header() {
    let mut png = fixture("rgb.png");
    png[16..24].copy_from_slice(&[0, 0, 0xFF, 0xFF, 0, 0, 0xFF, 0xFF]);
    let checksum = crc(&png[12..29]);
    png[29..33].copy_from_slice(&checksum.to_be_bytes());
    let mut bmp = fixture("rgb.bmp");
    bmp[18..26].copy_from_slice(&[0xFF, 0xFF, 0, 0, 0xFF, 0xFF, 0, 0]);
    let mut gif = fixture("frames.gif");
    gif[6..10].copy_from_slice(&[0xFF; 4]);
    let mut jpeg = fixture("baseline.jpg");
    let frame = jpeg
        .windows(2)
        .position(|pair| pair == [0xFF, 0xC0])
        .expect("a frame");
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xFF; 4]);
    let mut tiff = fixture("rgb-raw.tif");
    for tag in [[0, 1], [1, 1]] {
        let at = (8..tiff.len())
            .find(|at| tiff[*at..*at + 2] == tag)
            .expect("a tag");
        tiff[at + 8..at + 10].copy_from_slice(&[0xFF, 0xFF]);
    }
    for (what, bytes) in [
        ("PNG", png),
        ("BMP", bmp),
        ("GIF", gif),
        ("JPEG", jpeg),
        ("TIFF", tiff),
    ] {
        let began = Instant::now();
        let trouble = soon(what, bytes).expect_err(what);
        let expected = Trouble::TooManyPixels {
            width: 65_535,
            height: 65_535,
            most: 50_000_000,
        };
        // A picture whose strips cannot hold its size may be called damaged before its size is looked at.
        assert!(
            trouble == expected || (what == "TIFF" && matches!(trouble, Trouble::Damaged(_))),
            "{what}: {trouble:?}"
        );
        assert!(
            began.elapsed() < Duration::from_secs(2),
            "{what}: nothing was decoded"
        );
    }
}

/// CRC-32 of PNG.
fn crc(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[test]
fn a_page_as_large_as_a_field_is_not_drawn() {
    let bytes = pdf::document(&[&pdf::say("vast", 5.0, 5.0)], 14_400.0, 14_400.0);
    let trouble = soon("a vast page", bytes).expect_err("too large");
    assert!(
        matches!(
            trouble,
            Trouble::TooLargeToDraw {
                width: 20_000,
                dpi: 100,
                ..
            }
        ),
        "{trouble:?}"
    );
}

#[test]
fn a_bomb_ends_its_process_and_nothing_else() {
    let mut maker = pdf::Maker::default();
    maker.add("<< /Type /Catalog /Pages 2 0 R >>");
    maker.add("<< /Type /Pages /Count 2 /Kids [3 0 R 5 0 R] /MediaBox [0 0 200 200] >>");
    maker.add("<< /Type /Page /Parent 2 0 R /Contents 4 0 R >>");
    maker.stream("/Filter [/FlateDecode /FlateDecode]", &bomb(3_000));
    maker.add("<< /Type /Page /Parent 2 0 R /Contents 6 0 R /Resources << /Font << /F 7 0 R >> >> >>");
    maker.stream("", pdf::say("still here", 10.0, 100.0).as_bytes());
    maker.add("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>");
    let bytes = maker.finish();
    assert!(bytes.len() < 200_000, "a bomb is small: {}", bytes.len());
    let before = Meters::of_self().peak_rss_bytes;
    let mut document = open(bytes).expect("opens");
    let began = Instant::now();
    let trouble = document.page(0, &ASK).expect_err("a bomb");
    assert!(
        matches!(trouble, Trouble::TooMuch(_) | Trouble::TooSlow(_)),
        "{trouble:?}"
    );
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    let sheet = document.page(1, &ASK).expect("the next page is good");
    assert_eq!(crate::support::native_lines(&sheet), ["still here"]);
    let grown = Meters::of_self().peak_rss_bytes.saturating_sub(before);
    assert!(grown < 512 << 20, "this process grew by {grown} bytes");
}

#[test]
fn the_system_bounds_the_memory_of_a_page() {
    let mut maker = pdf::Maker::default();
    maker.add("<< /Type /Catalog /Pages 2 0 R >>");
    maker.add("<< /Type /Pages /Count 1 /Kids [3 0 R] /MediaBox [0 0 200 200] >>");
    maker.add("<< /Type /Page /Parent 2 0 R /Contents 4 0 R >>");
    maker.stream("/Filter [/FlateDecode /FlateDecode]", &bomb(600));
    let small = Bounds {
        memory: 128 << 20,
        time: Duration::from_secs(60),
        ..bounds()
    };
    let mut document = readers(small)
        .open(maker.finish().into(), &Cancel::default())
        .expect("opens");
    let trouble = document.page(0, &ASK).expect_err("600 MiB in 128");
    assert_eq!(trouble, Trouble::TooMuch("128MiB".to_owned()));
}

#[test]
fn a_picture_that_unfolds_is_bound_by_memory() {
    let mut maker = pdf::Maker::default();
    maker.add("<< /Type /Catalog /Pages 2 0 R >>");
    maker.add("<< /Type /Pages /Count 1 /Kids [3 0 R] /MediaBox [0 0 200 200] >>");
    maker.add("<< /Type /Page /Parent 2 0 R /Contents 4 0 R /Resources << /XObject << /I 5 0 R >> >> >>");
    maker.stream("", b"q 200 0 0 200 0 0 cm /I Do Q");
    let size = "/Width 40000 /Height 40000 /BitsPerComponent 8 /ColorSpace /DeviceRGB";
    maker.stream(
        &format!("/Subtype /Image {size} /Filter [/FlateDecode /FlateDecode]"),
        &bomb(1_000),
    );
    match soon("an image bomb", maker.finish()) {
        Err(Trouble::TooMuch(_) | Trouble::TooSlow(_) | Trouble::Damaged(_)) | Ok(_) => {}
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn drawing_without_end_is_stopped() {
    // Forms that draw one another: nine calls on each of nine levels.
    let mut maker = pdf::Maker::default();
    maker.add("<< /Type /Catalog /Pages 2 0 R >>");
    maker.add("<< /Type /Pages /Count 1 /Kids [3 0 R] /MediaBox [0 0 200 200] >>");
    maker.add("<< /Type /Page /Parent 2 0 R /Contents 4 0 R /Resources << /XObject << /X 5 0 R >> >> >>");
    maker.stream("", b"/X Do");
    for level in 5..14 {
        let next = format!("/Resources << /XObject << /X {} 0 R >> >>", level + 1);
        let entries = format!("/Type /XObject /Subtype /Form /BBox [0 0 200 200] {next}");
        maker.stream(&entries, "/X Do ".repeat(9).as_bytes());
    }
    maker.stream(
        "/Type /XObject /Subtype /Form /BBox [0 0 200 200]",
        b"0 0 200 200 re f",
    );
    let bytes = maker.finish();
    let trouble = soon("a fan of forms", bytes.clone()).expect_err("it never ends");
    assert_eq!(trouble.reason(), "PAGE_TOO_SLOW", "{trouble:?}");

    // And the patience with one document has an end.
    let hasty = Bounds {
        time: Duration::from_millis(300),
        ..bounds()
    };
    let mut document = readers(hasty)
        .open(bytes.into(), &Cancel::default())
        .expect("opens");
    for _ in 0..MOST_DEATHS {
        assert_eq!(
            document.page(0, &ASK).expect_err("slow").reason(),
            "PAGE_TOO_SLOW"
        );
    }
    let began = Instant::now();
    assert_eq!(document.page(0, &ASK), Err(Trouble::GivenUp));
    assert!(began.elapsed() < Duration::from_millis(100));
}

#[test]
fn a_caller_who_goes_away_stops_the_process() {
    let mut maker = pdf::Maker::default();
    maker.add("<< /Type /Catalog /Pages 2 0 R >>");
    maker.add("<< /Type /Pages /Count 1 /Kids [3 0 R] /MediaBox [0 0 200 200] >>");
    maker.add("<< /Type /Page /Parent 2 0 R /Contents 4 0 R >>");
    let endless = "0 0 200 200 re f ".repeat(2_000_000);
    maker.stream("/Filter /FlateDecode", &deflated(endless.as_bytes()));
    let cancel = Cancel::default();
    let patient = Bounds {
        time: Duration::from_secs(60),
        ..bounds()
    };
    let mut document = readers(patient)
        .open(maker.finish().into(), &cancel)
        .expect("opens");
    let caller = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        cancel.cancel();
    });
    let began = Instant::now();
    assert_eq!(document.page(0, &ASK), Err(Trouble::Cancelled));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    caller.join().expect("ends");
}

#[test]
fn trees_and_circles_of_pages_have_an_end() {
    // A tree a hundred thousand levels deep.
    let mut deep = pdf::Maker::default();
    deep.add("<< /Type /Catalog /Pages 2 0 R >>");
    for at in 2..100_000 {
        deep.add(format!("<< /Type /Pages /Count 1 /Kids [{} 0 R] >>", at + 1));
    }
    deep.add("<< /Type /Page /MediaBox [0 0 200 200] >>");
    // A tree that holds itself.
    let mut circle = pdf::Maker::default();
    circle.add("<< /Type /Catalog /Pages 2 0 R >>");
    circle.add("<< /Type /Pages /Count 1 /Kids [2 0 R 3 0 R] >>");
    circle.add("<< /Type /Pages /Count 1 /Kids [2 0 R] >>");
    // An array a million levels deep.
    let mut nested = pdf::Maker::default();
    nested.add("<< /Type /Catalog /Pages 2 0 R >>");
    nested.add(format!(
        "<< /Type /Pages /Kids [3 0 R] /X {} >>",
        "[".repeat(1_000_000)
    ));
    nested.add("<< /Type /Page /MediaBox [0 0 200 200] >>");
    // An object stream that lies within itself.
    let mut within = pdf::Maker::default();
    within.add("<< /Type /Catalog /Pages 2 0 R >>");
    within.add("<< /Type /Pages /Count 1 /Kids [3 0 R] >>");
    within.stream(
        "/Type /ObjStm /N 1 /First 4 /Extends 3 0 R",
        b"3 0 << /Type /Page >>",
    );
    for (what, bytes) in [
        ("a deep tree", deep.finish()),
        ("a circle", circle.finish()),
        ("a deep array", nested.finish()),
        ("an object stream in itself", within.finish()),
        ("nothing after the header", b"%PDF-1.7\n".to_vec()),
        (
            "a header and noise",
            [b"%PDF-1.7\n".to_vec(), vec![0xA5; 1 << 20]].concat(),
        ),
    ] {
        // Whether there is a page to be found does not matter, only that the search ends.
        drop(soon(what, bytes));
    }
}

#[test]
fn ten_thousand_pages_are_counted_at_once() {
    let pages: Vec<&str> = vec![""; 10_000];
    let began = Instant::now();
    let mut document = open(pdf::document(&pages, 200.0, 200.0)).expect("opens");
    assert_eq!(document.page_count(), 10_000);
    document.page(9_999, &ASK).expect("the last page");
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[test]
fn what_is_no_document_is_called_by_its_name() {
    for (bytes, name) in [
        (&b""[..], ""),
        (b"RIFF\x24\0\0\0WAVEfmt ", "WAV audio"),
        (b"just words", "plain text"),
        (b"%PDF", "plain text"),
    ] {
        assert_eq!(
            open(bytes.to_vec()).expect_err("no document"),
            Trouble::Unknown(name.to_owned())
        );
    }
}
