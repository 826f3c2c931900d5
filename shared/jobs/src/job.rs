//! The nouns: a job as it stands, one that is to be, and why one failed.

use std::time::{Duration, SystemTime};

use polyphony_error::Fault;

/// The owner of what callers without a name submit, all of them together.
pub const ANONYMOUS: &str = "anonymous";

/// A job as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its id: hexadecimal digits, in the order of submission.
    pub id: String,
    /// Whose it is.
    pub owner: String,
    /// What it may be found by, as a model's name; may be empty.
    pub label: String,
    /// Where it is.
    pub state: State,
    /// Its turn among others.
    pub priority: Priority,
    /// How often it was begun.
    pub attempts: u32,
    /// How often it took its worker with it.
    pub strikes: u32,
    /// How often in a row its holder vanished and had come no farther than one before.
    pub interruptions: u32,
    /// Somebody wants it to stop, and its holder has not let go yet.
    pub cancelling: bool,
    /// When it was submitted.
    pub created: SystemTime,
    /// When it was last begun: what it still takes is counted from there.
    pub started: Option<SystemTime>,
    /// When it succeeded, failed or was cancelled.
    pub ended: Option<SystemTime>,
    /// When anything about it last changed.
    pub updated: SystemTime,
    /// When it fails unless it is done.
    pub deadline: Option<SystemTime>,
    /// When it is forgotten.
    pub expires: Option<SystemTime>,
    /// What it is expected to take.
    pub cost: Duration,
    /// How far it is, in the words of its service.
    pub progress: Vec<u8>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// Its place, while it waits; only where it was asked for.
    pub place: Option<Place>,
}

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// It waits.
    Queued,
    /// Its holder prepares, as by loading a model.
    Loading,
    /// Its holder is at work.
    Running,
    /// Done.
    Succeeded,
    /// Failed.
    Failed,
    /// Cancelled; its holder has let go.
    Cancelled,
}

/// Whose turn it is first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// When nothing else waits.
    Low,
    /// In turn.
    #[default]
    Normal,
    /// Before the others.
    High,
}

/// A place among those that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// How many are before it.
    pub position: u32,
    /// How many wait in all.
    pub depth: u32,
    /// What those before it, and those at work, are still expected to take together. None: some of them do not say.
    pub ahead: Option<Duration>,
}

/// Why a job failed: an encoded `google.rpc.Status`, as a client may read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The encoded status.
    pub status: Vec<u8>,
}

/// A job to be submitted.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Whose it is: a verified name.
    pub owner: String,
    /// Names it for its owner; empty: nothing does.
    pub request_id: String,
    /// Tells requests of one `request_id` apart that are not the same: what the client sent.
    pub fingerprint: Vec<u8>,
    /// What it may be found by.
    pub label: String,
    /// Its turn among others.
    pub priority: Priority,
    /// What to do, for its holder.
    pub payload: Vec<u8>,
    /// How far it is before it begins, in the words of its service.
    pub progress: Vec<u8>,
    /// What it is expected to take; zero: not known.
    pub cost: Duration,
    /// It fails when it is not done so long after its submission.
    pub deadline: Option<Duration>,
}

// === impl State ===

impl State {
    /// Every state, in the order in which a job passes them.
    pub const ALL: [Self; 6] = [
        Self::Queued,
        Self::Loading,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Nothing more will happen to it.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// Somebody holds it.
    pub const fn is_held(self) -> bool {
        matches!(self, Self::Loading | Self::Running)
    }

    /// As the database writes it.
    pub(crate) const fn number(self) -> i64 {
        match self {
            Self::Queued => 1,
            Self::Loading => 2,
            Self::Running => 3,
            Self::Succeeded => 4,
            Self::Failed => 5,
            Self::Cancelled => 6,
        }
    }

    pub(crate) fn of_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }
}

// === impl Priority ===

impl Priority {
    pub(crate) const fn number(self) -> i64 {
        match self {
            Self::Low => 1,
            Self::Normal => 2,
            Self::High => 3,
        }
    }

    pub(crate) fn of_number(number: i64) -> Option<Self> {
        let all = [Self::Low, Self::Normal, Self::High];
        all.into_iter().find(|priority| priority.number() == number)
    }
}

// === impl Failure ===

impl From<Fault> for Failure {
    /// What the client may read of a fault. Its cause is not kept: log it first.
    fn from(fault: Fault) -> Self {
        let status = tonic::Status::from(fault);
        Self {
            status: status.details().to_vec(),
        }
    }
}

// === impl NewJob ===

impl NewJob {
    /// A job with nothing but an owner and a payload.
    pub fn new(owner: impl Into<String>, payload: Vec<u8>) -> Self {
        Self {
            owner: owner.into(),
            request_id: String::new(),
            fingerprint: Vec::new(),
            label: String::new(),
            priority: Priority::Normal,
            payload,
            progress: Vec::new(),
            cost: Duration::ZERO,
            deadline: None,
        }
    }
}
