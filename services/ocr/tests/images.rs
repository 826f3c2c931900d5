//! `RecognizeImage` and `GetCapabilities`.

use std::time::Duration;

use polyphony_proto::ocr::v1 as pb;
use tonic::Code;

use crate::support::fixture;
use crate::support::served::{Served, assert_refused, config, reason, served};

#[tokio::test]
async fn an_image_is_read_and_the_receipt_says_with_what() {
    let served = served(config(), Duration::ZERO).await;
    let asked = pb::OcrConfig {
        output_formats: vec![pb::OutputFormat::Text.into(), pb::OutputFormat::Hocr.into()],
        language_hints: vec!["en-US".to_owned()],
        ..Default::default()
    };
    let answer = served.image(asked, fixture("rgb.png")).await.expect("read");
    assert_eq!(answer.text, "40 24\n");
    let page = answer.page.expect("a page");
    assert_eq!(page.text_source(), pb::TextSource::Ocr);
    assert_eq!(
        page.size,
        Some(pb::PageSize {
            width_pixels: 40,
            height_pixels: 24,
            dpi: 300.0
        })
    );
    let token = &page.lines[0].tokens[1];
    let layout = token.layout.as_ref().expect("a layout");
    assert_eq!((token.text.as_str(), layout.confidence), ("24", 0.75));
    let range = layout.text_range.expect("a range");
    assert_eq!(
        &answer.text[range.start_byte as usize..range.end_byte as usize],
        "24"
    );
    let corner = layout.region.as_ref().expect("a region").polygon[2];
    assert!(
        (corner.x - 0.5).abs() < 1e-6 && (corner.y - 10.0 / 24.0).abs() < 1e-6,
        "{corner:?}"
    );
    assert_eq!(page.blocks[0].paragraphs[0].line_indexes, [0]);
    let [text, hocr] = answer.rendered.as_slice() else {
        panic!("{:?}", answer.rendered)
    };
    assert_eq!(
        (text.format(), text.content.as_str()),
        (pb::OutputFormat::Text, "40 24\n")
    );
    assert!(hocr.content.contains("ocrx_word"));
    let receipt = answer.receipt.expect("a receipt");
    assert_eq!(
        (receipt.engine.as_str(), receipt.model.as_str()),
        ("looker", "looker")
    );
    assert!(!receipt.request_id.is_empty() && receipt.timings.is_some());
    let effective = answer.effective_config.expect("a config");
    assert_eq!(effective.model, "looker");
    assert_eq!(effective.render_dpi, Some(200));
    assert_eq!(effective.enable_native_pdf_parsing, Some(true));
    assert_eq!(
        effective
            .detection
            .and_then(|detection| detection.max_side_pixels),
        Some(2_000)
    );
}

#[tokio::test]
async fn what_is_no_image_is_sent_to_the_right_door() {
    let served = served(config(), Duration::ZERO).await;
    for name in ["text.pdf", "pages.tif"] {
        let status = served
            .image(pb::OcrConfig::default(), fixture(name))
            .await
            .expect_err(name);
        assert_refused(&status, Code::InvalidArgument, "image");
        assert!(status.message().contains("StreamDocument"), "{status:?}");
        assert_eq!(reason(&status), "NOT_AN_IMAGE");
    }
}

#[tokio::test]
async fn an_engine_that_fails_is_our_fault_and_says_no_more() {
    let served = served(config(), Duration::ZERO).await;
    let mut red = image::RgbImage::new(8, 8);
    red.put_pixel(0, 0, image::Rgb([255, 0, 0]));
    let mut png = std::io::Cursor::new(Vec::new());
    red.write_to(&mut png, image::ImageFormat::Png).expect("writes");
    let status = served
        .image(pb::OcrConfig::default(), png.into_inner())
        .await
        .expect_err("it fails");
    assert_eq!(status.code(), Code::Internal);
    assert!(!status.message().contains("red"), "{status:?}");
}

#[tokio::test]
async fn one_image_too_many_is_refused() {
    let served = served(config(), Duration::from_secs(30)).await;
    let image = |served: &Served| {
        let client = served.client.clone();
        tokio::spawn(async move {
            let request = pb::RecognizeImageRequest {
                config: None,
                image: crate::support::served::inline(fixture("rgb.png")),
            };
            client.clone().recognize_image(request).await
        })
    };
    // Two workers, and a queue of one.
    let working = [image(&served), image(&served)];
    served.until_held(|held| held == 2).await;
    // Of two more, one waits and one does not.
    let (mut one, mut other) = (image(&served), image(&served));
    let refused = tokio::select! {
        first = &mut one => first,
        first = &mut other => first,
    };
    let refused = refused.expect("ends").expect_err("full");
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::ResourceExhausted, "QUEUE_FULL")
    );
    for call in working.into_iter().chain([one, other]) {
        call.abort();
    }
    served.until_held(|held| held == 0).await;
}

#[tokio::test]
async fn capabilities_tell_what_there_is() {
    let mut config = config();
    config.max_pixels = 1_000;
    let served = served(config, Duration::ZERO).await;
    let answer = served
        .client
        .clone()
        .get_capabilities(pb::GetCapabilitiesRequest {})
        .await
        .expect("tells")
        .into_inner();
    assert_eq!(answer.models[0].model, "looker");
    assert!(
        answer.models[0]
            .supported_fields
            .contains(&"config.enable_tables".to_owned())
    );
    assert!(
        !answer.models[0]
            .supported_fields
            .contains(&"config.enable_barcodes".to_owned())
    );
    assert!(answer.media_types.contains(&"application/pdf".to_owned()));
    assert_eq!(answer.output_formats.len(), 5);
    assert_eq!((answer.max_pixels, answer.max_pages), (1_000, 100));
    assert_eq!(answer.max_message_bytes, 32 << 20);
    served.trigger.drain();
    served.ended.await.expect("ends");
}
