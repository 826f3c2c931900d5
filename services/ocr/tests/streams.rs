//! `StreamDocument`: pages in order, each with its own status.

use std::time::Duration;

use polyphony_proto::ocr::v1 as pb;
use polyphony_proto::ocr::v1::stream_document_response::Event;
use tonic::Code;

use crate::support::served::{assert_refused, config, inline, reason, served};
use crate::support::{fixture, pdf};

fn request(bytes: Vec<u8>, ranges: &[(u32, u32)]) -> pb::StreamDocumentRequest {
    let range = |(start_page, end_page): &(u32, u32)| pb::PageRange {
        start_page: *start_page,
        end_page: *end_page,
    };
    pb::StreamDocumentRequest {
        config: Some(pb::OcrConfig {
            render_dpi: Some(72),
            ..Default::default()
        }),
        document: inline(bytes),
        pages: ranges.iter().map(range).collect(),
    }
}

fn pages(events: &[Event]) -> Vec<&pb::PageResult> {
    let pages = events.iter().filter_map(|event| match event {
        Event::Page(page) => Some(page),
        Event::Opened(_) | Event::Completed(_) => None,
    });
    pages.collect()
}

#[tokio::test]
async fn pages_come_in_order_between_an_opening_and_an_end() {
    let served = served(config(), Duration::from_millis(5)).await;
    let (events, ended) = served.document(request(fixture("pages.tif"), &[])).await;
    ended.expect("ends well");
    let Some(Event::Opened(opened)) = events.first() else {
        panic!("{events:?}")
    };
    assert_eq!((opened.page_count, opened.media_type.as_str()), (3, "image/tiff"));
    assert_eq!(opened.receipt.as_ref().expect("a receipt").model, "looker");
    assert_eq!(
        opened.effective_config.as_ref().expect("a config").render_dpi,
        Some(72)
    );
    let pages = pages(&events);
    let numbers: Vec<u32> = pages.iter().map(|page| page.page_number).collect();
    assert_eq!(numbers, [0, 1, 2]);
    assert!(
        pages
            .iter()
            .all(|page| page.text == "40 24\n" && page.error.is_none())
    );
    let Some(Event::Completed(completed)) = events.last() else {
        panic!("{events:?}")
    };
    assert_eq!((completed.succeeded_pages, completed.failed_pages), (3, 0));
    let timings = completed
        .receipt
        .as_ref()
        .and_then(|receipt| receipt.timings)
        .expect("timings");
    let inference = timings.inference_duration.expect("it worked");
    assert!(
        inference.seconds > 0 || inference.nanos >= 15_000_000,
        "{inference:?}"
    );
}

#[tokio::test]
async fn a_page_that_fails_does_not_end_the_stream() {
    let served = served(config(), Duration::ZERO).await;
    let red = "1 0 0 rg 0 0 200 200 re f";
    // The first is drawn and read, the second makes the engine fail, the third is empty, the fourth has its own text.
    let said = pdf::say("its own words", 10.0, 100.0);
    let bytes = pdf::document(&["0 0 1 rg 9 9 50 50 re f", red, "", &said], 200.0, 200.0);
    let (events, ended) = served.document(request(bytes, &[])).await;
    ended.expect("ends well");
    let pages = pages(&events);
    let texts: Vec<&str> = pages.iter().map(|page| page.text.as_str()).collect();
    assert_eq!(texts, ["200 200\n", "", "200 200\n", "its own words\n"]);
    let error = pages[1].error.as_ref().expect("an error");
    assert_eq!(error.code, i32::from(Code::Internal));
    assert!(!error.details.is_empty(), "with its reason");
    let source = |at: usize| pages[at].page.as_ref().expect("a page").text_source();
    assert_eq!(
        (source(0), source(3)),
        (pb::TextSource::Ocr, pb::TextSource::Native)
    );
    let Some(Event::Completed(completed)) = events.last() else {
        panic!("{events:?}")
    };
    assert_eq!((completed.succeeded_pages, completed.failed_pages), (3, 1));
}

#[tokio::test]
async fn a_page_of_both_kinds_has_the_words_of_both() {
    let served = served(config(), Duration::ZERO).await;
    let (events, ended) = served.document(request(fixture("mixed.pdf"), &[])).await;
    ended.expect("ends well");
    let page = pages(&events)[0];
    // The looker sees its line at the top left of the page, outside of the picture: nothing is added.
    assert_eq!(
        page.page.as_ref().expect("a page").text_source(),
        pb::TextSource::Native
    );
    assert!(page.text.starts_with("Words and a picture\n"), "{}", page.text);
    let mut asked = request(fixture("mixed.pdf"), &[]);
    asked.config.as_mut().expect("a config").enable_native_pdf_parsing = Some(false);
    let (events, ended) = served.document(asked).await;
    ended.expect("ends well");
    assert_eq!(pages(&events)[0].text, "419 595\n", "A5 in points");
}

#[tokio::test]
async fn only_the_pages_that_are_wanted_are_read() {
    let mut config = config();
    config.max_pages = 3;
    let served = served(config, Duration::ZERO).await;
    let said: Vec<String> = (0..9)
        .map(|page| pdf::say(&format!("page {page}"), 10.0, 100.0))
        .collect();
    let bytes = pdf::document(&said.iter().map(String::as_str).collect::<Vec<_>>(), 200.0, 200.0);
    let (events, ended) = served.document(request(bytes.clone(), &[(7, 9), (0, 1)])).await;
    ended.expect("ends well");
    let found: Vec<&str> = pages(&events).iter().map(|page| page.text.as_str()).collect();
    assert_eq!(found, ["page 0\n", "page 7\n", "page 8\n"]);
    let (_, ended) = served.document(request(bytes.clone(), &[])).await;
    let status = ended.expect_err("too many");
    assert_refused(&status, Code::ResourceExhausted, "document");
    assert_eq!(reason(&status), "TOO_MANY_PAGES");
    let (_, ended) = served.document(request(bytes, &[(8, 10)])).await;
    assert_refused(
        &ended.expect_err("no such page"),
        Code::InvalidArgument,
        "pages[0].end_page",
    );
}

#[tokio::test]
async fn documents_share_the_workers_and_one_too_many_is_refused() {
    let served = served(config(), Duration::from_secs(30)).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut client = served.client.clone();
        let events = client
            .stream_document(request(fixture("pages.tif"), &[]))
            .await
            .expect("opens");
        open.push(events.into_inner());
    }
    for events in &mut open {
        let first = events.message().await.expect("well").expect("an event");
        assert!(matches!(first.event, Some(Event::Opened(_))));
    }
    served.until_held(|held| held == 2).await;
    let (_, ended) = served.document(request(fixture("pages.tif"), &[])).await;
    let status = ended.expect_err("full");
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::ResourceExhausted, "STREAMS_FULL")
    );
    // Whoever goes away leaves nothing behind: neither the engine at work nor the place.
    drop(open);
    served.until_held(|held| held == 0).await;
    let mut again = served.client.clone();
    let mut events = loop {
        let first = again.stream_document(request(fixture("pages.tif"), &[])).await;
        match first {
            Ok(events) => break events.into_inner(),
            // The last thread is on its way out.
            Err(status) => assert_eq!(reason(&status), "STREAMS_FULL"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    events.message().await.expect("well").expect("an event");
}
