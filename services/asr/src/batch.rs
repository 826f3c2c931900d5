//! Batches in the background: jobs of a queue that outlives the process; what is told of one, and the task that works
//! through its files.

mod run;
mod submit;
mod wanted;

use polyphony_chassis::operations::{Lasting, LastingWork, lasting};
use polyphony_jobs::{Job, State};
use polyphony_proto::asr::v1 as pb;
use polyphony_proto::types::v1::JobState;
use prost::Message;

pub(crate) use run::{Tools, work};
pub(crate) use submit::submit;

use wanted::WantedFile;

/// The batches of a service.
pub(crate) type Batches = Lasting<Batch>;

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

impl LastingWork for Batch {
    type Metadata = pb::BatchRecognizeMetadata;
    const METADATA: &'static str = "polyphony.asr.v1.BatchRecognizeMetadata";
    const RESPONSE: &'static str = "polyphony.asr.v1.BatchRecognizeResponse";

    fn metadata(job: &Job) -> pb::BatchRecognizeMetadata {
        // What its worker said last; the queue knows the rest.
        let mut metadata = pb::BatchRecognizeMetadata::decode(job.progress.as_slice()).unwrap_or_default();
        metadata.create_time = Some(job.created.into());
        metadata.update_time = Some(job.updated.into());
        metadata.state = lasting::state(job.state).into();
        settle(&mut metadata, job.state);
        metadata
    }
}

/// It is over, or waits once more: so do those of its files that are not done.
fn settle(metadata: &mut pb::BatchRecognizeMetadata, state: State) {
    if state.is_held() {
        return;
    }
    for file in &mut metadata.files {
        if !is_over(file.state()) {
            file.state = lasting::state(state).into();
        }
        if state.is_over() {
            file.progress_percent = 100;
        }
    }
    if state.is_over() {
        metadata.progress_percent = 100;
    }
}

/// How far a batch is, as its job's progress.
fn told(files: &[FileState]) -> Vec<u8> {
    let file = |file: &FileState| pb::BatchFileProgress {
        name: file.name.clone(),
        state: file.state.into(),
        progress_percent: if file.is_over() { 100 } else { 0 },
    };
    let metadata = pb::BatchRecognizeMetadata {
        progress_percent: percent(files),
        files: files.iter().map(file).collect(),
        ..pb::BatchRecognizeMetadata::default()
    };
    metadata.encode_to_vec()
}

const fn is_over(state: JobState) -> bool {
    matches!(
        state,
        JobState::Succeeded | JobState::Failed | JobState::Cancelled
    )
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
    /// Before it is begun.
    fn of(file: &WantedFile) -> Self {
        Self {
            name: file.name.clone(),
            state: JobState::Queued,
            size: file.recording.bytes.len() as u64,
        }
    }

    const fn is_over(&self) -> bool {
        is_over(self.state)
    }
}
