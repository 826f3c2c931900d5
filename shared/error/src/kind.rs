//! What kind of thing went wrong, and whose fault it is.

use tonic::Code;

/// The kinds of fault. Adding one breaks every table that must know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The caller sent something that can never work. Not retryable.
    InvalidArgument,
    /// The named thing does not exist.
    NotFound,
    /// The thing to be made is already there.
    AlreadyExists,
    /// The system is not in the state that the call needs; the message says what to do first.
    FailedPrecondition,
    /// The caller did not say who it is, or could not prove it.
    Unauthenticated,
    /// The caller is known and may not do this.
    PermissionDenied,
    /// A limit or quota is reached: overload, too many streams, a message too large.
    ResourceExhausted,
    /// A known feature that is not built or not enabled here.
    Unimplemented,
    /// Not processed, try again or elsewhere: starting, draining, a dependency down.
    Unavailable,
    /// The caller's or the server's deadline passed.
    DeadlineExceeded,
    /// The caller went away or asked to stop.
    Cancelled,
    /// A concurrent change got in the way; try the whole operation again.
    Aborted,
    /// A bug or a broken invariant on our side.
    Internal,
}

impl Kind {
    /// The gRPC code of this kind. Our own code never answers `UNKNOWN`.
    pub const fn code(self) -> Code {
        match self {
            Self::InvalidArgument => Code::InvalidArgument,
            Self::NotFound => Code::NotFound,
            Self::AlreadyExists => Code::AlreadyExists,
            Self::FailedPrecondition => Code::FailedPrecondition,
            Self::Unauthenticated => Code::Unauthenticated,
            Self::PermissionDenied => Code::PermissionDenied,
            Self::ResourceExhausted => Code::ResourceExhausted,
            Self::Unimplemented => Code::Unimplemented,
            Self::Unavailable => Code::Unavailable,
            Self::DeadlineExceeded => Code::DeadlineExceeded,
            Self::Cancelled => Code::Cancelled,
            Self::Aborted => Code::Aborted,
            Self::Internal => Code::Internal,
        }
    }

    /// Whether a person on our side must look: such faults are logged as errors.
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::Internal)
    }
}
