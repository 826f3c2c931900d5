//! The program as it is run, with the model that the set-up installs.

use polyphony_proto::ocr::v1 as pb;
use polyphony_proto::ocr::v1::ocr_service_client::OcrServiceClient;
use polyphony_proto::ocr::v1::stream_document_response::Event;
use tonic::transport::Channel;

use crate::support::program::program;
use crate::support::served::inline;
use crate::support::{fixture, pdf};

async fn served() -> OcrServiceClient<Channel> {
    // It finds the program that opens documents by itself, beside this one.
    program(vec!["ocr.workers=2".to_owned()]).await
}

/// The text of each page of a document, and where it came from.
async fn pages(
    client: &mut OcrServiceClient<Channel>,
    bytes: Vec<u8>,
    config: pb::OcrConfig,
) -> Vec<(String, pb::TextSource)> {
    let request = pb::StreamDocumentRequest {
        config: Some(config),
        document: inline(bytes),
        pages: Vec::new(),
    };
    let mut events = client.stream_document(request).await.expect("opens").into_inner();
    let mut pages = Vec::new();
    while let Some(message) = events.message().await.expect("well") {
        if let Some(Event::Page(page)) = message.event {
            assert!(page.error.is_none(), "{:?}", page.error);
            let source = page.page.as_ref().expect("a page").text_source();
            pages.push((page.text, source));
        }
    }
    pages
}

#[tokio::test]
async fn pages_say_their_own_text_or_are_read_or_both() {
    let mut client = served().await;
    let plain = pb::OcrConfig::default;
    let text = pages(&mut client, fixture("text.pdf"), plain()).await;
    assert_eq!(text.len(), 2);
    assert!(text.iter().all(|(_, source)| *source == pb::TextSource::Native));
    assert!(
        text[1]
            .0
            .starts_with("The second page\nA document that was written"),
        "{}",
        text[1].0
    );
    assert!(text[1].0.contains("żółć"), "{}", text[1].0);

    let scan = pages(&mut client, fixture("scan.pdf"), plain()).await;
    assert_eq!(scan[0].1, pb::TextSource::Ocr);
    assert_eq!(
        squashed(&scan[0].0),
        "Scannedpage",
        "and not what lies hidden beneath"
    );

    let mixed = pages(&mut client, fixture("mixed.pdf"), plain()).await;
    assert_eq!(mixed[0].1, pb::TextSource::Mixed);
    let (own, seen) = (
        mixed[0].0.find("Words and a picture"),
        squashed(&mixed[0].0).find("Inthepicture"),
    );
    assert!(own == Some(0) && seen.is_some(), "{}", mixed[0].0);

    // Without the text layer the same page is read from its picture.
    let drawn = pb::OcrConfig {
        enable_native_pdf_parsing: Some(false),
        ..plain()
    };
    let drawn = pages(&mut client, fixture("text.pdf"), drawn).await;
    assert_eq!(drawn[0].1, pb::TextSource::Ocr);
    assert!(
        squashed(&drawn[0].0).starts_with("ThefirstpageAdocumentthatwaswritten"),
        "{}",
        drawn[0].0
    );
}

#[tokio::test]
async fn an_image_is_read_whichever_way_it_lies() {
    let mut client = served().await;
    for (name, rotation) in [("read/upright.png", 0), ("read/on-its-side.png", 270)] {
        let request = pb::RecognizeImageRequest {
            config: Some(pb::OcrConfig {
                output_formats: vec![pb::OutputFormat::Alto.into()],
                ..Default::default()
            }),
            image: inline(fixture(name)),
        };
        let answer = client.recognize_image(request).await.expect("read").into_inner();
        assert_eq!(
            squashed(&answer.text),
            "Whicheverwayapagelies,itisreadasitwaswritten.",
            "{name}"
        );
        let page = answer.page.expect("a page");
        assert_eq!(page.rotation_degrees, rotation, "{name}");
        let size = page.size.expect("a size");
        assert_eq!((size.width_pixels, size.height_pixels), (900, 700), "{name}");
        assert!(
            answer.rendered[0].content.contains("CONTENT=\"Whichever"),
            "{}",
            answer.rendered[0].content
        );
        let receipt = answer.receipt.expect("a receipt");
        assert_eq!(
            (receipt.engine.as_str(), receipt.device.as_str()),
            ("ppocr", "cpu")
        );
        assert!(receipt.model_digest.starts_with("sha256:"), "{receipt:?}");
    }
}

#[tokio::test]
async fn a_document_is_told_for_what_it_is() {
    let mut client = served().await;
    let invoice = [
        "Smith and Sons",
        "Invoice no. 44",
        "Bill to: Mrs Jones",
        "Unit price 45.00",
        "Amount due 90.00",
    ];
    let letter = [
        "Dear Anna,",
        "I have had your letter, and I am glad that you are well again. My brother asks after you.",
        "I hope to see you and your mother when my work here is done.",
        "Yours ever, Tom",
    ];
    let page = |lines: &[&str]| -> String {
        let line = |(at, line): (usize, &&str)| pdf::say(line, 40.0, 700.0 - 20.0 * at as f32);
        lines.iter().enumerate().map(line).collect()
    };
    let (first, second) = (page(&invoice), page(&letter));
    let request = pb::ClassifyDocumentRequest {
        document: inline(pdf::document(&[&first, &second], 600.0, 800.0)),
        split: Some(true),
        min_score: Some(0.5),
        ..Default::default()
    };
    let answer = client
        .classify_document(request)
        .await
        .expect("classified")
        .into_inner();
    let classes: Vec<(&str, u32, u32)> = answer
        .classes
        .iter()
        .map(|class| {
            (
                class.label.as_str(),
                class.pages[0].start_page,
                class.pages[0].end_page,
            )
        })
        .collect();
    assert_eq!(classes, [("invoice", 0, 1), ("letter", 1, 2)]);
    let receipt = answer.receipt.expect("a receipt");
    assert_eq!(receipt.engine, "rules");
    assert_eq!(receipt.degraded.expect("no model").reason, "NO_CLASSIFIER_MODEL");
}

/// Without spaces, which the model does not always see.
fn squashed(text: &str) -> String {
    text.split_whitespace().collect()
}
