//! What a pull has done so far. A state, not a list of events: whoever draws it needs only the latest.

use tokio::sync::watch;

use super::plan::Plan;
use crate::{FilePath, FileRecord};

/// What a pull has done so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// What it does now.
    pub stage: Stage,
    /// Its files, once they are known.
    pub files: Vec<FileProgress>,
}

/// One file of a pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileProgress {
    /// Which file.
    pub path: FilePath,
    /// Bytes that are here.
    pub done: u64,
    /// Its length.
    pub total: u64,
}

/// What a pull does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Stage {
    /// It looks at what is here.
    #[default]
    Starting,
    /// Another process has the model in its hands.
    Waiting,
    /// It asks the hub what the files are.
    Resolving,
    /// Bytes arrive.
    Downloading,
    /// The connection was cut; it tries again in a moment.
    Retrying {
        /// What happened.
        reason: String,
    },
    /// It reads what arrived.
    Verifying,
    /// It moves the verified files to where they belong.
    Placing,
    /// The model is on disk, verified.
    Done,
}

/// Tells of a pull.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reporter<'a> {
    progress: &'a watch::Sender<Progress>,
}

/// Tells of one file of a pull.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileReporter<'a> {
    reporter: Reporter<'a>,
    index: usize,
}

// === impl Progress ===

impl Progress {
    /// Bytes of all files that are here.
    pub fn done(&self) -> u64 {
        self.files.iter().map(|file| file.done).sum()
    }

    /// The file that is on its way.
    pub fn current(&self) -> Option<&FileProgress> {
        self.files.iter().find(|file| file.done < file.total)
    }

    /// The length of all files together; 0 until it is known.
    pub fn total(&self) -> u64 {
        self.files.iter().map(|file| file.total).sum()
    }
}

// === impl Reporter ===

impl<'a> Reporter<'a> {
    pub(super) fn new(progress: &'a watch::Sender<Progress>) -> Self {
        progress.send_replace(Progress::default());
        Self { progress }
    }

    pub(super) fn stage(&self, stage: Stage) {
        self.progress.send_if_modified(|progress| {
            let changed = progress.stage != stage;
            progress.stage = stage;
            changed
        });
    }

    pub(super) fn begin(&self, plan: &Plan) {
        let file = |file: &super::plan::PlannedFile| FileProgress {
            path: file.path.clone(),
            done: 0,
            total: file.bytes,
        };
        let files = plan.files.iter().map(file).collect();
        self.progress.send_modify(|progress| progress.files = files);
    }

    pub(super) fn file(self, index: usize) -> FileReporter<'a> {
        FileReporter {
            reporter: self,
            index,
        }
    }

    /// All is here.
    pub(super) fn done(&self, files: &[FileRecord]) {
        let file = |file: &FileRecord| FileProgress {
            path: file.path.clone(),
            done: file.bytes,
            total: file.bytes,
        };
        self.progress.send_replace(Progress {
            stage: Stage::Done,
            files: files.iter().map(file).collect(),
        });
    }
}

// === impl FileReporter ===

impl FileReporter<'_> {
    pub(super) fn stage(&self, stage: Stage) {
        self.reporter.stage(stage);
    }

    pub(super) fn here(&self, bytes: u64) {
        self.reporter.progress.send_modify(|progress| {
            if let Some(file) = progress.files.get_mut(self.index) {
                file.done = bytes;
            }
        });
    }
}
