//! `RecognizeImage`: one image, at once.

use polyphony_chassis::places::Patience;
use polyphony_error::Fault;
use polyphony_inference::Cancel;
use polyphony_proto::ocr::v1 as pb;
use tokio::task;

use crate::convert::response;
use crate::document::MediaType;
use crate::job::{Job, Tools};
use crate::reader::OpenDocument;

/// Reads an image. Dropping the future stops the work within one run of a model.
pub(super) async fn recognise(job: Job, tools: Tools) -> Result<pb::RecognizeImageResponse, Fault> {
    let place = tools.places.worker(Patience::Queue).await?;
    let cancel = Cancel::default();
    let _abandon = cancel.on_drop();
    // The place goes with the work: who leaves early frees it when the work has really stopped.
    let work = task::spawn_blocking(move || {
        let place = place;
        let mut running = job.start(&tools, &cancel, is_image, &|_| {})?;
        running.waited(place.waited);
        let page = running.page(0)?;
        Ok(pb::RecognizeImageResponse {
            text: page.reading.text(),
            page: Some(response::page(&page, 0)),
            rendered: response::rendered(&running.plan.formats, &[&page]),
            receipt: Some(running.receipt()),
            effective_config: Some(running.plan.effective),
        })
    });
    work.await.map_err(Fault::internal)?
}

fn is_image(document: &OpenDocument) -> Result<(), Fault> {
    let pages = document.page_count();
    let problem = match document.media_type() {
        MediaType::Pdf => "is a PDF; StreamDocument reads documents".to_owned(),
        _ if pages > 1 => format!("has {pages} pages; StreamDocument reads documents"),
        _ => return Ok(()),
    };
    Err(Fault::invalid("image", problem).with_reason("NOT_AN_IMAGE"))
}
