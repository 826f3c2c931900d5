//! What can go wrong in the proxy, and its kind.

use polyphony_error::{Fault, Kind};

use crate::failure::Failure;

/// What can go wrong.
#[derive(Debug)]
pub(crate) enum Error {
    /// The request asks for something that cannot be done: the fault says which field and what is accepted.
    Request(Fault),
    /// There is no upstream at all.
    NoUpstream,
    /// No upstream has this model.
    UnknownModel {
        /// As it was asked for.
        model: String,
        /// Some that there are.
        known: Vec<String>,
    },
    /// Those that have the model do not take requests now.
    NoneAnswers {
        /// As it was asked for.
        model: String,
        /// Why, for each.
        why: String,
    },
    /// So many wait for the upstream already.
    QueueFull {
        /// Which.
        upstream: String,
        /// How many wait.
        depth: usize,
    },
    /// The time is over.
    Late {
        /// What took it.
        during: &'static str,
    },
    /// An upstream failed.
    Upstream(Failure),
}

/// What to do where there is no upstream.
const HOW_TO_ADD: &str = "no language model is here; start Ollama, vLLM or llama.cpp on this machine and it is found, or \
    name a server: [llm-proxy.upstreams.NAME] url = \"http://HOST:PORT\" and kind = \"vllm\" in polyphony.toml";

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Request(fault)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Upstream(failure)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Request(fault) => fault,
            Error::NoUpstream => Self::unavailable("NO_UPSTREAM", HOW_TO_ADD),
            Error::UnknownModel { model, known } => {
                let remedy = if known.is_empty() {
                    "the upstreams that answer have no model".to_owned()
                } else {
                    format!("there are {}; ListModels tells all", known.join(", "))
                };
                Self::not_found("model", model, remedy)
            }
            Error::NoneAnswers { model, why } => {
                let text = format!("no upstream that has model \"{model}\" takes requests now: {why}");
                Self::unavailable("NO_HEALTHY_UPSTREAM", text)
            }
            Error::QueueFull { upstream, depth } => {
                let key = format!("llm-proxy.upstreams.{upstream}.max_queue");
                let text =
                    format!("{depth} requests wait for upstream {upstream} already ({key}); try again");
                Self::exhausted("QUEUE_FULL", key, text, Some(std::time::Duration::from_secs(1)))
            }
            Error::Late { during } => {
                let text =
                    format!("the time was over while {during} (the caller's deadline, or llm-proxy.timeout)");
                Self::new(Kind::DeadlineExceeded, "DEADLINE_EXCEEDED", text)
            }
            Error::Upstream(failure) => failure.into(),
        }
    }
}
