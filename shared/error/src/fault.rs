//! A fault: its kind, a stable reason, what the client may read, and what only the log gets.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::Kind;

/// One thing that went wrong, ready to be answered and logged.
#[derive(Debug)]
pub struct Fault {
    /// Decides the gRPC code.
    pub kind: Kind,
    /// A stable `UPPER_SNAKE_CASE` reason that programs may match on (AIP-193 `ErrorInfo.reason`).
    pub reason: &'static str,
    /// What the client reads: what is wrong and what to do about it.
    pub message: Cow<'static, str>,
    /// The fields at fault, for [`Kind::InvalidArgument`].
    pub violations: Vec<Violation>,
    /// The thing that is absent or in the way.
    pub resource: Option<Resource>,
    /// When it makes sense to try again, for [`Kind::ResourceExhausted`] and [`Kind::Unavailable`].
    pub retry_after: Option<Duration>,
    /// The limit that was hit, as `subject: description`.
    pub quota: Option<(Cow<'static, str>, Cow<'static, str>)>,
    /// The cause, for the log alone.
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

/// One field of a request that cannot be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The path of the field in the request, as `streaming_config.config.language_codes[0]`.
    pub field: Cow<'static, str>,
    /// What is wrong with it and what is accepted instead.
    pub description: Cow<'static, str>,
}

/// A named thing: `kind` as in "model", `name` as in "openai/whisper-tiny".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// What sort of thing it is.
    pub kind: Cow<'static, str>,
    /// Its name as the caller gave it.
    pub name: Cow<'static, str>,
}

// === impl Fault ===

impl Fault {
    /// A fault of any kind, without details.
    pub fn new(kind: Kind, reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            reason,
            message: message.into(),
            violations: Vec::new(),
            resource: None,
            retry_after: None,
            quota: None,
            source: None,
        }
    }

    /// Bad input in one field. The message names the field and the remedy.
    pub fn invalid(field: impl Into<Cow<'static, str>>, description: impl Into<Cow<'static, str>>) -> Self {
        let violation = Violation {
            field: field.into(),
            description: description.into(),
        };
        let message = format!("{}: {}", violation.field, violation.description);
        let mut fault = Self::new(Kind::InvalidArgument, "INVALID_ARGUMENT", message);
        fault.violations.push(violation);
        fault
    }

    /// The named thing does not exist; `remedy` says where to look or how to get it.
    pub fn not_found(
        kind: impl Into<Cow<'static, str>>,
        name: impl Into<Cow<'static, str>>,
        remedy: impl fmt::Display,
    ) -> Self {
        let resource = Resource {
            kind: kind.into(),
            name: name.into(),
        };
        let message = format!("{} \"{}\" not found: {remedy}", resource.kind, resource.name);
        let mut fault = Self::new(Kind::NotFound, "NOT_FOUND", message);
        fault.resource = Some(resource);
        fault
    }

    /// A limit is reached; the client may try again after `retry_after`.
    pub fn exhausted(
        reason: &'static str,
        subject: impl Into<Cow<'static, str>>,
        description: impl Into<Cow<'static, str>>,
        retry_after: Option<Duration>,
    ) -> Self {
        let description = description.into();
        let mut fault = Self::new(Kind::ResourceExhausted, reason, description.clone());
        fault.quota = Some((subject.into(), description));
        fault.retry_after = retry_after;
        fault
    }

    /// Not processed; try again later or elsewhere.
    pub fn unavailable(reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Unavailable, reason, message)
    }

    /// A known feature that is not built or not enabled; the message says what is.
    pub fn unimplemented(reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Unimplemented, reason, message)
    }

    /// Our fault. The client reads a plain sentence; the cause goes to the log.
    pub fn internal(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let mut fault = Self::new(
            Kind::Internal,
            "INTERNAL",
            "internal error; the server log has the cause",
        );
        fault.source = Some(source.into());
        fault
    }

    /// Puts another reason on the fault.
    #[must_use]
    pub fn with_reason(mut self, reason: &'static str) -> Self {
        self.reason = reason;
        self
    }

    /// Adds one more field at fault.
    #[must_use]
    pub fn and_invalid(
        mut self,
        field: impl Into<Cow<'static, str>>,
        description: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.violations.push(Violation {
            field: field.into(),
            description: description.into(),
        });
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Keeps the cause for the log.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
