//! The other services that retrieval asks, in the words of the domain: llm-proxy writes answers, ocr reads pages, asr hears
//! recordings.
//!
//! Each has an address in the configuration, connected to on first use. That one does not answer is no error of the start:
//! who asks is told, and answers are then made without a model.

pub(crate) mod llm;
mod pages;
mod speech;

use http::Uri;
use polyphony_chassis::config::{ChannelConfig, LimitsConfig};
use polyphony_chassis::connect;
use polyphony_config::ByteSize;
use polyphony_error::{Fault, Kind};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

pub(crate) use llm::Llm;
pub(crate) use pages::Pages;
pub(crate) use speech::Speech;

/// What the ocr and asr services take in one message, with room for what is around the bytes.
pub(crate) const MOST_MEDIA: u64 = (32 << 20) - (64 << 10);

/// A channel to a service.
fn channel(endpoint: &Uri, config: &ChannelConfig) -> Result<connect::Client, connect::Error> {
    connect::client(endpoint, config)
}

/// Limits of messages with media in them.
fn media_limits() -> LimitsConfig {
    let mut limits = LimitsConfig::default();
    limits.take_media();
    limits.max_send_message = ByteSize::mib(32);
    limits
}

/// What another service said as a fault of ours: the same kind, whose service it was, and its message.
pub(crate) fn fault(service: &'static str, key: &'static str, status: &Status) -> Fault {
    let kind = match status.code() {
        Code::InvalidArgument | Code::OutOfRange => Kind::InvalidArgument,
        Code::NotFound => Kind::NotFound,
        Code::AlreadyExists => Kind::AlreadyExists,
        Code::FailedPrecondition => Kind::FailedPrecondition,
        Code::Unauthenticated => Kind::Unauthenticated,
        Code::PermissionDenied => Kind::PermissionDenied,
        Code::ResourceExhausted => Kind::ResourceExhausted,
        Code::DeadlineExceeded => Kind::DeadlineExceeded,
        Code::Aborted => Kind::Aborted,
        Code::Unimplemented => Kind::Unimplemented,
        // CANCELLED too: nobody here reads the end of a call that was cancelled here, so it was that service that gave up.
        Code::Cancelled | Code::Ok | Code::Unknown | Code::Unavailable | Code::Internal | Code::DataLoss => {
            Kind::Unavailable
        }
    };
    let says = match status.message() {
        "" => status.code().description(),
        message => message,
    };
    let mut fault = Fault::new(kind, "UPSTREAM_FAILED", format!("{service} ({key}): {says}"));
    fault.retry_after = status
        .get_error_details()
        .retry_info()
        .and_then(|retry| retry.retry_delay);
    fault.because(status.clone())
}
