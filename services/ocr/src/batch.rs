//! Batches in the background: what is told of one, and the task that works through its documents.

mod run;
mod wanted;

use polyphony_chassis::operations::{Desk, Moment, Work};
use polyphony_proto::ocr::v1 as pb;
use polyphony_proto::types::v1::JobState;

pub(crate) use run::begin;
pub(crate) use wanted::Wanted;

/// The batches of a process.
pub(crate) type Batches = Desk<Batch>;

/// Documents that are read one after another.
#[derive(Debug)]
pub(crate) struct Batch;

/// How far one of its documents is.
#[derive(Debug, Clone)]
pub(crate) struct DocumentState {
    name: String,
    state: JobState,
    done_pages: u32,
    /// 0: not known yet.
    total_pages: u32,
    /// Encoded bytes: what its share of the whole is measured by.
    size: u64,
}

// === impl Batch ===

impl Work for Batch {
    type Progress = Vec<DocumentState>;
    type Metadata = pb::BatchProcessMetadata;
    type Response = pb::BatchProcessResponse;
    const METADATA: &'static str = "polyphony.ocr.v1.BatchProcessMetadata";
    const RESPONSE: &'static str = "polyphony.ocr.v1.BatchProcessResponse";

    fn metadata(now: &Moment<Vec<DocumentState>>) -> pb::BatchProcessMetadata {
        let document = |document: &DocumentState| pb::BatchDocumentProgress {
            name: document.name.clone(),
            state: document.state.into(),
            done_pages: document.done_pages,
            total_pages: document.total_pages,
        };
        pb::BatchProcessMetadata {
            create_time: Some(now.created.into()),
            update_time: Some(now.updated.into()),
            state: now.state.into(),
            progress_percent: percent(&now.progress),
            documents: now.progress.iter().map(document).collect(),
            queue: now.queue,
        }
    }

    fn settle(documents: &mut Vec<DocumentState>, state: JobState) {
        for document in documents.iter_mut().filter(|document| !document.is_over()) {
            document.state = state;
        }
    }
}

/// How much of the documents is done, 0 to 100: by their bytes, and within each by its pages.
fn percent(documents: &[DocumentState]) -> u32 {
    let all: f64 = documents.iter().map(|document| document.size as f64).sum();
    let done: f64 = documents
        .iter()
        .map(|document| document.size as f64 * document.share())
        .sum();
    if all > 0.0 { (done * 100.0 / all) as u32 } else { 0 }
}

// === impl DocumentState ===

impl DocumentState {
    const fn new(name: String, size: u64) -> Self {
        Self {
            name,
            state: JobState::Queued,
            done_pages: 0,
            total_pages: 0,
            size,
        }
    }

    const fn is_over(&self) -> bool {
        matches!(
            self.state,
            JobState::Succeeded | JobState::Failed | JobState::Cancelled
        )
    }

    fn share(&self) -> f64 {
        if self.is_over() {
            1.0
        } else {
            f64::from(self.done_pages) / f64::from(self.total_pages.max(1))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_goes_by_bytes_and_pages() {
        let mut documents = vec![
            DocumentState::new("a".to_owned(), 300),
            DocumentState::new("b".to_owned(), 100),
        ];
        assert_eq!(percent(&documents), 0);
        (documents[0].done_pages, documents[0].total_pages) = (1, 3);
        assert_eq!(percent(&documents), 25);
        documents[0].state = JobState::Failed;
        assert_eq!(percent(&documents), 75);
        Batch::settle(&mut documents, JobState::Cancelled);
        assert_eq!(percent(&documents), 100);
        assert_eq!(documents[0].state, JobState::Failed);
        assert_eq!(documents[1].state, JobState::Cancelled);
    }
}
