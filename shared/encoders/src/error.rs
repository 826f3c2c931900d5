//! What can go wrong between a text and its vector.

use std::fmt;
use std::path::PathBuf;

use polyphony_error::Fault;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A text cannot be taken.
    #[error("{input}: {problem}")]
    Input {
        /// Which.
        input: Input,
        /// Why.
        problem: Problem,
    },
    /// So many dimensions cannot be had.
    #[error("{wanted} dimensions cannot be had from this model: it gives {all}{rest}")]
    Dimensions {
        /// What was asked for.
        wanted: usize,
        /// All that it has.
        all: usize,
        /// What else it gives.
        rest: String,
    },
    /// A file of the model cannot be read.
    #[error("the model file {} is broken", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What its reader says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The model gave what is no number, or no direction.
    #[error("the model gave {0}, which is no result; its files may be broken or its precision too low")]
    NotANumber(&'static str),
    /// Loading or running the model failed, or the caller no longer wanted the result.
    #[error(transparent)]
    Inference(#[from] polyphony_inference::Error),
}

/// A text of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The query of a cross-encoder.
    Query,
    /// One of the texts, counted from 0.
    Text(usize),
    /// One of the labels, counted from 0.
    Label(usize),
}

/// Why a text cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// Nothing is left of it when it is cut into tokens.
    Empty,
    /// More bytes than are looked at.
    Large {
        /// How many it has.
        bytes: usize,
        /// How many are taken.
        most: usize,
    },
    /// More tokens than the model takes, and it is not to be cut.
    Long {
        /// How many it has, with those that the model adds.
        tokens: usize,
        /// How many the model takes.
        most: usize,
    },
}

// === impl Error ===

impl Error {
    pub(crate) fn input(input: Input, problem: Problem) -> Self {
        Self::Input { input, problem }
    }

    pub(crate) fn file(
        path: impl Into<PathBuf>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::File {
            path: path.into(),
            source: source.into(),
        }
    }

    /// The caller no longer wanted the result.
    pub const fn is_cancelled(&self) -> bool {
        matches!(self, Self::Inference(polyphony_inference::Error::Cancelled))
    }

    /// The fault, with the fields at fault by the names that they have in the caller's request.
    pub fn into_fault(self, field: impl FnOnce(Input) -> String) -> Fault {
        match self {
            Self::Input { input, problem } => Fault::invalid(field(input), problem.to_string()),
            Self::Dimensions { .. } => Fault::invalid("dimensions", self.to_string()),
            Self::Inference(error) => error.into(),
            Self::File { .. } | Self::NotANumber(_) => Fault::internal(self),
        }
    }
}

impl From<Error> for Fault {
    /// With the names `query`, `texts` and `labels`.
    fn from(error: Error) -> Self {
        error.into_fault(|input| input.to_string())
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Query => f.write_str("query"),
            Self::Text(index) => write!(f, "texts[{index}]"),
            Self::Label(index) => write!(f, "labels[{index}]"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the text is empty; expected at least one character that can be seen"),
            Self::Large { bytes, most } => {
                write!(
                    f,
                    "the text has {bytes} bytes; expected at most {most}: cut it into parts"
                )
            }
            Self::Long { tokens, most } => write!(
                f,
                "the text has {tokens} tokens and the model takes {most}; shorten it, or ask for truncation"
            ),
        }
    }
}
