//! What cannot be read: one clear status each, soon, through a socket; and nobody beside it feels it.

use std::time::{Duration, Instant};

use polyphony_proto::ocr::v1 as pb;
use polyphony_proto::types::v1 as types;
use tonic::{Code, Status};

use crate::support::served::{Served, assert_refused, config, inline, reason, served};
use crate::support::{SOON, fixture, pdf};

/// Sends it as an image and as a document, and sees that both are told the same, soon.
async fn refused(served: &Served, what: &str, bytes: Vec<u8>) -> Status {
    let began = Instant::now();
    let status = served
        .image(pb::OcrConfig::default(), bytes.clone())
        .await
        .expect_err(what);
    assert!(began.elapsed() < SOON, "{what} took {:?}", began.elapsed());
    let request = pb::StreamDocumentRequest {
        document: inline(bytes),
        ..Default::default()
    };
    let (events, ended) = served.document(request).await;
    let other = ended.expect_err(what);
    assert!(events.is_empty(), "{what}");
    assert_eq!(
        (other.code(), reason(&other)),
        (status.code(), reason(&status)),
        "{what}"
    );
    status
}

#[tokio::test]
async fn bytes_that_are_no_document_are_refused_by_what_they_are() {
    let served = served(config(), Duration::ZERO).await;
    let mut cut = fixture("baseline.jpg");
    cut.truncate(200);
    let mut damaged = fixture("rgb.png");
    damaged[40..60].fill(0);
    let mut huge = fixture("baseline.jpg");
    let frame = huge
        .windows(2)
        .position(|pair| pair == [0xFF, 0xC0])
        .expect("a frame");
    huge[frame + 5..frame + 9].fill(0xFF);
    for (what, bytes, code, expected) in [
        ("nothing", Vec::new(), Code::InvalidArgument, "EMPTY_MEDIA"),
        (
            "audio",
            b"RIFF\x24\0\0\0WAVEfmt ".to_vec(),
            Code::InvalidArgument,
            "UNKNOWN_FORMAT",
        ),
        (
            "noise",
            vec![0xA5; 4_096],
            Code::InvalidArgument,
            "UNKNOWN_FORMAT",
        ),
        ("a picture cut off", cut, Code::InvalidArgument, "DAMAGED_MEDIA"),
        (
            "a damaged picture",
            damaged,
            Code::InvalidArgument,
            "DAMAGED_MEDIA",
        ),
        (
            "65,535 x 65,535 pixels",
            huge,
            Code::ResourceExhausted,
            "TOO_MANY_PIXELS",
        ),
    ] {
        if what == "a picture cut off" || what == "a damaged picture" {
            // As a document its page fails, and not the stream.
            let status = served
                .image(pb::OcrConfig::default(), bytes)
                .await
                .expect_err(what);
            assert_eq!(
                (status.code(), reason(&status).as_str()),
                (code, expected),
                "{what}"
            );
            continue;
        }
        let status = refused(&served, what, bytes).await;
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (code, expected),
            "{what}: {status:?}"
        );
    }
    let audio = refused(&served, "audio", b"RIFF\x24\0\0\0WAVEfmt ".to_vec()).await;
    assert!(audio.message().contains("WAV audio"), "{audio:?}");
}

#[tokio::test]
async fn documents_that_cannot_be_opened_are_refused_as_a_whole() {
    let served = served(config(), Duration::ZERO).await;
    let many = pdf::document(&vec![""; 10_000], 100.0, 100.0);
    let mut circle = fixture("pages.tif");
    // The first directory says that it is followed by itself.
    let first = u32::from_le_bytes(circle[4..8].try_into().expect("four")) as usize;
    let entries = usize::from(u16::from_le_bytes(
        circle[first..first + 2].try_into().expect("two"),
    ));
    let next = first + 2 + 12 * entries;
    circle[next..next + 4].copy_from_slice(&(first as u32).to_le_bytes());
    for (what, bytes, code, expected) in [
        (
            "a locked PDF",
            fixture("locked.pdf"),
            Code::FailedPrecondition,
            "DOCUMENT_ENCRYPTED",
        ),
        (
            "ten thousand pages",
            many,
            Code::ResourceExhausted,
            "TOO_MANY_PAGES",
        ),
        (
            "a circle of pages",
            circle,
            Code::InvalidArgument,
            "DAMAGED_MEDIA",
        ),
        (
            "a PDF without pages",
            b"%PDF-1.7\nnothing".to_vec(),
            Code::InvalidArgument,
            "DAMAGED_MEDIA",
        ),
    ] {
        let began = Instant::now();
        let request = pb::StreamDocumentRequest {
            document: inline(bytes),
            ..Default::default()
        };
        let (events, ended) = served.document(request).await;
        let status = ended.expect_err(what);
        assert!(
            events.is_empty() && began.elapsed() < SOON,
            "{what} took {:?}",
            began.elapsed()
        );
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (code, expected),
            "{what}: {status:?}"
        );
    }
}

#[tokio::test]
async fn a_hostile_document_does_not_disturb_the_one_beside_it() {
    let served = served(config(), Duration::ZERO).await;
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
    let hostile = pb::StreamDocumentRequest {
        document: inline(maker.finish()),
        ..Default::default()
    };
    let began = Instant::now();
    let (bomb, beside) = tokio::join!(served.document(hostile), async {
        let mut longest = Duration::ZERO;
        for _ in 0..10 {
            let began = Instant::now();
            served
                .image(pb::OcrConfig::default(), fixture("rgb.png"))
                .await
                .expect("undisturbed");
            longest = longest.max(began.elapsed());
        }
        longest
    });
    let (events, ended) = bomb;
    ended.expect("the stream itself ends well");
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert!(beside < Duration::from_secs(3), "{beside:?}");
    let failed = events.iter().find_map(|event| match event {
        pb::stream_document_response::Event::Page(page) => page.error.clone(),
        _ => None,
    });
    assert_eq!(
        failed.map(|error| error.code),
        Some(Code::ResourceExhausted.into())
    );
}

#[tokio::test]
async fn media_that_is_elsewhere_is_refused_by_name() {
    let served = served(config(), Duration::ZERO).await;
    use types::media::Source;
    for (source, code, field) in [
        (
            Some(Source::Uri("https://example.com/a.png".to_owned())),
            Code::PermissionDenied,
            "image.uri",
        ),
        (
            Some(Source::BlobDigest("sha256:0".to_owned())),
            Code::Unimplemented,
            "image.blob_digest",
        ),
        (None, Code::InvalidArgument, "image"),
    ] {
        let request = pb::RecognizeImageRequest {
            config: None,
            image: Some(types::Media { source }),
        };
        let status = served
            .client
            .clone()
            .recognize_image(request)
            .await
            .expect_err("refused");
        assert_refused(&status, code, field);
    }
}

#[tokio::test]
async fn configs_that_cannot_be_honoured_are_refused_by_field() {
    let served = served(config(), Duration::ZERO).await;
    let plain = pb::OcrConfig::default;
    let detection = |detection| pb::OcrConfig {
        detection: Some(detection),
        ..plain()
    };
    let cases = [
        (
            "enable_barcodes",
            pb::OcrConfig {
                enable_barcodes: Some(true),
                ..plain()
            },
        ),
        (
            "enable_math_ocr",
            pb::OcrConfig {
                enable_math_ocr: Some(true),
                ..plain()
            },
        ),
        (
            "language_hints[1]",
            pb::OcrConfig {
                language_hints: vec!["en".to_owned(), "tlh".to_owned()],
                ..plain()
            },
        ),
        (
            "language_hints[0]",
            pb::OcrConfig {
                language_hints: vec!["x".to_owned()],
                ..plain()
            },
        ),
        (
            "min_confidence",
            pb::OcrConfig {
                min_confidence: Some(1.5),
                ..plain()
            },
        ),
        (
            "min_confidence",
            pb::OcrConfig {
                min_confidence: Some(f32::NAN),
                ..plain()
            },
        ),
        (
            "render_dpi",
            pb::OcrConfig {
                render_dpi: Some(71),
                ..plain()
            },
        ),
        (
            "render_dpi",
            pb::OcrConfig {
                render_dpi: Some(601),
                ..plain()
            },
        ),
        (
            "output_formats[1]",
            pb::OcrConfig {
                output_formats: vec![1, 0],
                ..plain()
            },
        ),
        (
            "output_formats[0]",
            pb::OcrConfig {
                output_formats: vec![99],
                ..plain()
            },
        ),
        (
            "output_formats",
            pb::OcrConfig {
                output_formats: vec![1; 6],
                ..plain()
            },
        ),
        (
            "expected_model_digest",
            pb::OcrConfig {
                expected_model_digest: "abc".to_owned(),
                ..plain()
            },
        ),
        (
            "detection.max_side_pixels",
            detection(pb::TextDetection {
                max_side_pixels: Some(100),
                ..Default::default()
            }),
        ),
        (
            "detection.pixel_threshold",
            detection(pb::TextDetection {
                pixel_threshold: Some(-0.1),
                ..Default::default()
            }),
        ),
        (
            "detection.box_threshold",
            detection(pb::TextDetection {
                box_threshold: Some(2.0),
                ..Default::default()
            }),
        ),
        (
            "detection.unclip_ratio",
            detection(pb::TextDetection {
                unclip_ratio: Some(0.5),
                ..Default::default()
            }),
        ),
    ];
    for (field, asked) in cases {
        let status = served.image(asked, fixture("rgb.png")).await.expect_err(field);
        assert_refused(&status, Code::InvalidArgument, &format!("config.{field}"));
    }
    let wrong = pb::OcrConfig {
        expected_model_digest: format!("sha256:{}", "1".repeat(64)),
        ..plain()
    };
    let status = served
        .image(wrong, fixture("rgb.png"))
        .await
        .expect_err("another");
    assert_eq!(status.code(), Code::FailedPrecondition);
    let unknown = pb::OcrConfig {
        model: "no/such-model".to_owned(),
        ..plain()
    };
    let status = served
        .image(unknown, fixture("rgb.png"))
        .await
        .expect_err("unknown");
    assert_eq!(status.code(), Code::NotFound);
    let empty = pb::StreamDocumentRequest {
        document: inline(fixture("text.pdf")),
        pages: vec![pb::PageRange::default()],
        ..Default::default()
    };
    let (_, ended) = served.document(empty).await;
    assert_refused(
        &ended.expect_err("empty"),
        Code::InvalidArgument,
        "pages[0].end_page",
    );
}
