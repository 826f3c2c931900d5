//! Batches in the background: jobs of a queue that outlives the process; what is told of one, and the task that works
//! through its documents.

mod run;
mod submit;
mod wanted;

use polyphony_chassis::operations::{Lasting, LastingWork, lasting};
use polyphony_jobs::{Job, State};
use polyphony_proto::ocr::v1 as pb;
use polyphony_proto::types::v1::JobState;
use prost::Message;

pub(crate) use run::work;
pub(crate) use submit::submit;

/// The batches of a service.
pub(crate) type Batches = Lasting<Batch>;

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

impl LastingWork for Batch {
    type Metadata = pb::BatchProcessMetadata;
    const METADATA: &'static str = "polyphony.ocr.v1.BatchProcessMetadata";
    const RESPONSE: &'static str = "polyphony.ocr.v1.BatchProcessResponse";

    fn metadata(job: &Job) -> pb::BatchProcessMetadata {
        // What its worker said last; the queue knows the rest.
        let mut metadata = pb::BatchProcessMetadata::decode(job.progress.as_slice()).unwrap_or_default();
        metadata.create_time = Some(job.created.into());
        metadata.update_time = Some(job.updated.into());
        metadata.state = lasting::state(job.state).into();
        metadata.queue = lasting::place(job);
        settle(&mut metadata, job.state);
        metadata
    }
}

/// It is over, or waits once more: so do those of its documents that are not done.
fn settle(metadata: &mut pb::BatchProcessMetadata, state: State) {
    if state.is_held() {
        return;
    }
    for document in &mut metadata.documents {
        if !is_over(document.state()) {
            document.state = lasting::state(state).into();
        }
    }
    if state.is_over() {
        metadata.progress_percent = 100;
    }
}

/// How far a batch is, as its job's progress.
fn told(documents: &[DocumentState]) -> Vec<u8> {
    let document = |document: &DocumentState| pb::BatchDocumentProgress {
        name: document.name.clone(),
        state: document.state.into(),
        done_pages: document.done_pages,
        total_pages: document.total_pages,
    };
    let metadata = pb::BatchProcessMetadata {
        progress_percent: percent(documents),
        documents: documents.iter().map(document).collect(),
        ..pb::BatchProcessMetadata::default()
    };
    metadata.encode_to_vec()
}

const fn is_over(state: JobState) -> bool {
    matches!(
        state,
        JobState::Succeeded | JobState::Failed | JobState::Cancelled
    )
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
        is_over(self.state)
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
        let mut metadata = pb::BatchProcessMetadata::decode(told(&documents).as_slice()).expect("its own");
        settle(&mut metadata, State::Cancelled);
        assert_eq!(metadata.progress_percent, 100);
        assert_eq!(metadata.documents[0].state(), JobState::Failed);
        assert_eq!(metadata.documents[1].state(), JobState::Cancelled);
    }
}
