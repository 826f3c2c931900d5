//! The one place where a fault becomes a gRPC status.

use std::collections::HashMap;

use tonic::Status;
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use crate::Fault;

/// `ErrorInfo.domain` of every error that Polyphony makes.
pub const DOMAIN: &str = "polyphony.dev";

impl From<Fault> for Status {
    fn from(fault: Fault) -> Self {
        let mut details = ErrorDetails::with_error_info(fault.reason, DOMAIN, HashMap::new());
        if !fault.violations.is_empty() {
            let violations = fault
                .violations
                .iter()
                .map(|v| FieldViolation::new(v.field.clone(), v.description.clone()));
            details.set_bad_request(violations.collect::<Vec<_>>());
        }
        if let Some(after) = fault.retry_after {
            details.set_retry_info(Some(after));
        }
        if let Some((subject, description)) = &fault.quota {
            details.add_quota_failure_violation(subject.clone(), description.clone());
        }
        if let Some(resource) = &fault.resource {
            details.set_resource_info(resource.kind.clone(), resource.name.clone(), "", "");
        }
        let mut status = Self::with_error_details(fault.kind.code(), fault.message.clone(), details);
        if let Some(source) = fault.source {
            status.set_source(source.into());
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn bad_input_names_the_field_and_the_remedy() {
        let status = Status::from(Fault::invalid("audio", "is empty; send at least one sample"));
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
        assert_eq!(status.message(), "audio: is empty; send at least one sample");
        let details = status.get_error_details();
        assert_eq!(
            details.bad_request().expect("BadRequest").field_violations[0].field,
            "audio"
        );
        assert_eq!(details.error_info().expect("ErrorInfo").domain, DOMAIN);
    }

    #[test]
    fn overload_says_when_to_come_back() {
        let after = Some(Duration::from_millis(250));
        let status = Status::from(Fault::exhausted(
            "STREAMS_FULL",
            "streams",
            "64 of 64 streams are open",
            after,
        ));
        let details = status.get_error_details();
        assert_eq!(details.retry_info().expect("RetryInfo").retry_delay, after);
        assert_eq!(
            details.quota_failure().expect("QuotaFailure").violations[0].subject,
            "streams"
        );
    }

    #[test]
    fn the_cause_stays_out_of_the_wire() {
        let fault = Fault::internal(std::io::Error::other("password=hunter2"));
        assert_eq!(
            crate::chain(&fault).to_string(),
            "internal error; the server log has the cause: password=hunter2"
        );
        let status = Status::from(fault);
        assert!(!status.message().contains("hunter2"));
        assert!(!String::from_utf8_lossy(status.details()).contains("hunter2"));
    }

    #[test]
    fn absence_names_the_thing() {
        let status = Status::from(Fault::not_found(
            "model",
            "whisper-huge",
            "`polyphony models list` shows what is here",
        ));
        let resource = status
            .get_error_details()
            .resource_info()
            .cloned()
            .expect("ResourceInfo");
        assert_eq!(
            (resource.resource_type.as_str(), resource.resource_name.as_str()),
            ("model", "whisper-huge")
        );
    }
}
