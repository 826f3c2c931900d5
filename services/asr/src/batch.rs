//! Batches in the background: what is told of one, and the task that works through its files.
//!
//! The table of operations, turns and the end of work that broke off are `polyphony_chassis::operations`.

mod run;
mod wanted;

use polyphony_chassis::operations::{Desk, Moment, Work};
use polyphony_proto::asr::v1 as pb;
use polyphony_proto::types::v1::JobState;

pub(crate) use run::begin;
pub(crate) use wanted::Wanted;

/// The batches of a process.
pub(crate) type Batches = Desk<Batch>;

/// Recordings that are recognised one after another.
#[derive(Debug)]
pub(crate) struct Batch;

/// How far one of its files is.
#[derive(Debug, Clone)]
pub(crate) struct FileState {
    name: String,
    state: JobState,
    /// Encoded bytes: what its share of the whole is measured by.
    size: u64,
}

// === impl Batch ===

impl Work for Batch {
    type Progress = Vec<FileState>;
    type Metadata = pb::BatchRecognizeMetadata;
    type Response = pb::BatchRecognizeResponse;
    const METADATA: &'static str = "polyphony.asr.v1.BatchRecognizeMetadata";
    const RESPONSE: &'static str = "polyphony.asr.v1.BatchRecognizeResponse";

    fn metadata(now: &Moment<Vec<FileState>>) -> pb::BatchRecognizeMetadata {
        let file = |file: &FileState| pb::BatchFileProgress {
            name: file.name.clone(),
            state: file.state.into(),
            progress_percent: if file.is_over() { 100 } else { 0 },
        };
        pb::BatchRecognizeMetadata {
            create_time: Some(now.created.into()),
            update_time: Some(now.updated.into()),
            state: now.state.into(),
            progress_percent: percent(&now.progress),
            files: now.progress.iter().map(file).collect(),
        }
    }

    fn settle(files: &mut Vec<FileState>, state: JobState) {
        for file in files.iter_mut().filter(|file| !file.is_over()) {
            file.state = state;
        }
    }
}

/// How much of the files is done, 0 to 100, by their bytes.
fn percent(files: &[FileState]) -> u32 {
    let all: u64 = files.iter().map(|file| file.size).sum();
    let done: u64 = files
        .iter()
        .filter(|file| file.is_over())
        .map(|file| file.size)
        .sum();
    u32::try_from(done * 100 / all.max(1)).unwrap_or(100)
}

// === impl FileState ===

impl FileState {
    const fn new(name: String, size: u64) -> Self {
        Self {
            name,
            state: JobState::Queued,
            size,
        }
    }

    const fn is_over(&self) -> bool {
        matches!(
            self.state,
            JobState::Succeeded | JobState::Failed | JobState::Cancelled
        )
    }
}
