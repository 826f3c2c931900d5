//! `ClassifyDocument`: what kind of document it is, by rules over what was read.
//!
//! There is no trained classifier here, and the receipt says so: the engine is called "rules", its labels are fixed, and
//! it knows the words of English documents best. The rules are those of [`polyphony_doctype`].

use std::ops::Range;

use polyphony_chassis::places::Patience;
use polyphony_doctype::{LABELS, Scored};
use polyphony_error::{Fault, Kind};
use polyphony_inference::Cancel;
use polyphony_models::{Degradation, Provenance};
use polyphony_proto::ocr::v1 as pb;
use polyphony_wire::{Refusals, Spent, media, receipt};
use prost::bytes::Bytes;
use tokio::task;

use crate::convert::pages::Ranges;
use crate::convert::request::Asked;
use crate::job::{Job, Tools};
use crate::reading::Page;

/// The one classifier that there is.
const MODEL: &str = "rules";
/// Labels less likely are left out where the caller does not say.
const MIN_SCORE: f32 = 0.1;
/// A document shows in its first pages what it is.
const LOOKED_AT: u32 = 5;

/// A request that is well formed.
#[derive(Debug)]
pub(crate) struct Wanted {
    bytes: Bytes,
    /// The labels to choose from; empty: all.
    labels: Vec<String>,
    min_score: f32,
    split: bool,
    call: String,
}

// === impl Wanted ===

impl Wanted {
    pub(crate) fn parse(request: pb::ClassifyDocumentRequest, call: String) -> Result<Self, Fault> {
        let pb::ClassifyDocumentRequest {
            model,
            document,
            labels,
            min_score,
            split,
        } = request;
        if !model.is_empty() && model != MODEL {
            let name: String = model.chars().take(128).collect();
            let remedy = "the only classifier here is \"rules\"; leave model empty";
            return Err(Fault::not_found("classifier", name, remedy));
        }
        let mut refusals = Refusals::at("");
        for (at, label) in labels.iter().enumerate() {
            if !LABELS.contains(&label.as_str()) {
                let text = format!("is not known to rules, whose labels are {}", LABELS.join(", "));
                refusals.add(&format!("labels[{at}]"), text);
                break;
            }
        }
        let min_score = min_score.unwrap_or(MIN_SCORE);
        if !(0.0..=1.0).contains(&min_score) {
            refusals.add("min_score", "must be 0 to 1");
        }
        refusals.finish()?;
        Ok(Self {
            bytes: media::inline(document, "document", "the document")?,
            labels,
            min_score,
            split: split.unwrap_or(false),
            call,
        })
    }

    fn shown(&self, scores: Vec<Scored>) -> Vec<Scored> {
        let mut scores = scores;
        scores.retain(|(label, score)| {
            *score >= self.min_score
                && (self.labels.is_empty() || self.labels.iter().any(|asked| asked == label))
        });
        scores
    }
}

/// Reads a document and says what it is. Dropping the future stops the work.
pub(crate) async fn classify(wanted: Wanted, tools: Tools) -> Result<pb::ClassifyDocumentResponse, Fault> {
    // A caller waits for all of it, so it is a worker's from end to end.
    let place = tools.places.worker(Patience::Queue).await?;
    let cancel = Cancel::default();
    let _abandon = cancel.on_drop();
    let work = task::spawn_blocking(move || {
        let place = place;
        let job = Job {
            bytes: wanted.bytes.clone(),
            asked: Asked::parse(None, "")?,
            ranges: Ranges::default(),
            field: "document".to_owned(),
            call: wanted.call.clone(),
        };
        let tools = if wanted.split {
            tools
        } else {
            Tools {
                max_pages: u32::MAX,
                ..tools
            }
        };
        let mut running = job.start(&tools, &cancel, |_| Ok(()), &|_| {})?;
        if !wanted.split {
            running.pages.truncate(LOOKED_AT as usize);
        }
        let (mut pages, mut failed) = (Vec::new(), None);
        for number in running.pages.clone() {
            match running.page(number) {
                Ok(page) => pages.push(page),
                Err(fault) if fault.kind == Kind::Cancelled => return Err(fault),
                Err(fault) => failed = Some(fault),
            }
        }
        // What can be read is enough to say what it is.
        if let (true, Some(fault)) = (pages.is_empty(), failed) {
            return Err(fault);
        }
        let classes = if wanted.split {
            parts(&pages)
                .into_iter()
                .flat_map(|(range, scores)| {
                    let ranges = vec![pb::PageRange {
                        start_page: range.start,
                        end_page: range.end,
                    }];
                    wanted
                        .shown(scores)
                        .into_iter()
                        .map(move |scored| wire(scored, ranges.clone()))
                })
                .collect()
        } else {
            let scores = scores(&pages.iter().collect::<Vec<_>>());
            wanted
                .shown(scores)
                .into_iter()
                .map(|scored| wire(scored, Vec::new()))
                .collect()
        };
        let spent = Spent {
            queue: Some(place.waited),
            ..running.spent()
        };
        Ok(pb::ClassifyDocumentResponse {
            classes,
            receipt: Some(receipt(&wanted.call, &provenance(), spent)),
        })
    });
    work.await.map_err(Fault::internal)?
}

fn wire((label, score): Scored, pages: Vec<pb::PageRange>) -> pb::DocumentClass {
    pb::DocumentClass {
        label: label.to_owned(),
        score,
        pages,
    }
}

/// What a document of these pages is: all labels, the likeliest first. What is missing to 1 is the chance that it is none
/// of them.
fn scores(pages: &[&Page]) -> Vec<Scored> {
    let lines = pages.iter().flat_map(|page| &page.reading.lines);
    let first = pages.first().map(|page| &page.reading);
    polyphony_doctype::scores(
        lines.map(|line| line.text.as_str()),
        first.map(|page| page.height as f32 / page.width.max(1) as f32),
    )
}

/// The parts of a document: pages that follow one another and are most likely the same.
fn parts(pages: &[Page]) -> Vec<(Range<u32>, Vec<Scored>)> {
    let mut parts: Vec<(Range<u32>, Option<&'static str>, Vec<&Page>)> = Vec::new();
    for page in pages {
        let best = scores(&[page])
            .first()
            .filter(|(_, score)| *score >= 0.5)
            .map(|(label, _)| *label);
        match parts.last_mut() {
            // A page that says nothing goes on with what came before.
            Some((range, label, part)) if best.is_none() || *label == best => {
                range.end = page.number + 1;
                part.push(page);
            }
            _ => parts.push((page.number..page.number + 1, best, vec![page])),
        }
    }
    parts
        .into_iter()
        .map(|(range, _, part)| (range, scores(&part)))
        .collect()
}

/// With what it was done.
fn provenance() -> Provenance {
    Provenance {
        engine: MODEL,
        version: concat!("polyphony-ocr ", env!("CARGO_PKG_VERSION")).to_owned(),
        model: MODEL.to_owned(),
        digest: String::new(),
        device: "cpu".to_owned(),
        degraded: Some(Degradation {
            reason: "NO_CLASSIFIER_MODEL",
            message:
                "no trained classifier of documents exists here; these labels come from rules over the text, \
                      written for English documents first"
                    .to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests;
