//! What an upstream did wrong, when, and what that means: for the caller, for another try, and for its circuit breaker.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use polyphony_error::{Fault, Kind};
use serde_json::Value;

/// One failure of one upstream.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) upstream: Arc<str>,
    pub(crate) what: What,
    /// Tokens had been passed on already: the answer is cut short, and is not tried again.
    pub(crate) after_tokens: bool,
}

/// What it did.
#[derive(Debug)]
pub(crate) enum What {
    /// No connection.
    Connect(String),
    /// The connection broke, or the stream ended before its end.
    Broke(String),
    /// It sent nothing for so long.
    Silent(Duration),
    /// It sent what is not of its protocol.
    Garbage(String),
    /// It said so itself, by a status or within a stream.
    Said(Said),
    /// The answer is longer than is read.
    TooLong(u64),
}

/// An error as the upstream tells it.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    /// The parameter at fault, where it says.
    pub(crate) param: Option<String>,
    pub(crate) retry_after: Option<Duration>,
    /// Its own bytes, for callers that speak its language.
    pub(crate) body: Bytes,
}

/// A longer Retry-After is not believed: a number that is too large for a clock is as good as any to a server.
const LONGEST_REST: Duration = Duration::from_secs(3600);
/// More of an upstream's own words is not passed on.
const MOST_WORDS: usize = 500;

// === impl Failure ===

impl Failure {
    pub(crate) fn new(upstream: &Arc<str>, what: What) -> Self {
        Self {
            upstream: Arc::clone(upstream),
            what,
            after_tokens: false,
        }
    }

    /// It came after tokens were passed on.
    #[must_use]
    pub(crate) fn after_tokens(mut self) -> Self {
        self.after_tokens = true;
        self
    }

    /// Whether the same request may go well elsewhere, or a little later: nothing of an answer was passed on, and it is
    /// not the request itself that was refused.
    pub(crate) fn is_worth_another_try(&self) -> bool {
        !self.after_tokens
            && match &self.what {
                What::Connect(_) | What::Broke(_) => true,
                // It took its time, and another would take as long.
                What::Silent(_) | What::Garbage(_) | What::TooLong(_) => false,
                What::Said(said) => matches!(said.status.as_u16(), 429 | 502 | 503),
            }
    }

    /// Whether it says that the upstream is unwell.
    pub(crate) fn is_of_the_upstream(&self) -> bool {
        match &self.what {
            What::Connect(_) | What::Broke(_) | What::Silent(_) | What::Garbage(_) => true,
            What::TooLong(_) => false,
            What::Said(said) => said.status.is_server_error(),
        }
    }

    /// When it may be asked again.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match &self.what {
            What::Said(said) => said.retry_after,
            _ => None,
        }
    }

    /// A word for the metrics.
    pub(crate) fn word(&self) -> &'static str {
        match &self.what {
            What::Connect(_) => "connect",
            What::Broke(_) => "broke",
            What::Silent(_) => "silent",
            What::Garbage(_) => "garbage",
            What::TooLong(_) => "too_long",
            What::Said(said) if said.status == StatusCode::TOO_MANY_REQUESTS => "busy",
            What::Said(said) if said.status.is_server_error() => "server_error",
            What::Said(_) => "refused",
        }
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        let Failure {
            upstream,
            what,
            after_tokens,
        } = failure;
        let cut = if after_tokens {
            "; the answer is cut short there"
        } else {
            ""
        };
        let unavailable =
            |reason, text: String| Self::unavailable(reason, format!("upstream {upstream} {text}{cut}"));
        match what {
            What::Connect(why) => unavailable(
                "UPSTREAM_UNREACHABLE",
                format!("does not accept a connection ({why})"),
            ),
            What::Broke(why) => unavailable(
                "UPSTREAM_BROKE",
                format!("ended its answer before the end ({why})"),
            ),
            What::Silent(time) => unavailable("UPSTREAM_SILENT", format!("sent nothing for {time:?}")),
            What::Garbage(why) if after_tokens => {
                let text = format!("upstream {upstream} sent what is not an answer ({why}){cut}");
                Self::new(Kind::Aborted, "UPSTREAM_GARBAGE", text)
            }
            What::Garbage(why) => {
                unavailable("UPSTREAM_GARBAGE", format!("sent what is not an answer ({why})"))
            }
            What::TooLong(most) => {
                let text =
                    format!("upstream {upstream} gave more than {most} bytes (llm-proxy.max_answer){cut}");
                Self::exhausted("ANSWER_TOO_LONG", "llm-proxy.max_answer", text, None)
            }
            What::Said(said) if after_tokens => {
                let text = format!("upstream {upstream} failed: {}{cut}", said.words());
                Self::new(Kind::Aborted, "UPSTREAM_FAILED", text)
            }
            What::Said(said) => said.fault(&upstream),
        }
    }
}

// === impl Said ===

impl Said {
    /// Reads the answer of an upstream that is not one of success, in whichever of the known shapes:
    /// `{"error": {"message", "param"}}`, `{"error": "…"}`, `{"message": "…"}`, `{"detail": "…" or […]}`, or plain text.
    pub(crate) fn of(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Self {
        let retry_after = headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(|seconds| Duration::from_secs(seconds).min(LONGEST_REST));
        let json: Option<Value> = serde_json::from_slice(&body).ok();
        let (message, param) = json.as_ref().map_or((None, None), words);
        let message = message.unwrap_or_else(|| match json {
            Some(_) => String::new(),
            None => String::from_utf8_lossy(&body).into_owned(),
        });
        Self {
            status,
            message: short(&message),
            param,
            retry_after,
            body,
        }
    }

    /// An error that comes as an event of a stream.
    pub(crate) fn of_event(error: &Value) -> Self {
        let (message, param) = words(error);
        let inner = error.get("error").unwrap_or(error);
        let code = inner.get("code").or_else(|| inner.get("status_code"));
        let code = code
            .and_then(Value::as_u64)
            .and_then(|code| u16::try_from(code).ok());
        let status = code
            .and_then(|code| StatusCode::from_u16(code).ok())
            .filter(|status| status.is_client_error() || status.is_server_error());
        let status = status.unwrap_or_else(|| {
            let kind = inner.get("type").or_else(|| error.get("error_type"));
            match kind.and_then(Value::as_str) {
                Some("overloaded") => StatusCode::TOO_MANY_REQUESTS,
                Some("invalid_request_error" | "BadRequestError" | "validation") => StatusCode::BAD_REQUEST,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            }
        });
        Self {
            status,
            message: short(&message.unwrap_or_default()),
            param,
            retry_after: None,
            body: Bytes::new(),
        }
    }

    fn words(&self) -> String {
        if self.message.is_empty() {
            format!("status {}", self.status)
        } else {
            self.message.clone()
        }
    }

    fn fault(self, upstream: &str) -> Fault {
        let words = self.words();
        let fault = match self.status.as_u16() {
            400 | 413 | 422 => {
                let field = self
                    .param
                    .filter(|param| !param.is_empty())
                    .unwrap_or_else(|| "request".to_owned());
                return Fault::invalid(field, format!("upstream {upstream} refuses it: {words}"))
                    .with_reason("UPSTREAM_REFUSED");
            }
            401 | 403 => {
                // Its words may hold a part of the key.
                let text = format!(
                    "upstream {upstream} does not accept the key that the proxy has for it (api_key_file)"
                );
                return Fault::new(Kind::FailedPrecondition, "UPSTREAM_KEY_REFUSED", text);
            }
            404 => Fault::new(
                Kind::NotFound,
                "UPSTREAM_NOT_FOUND",
                format!("upstream {upstream}: {words}"),
            ),
            408 | 504 => {
                let text = format!("upstream {upstream} did not answer in its own time: {words}");
                Fault::new(Kind::DeadlineExceeded, "UPSTREAM_TIMEOUT", text)
            }
            429 => {
                let text = format!("upstream {upstream} takes no more now: {words}");
                Fault::exhausted("UPSTREAM_BUSY", format!("upstreams.{upstream}"), text, None)
            }
            501 => Fault::unimplemented("UPSTREAM_LACKS_IT", format!("upstream {upstream}: {words}")),
            503 => Fault::unavailable("UPSTREAM_UNAVAILABLE", format!("upstream {upstream}: {words}")),
            _ => Fault::unavailable("UPSTREAM_FAILED", format!("upstream {upstream} failed: {words}")),
        };
        match self.retry_after {
            Some(after) => fault.retry_after(after),
            None => fault,
        }
    }
}

/// The message and the parameter of an error in JSON.
fn words(json: &Value) -> (Option<String>, Option<String>) {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let inner = match json.get("error") {
        Some(Value::String(message)) => return (Some(message.clone()), None),
        Some(inner @ Value::Object(_)) => inner,
        _ => json,
    };
    let message = text(inner.get("message")).or_else(|| match inner.get("detail") {
        Some(Value::String(detail)) => Some(detail.clone()),
        Some(Value::Array(details)) => {
            let messages = details.iter().filter_map(|detail| detail.get("msg")?.as_str());
            Some(messages.collect::<Vec<_>>().join("; "))
        }
        _ => None,
    });
    (message, text(inner.get("param")))
}

fn short(message: &str) -> String {
    let message = message.trim();
    match message.char_indices().nth(MOST_WORDS) {
        Some((at, _)) => format!("{}…", &message[..at]),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(status: u16, body: &'static str) -> Fault {
        let status = StatusCode::from_u16(status).expect("a status");
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, "7".parse().expect("a value"));
        let said = Said::of(status, &headers, Bytes::from_static(body.as_bytes()));
        Failure::new(&Arc::from("u"), What::Said(said)).into()
    }

    #[test]
    fn each_shape_of_error_is_read() {
        for (body, words) in [
            (
                r#"{"error":{"message":"too long","type":"x","param":"messages"}}"#,
                "too long",
            ),
            (
                r#"{"object":"error","message":"too long","code":400}"#,
                "too long",
            ),
            (r#"{"error":"too long","error_type":"validation"}"#, "too long"),
            (r#"{"detail":"too long"}"#, "too long"),
            (r#"{"detail":[{"loc":["body"],"msg":"too long"}]}"#, "too long"),
            ("too long\n", "too long"),
        ] {
            let fault = fault(400, body);
            assert_eq!(
                (fault.kind, fault.reason),
                (Kind::InvalidArgument, "UPSTREAM_REFUSED"),
                "{body}"
            );
            assert!(fault.message.ends_with(words), "{}", fault.message);
        }
        assert_eq!(
            fault(400, r#"{"error":{"message":"m","param":"top_p"}}"#).violations[0].field,
            "top_p"
        );
    }

    #[test]
    fn a_rest_without_end_is_not_believed() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, u64::MAX.to_string().parse().expect("a value"));
        let said = Said::of(StatusCode::TOO_MANY_REQUESTS, &headers, Bytes::new());
        assert_eq!(said.retry_after, Some(LONGEST_REST));
    }

    #[test]
    fn a_status_becomes_the_code_that_says_what_to_do() {
        for (status, kind) in [
            (401, Kind::FailedPrecondition),
            (404, Kind::NotFound),
            (408, Kind::DeadlineExceeded),
            (429, Kind::ResourceExhausted),
            (500, Kind::Unavailable),
            (501, Kind::Unimplemented),
            (503, Kind::Unavailable),
        ] {
            assert_eq!(fault(status, "{}").kind, kind, "{status}");
        }
        assert_eq!(fault(429, "{}").retry_after, Some(Duration::from_secs(7)));
        assert!(
            !fault(401, r#"{"error":"key sk-123 is wrong"}"#)
                .message
                .contains("sk-123")
        );
    }
}
