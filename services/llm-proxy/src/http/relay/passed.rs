//! The request as it is passed on: the same bytes, but for the model's name and the wish to be told the usage.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use polyphony_error::Fault;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::super::REQUEST_ID;
use super::gather::gather;
use super::{Endpoint, Fields};
use crate::config::Kind;
use crate::exchange::Call;
use crate::failure::{Said, What};
use crate::upstream::{Outgoing, Upstream, roots};

/// The request.
pub(super) struct Passed<'a> {
    endpoint: Endpoint,
    fields: Fields<'a>,
    id: &'a HeaderValue,
    most: usize,
    /// The value of `stream_options` that asks for the usage, where the caller's does not.
    options: Option<String>,
}

/// The beginning of an answer.
#[derive(Debug)]
pub(super) enum Opened {
    /// All of it: JSON.
    Whole(Bytes),
    /// Its first bytes, in which an event has begun, and the rest as it comes.
    Stream { body: Incoming, ahead: Vec<Bytes> },
}

/// The least that must have come of a stream before it counts as begun: the first event, unless it is larger.
const AHEAD: usize = 64 << 10;

// === impl Passed ===

impl<'a> Passed<'a> {
    pub(super) fn new(
        endpoint: Endpoint,
        body: &'a Bytes,
        scan: &'a super::Scan,
        id: &'a HeaderValue,
        most: usize,
    ) -> Self {
        let wants = scan.stream && endpoint.has_stream_options();
        let options = wants.then(|| with_usage(scan.stream_options.clone().map(|options| &body[options])));
        Self {
            endpoint,
            fields: (body, scan),
            id,
            most,
            options: options.flatten(),
        }
    }

    /// Whether it is we who want the usage.
    pub(super) fn wants_usage(&self) -> bool {
        self.options.is_some()
    }

    /// The body with the upstream's own name of the model.
    fn body(&self, there: &str) -> Bytes {
        let (body, scan) = self.fields;
        let mut edits: Vec<(Range<usize>, String)> = Vec::new();
        let mut inserted = String::new();
        match &scan.model {
            Some((_, name)) if name == there => {}
            Some((range, _)) => edits.push((range.clone(), Value::from(there).to_string())),
            None => inserted = format!("\"model\":{},", Value::from(there)),
        }
        if let Some(options) = &self.options {
            match &scan.stream_options {
                Some(range) => edits.push((range.clone(), options.clone())),
                None => inserted.push_str(&format!("\"stream_options\":{options},")),
            }
        }
        if edits.is_empty() && inserted.is_empty() {
            return body.clone();
        }
        if scan.is_empty {
            inserted.pop();
        }
        edits.push((scan.start..scan.start, inserted));
        edits.sort_by_key(|(range, _)| range.start);
        let more: usize = edits.iter().map(|(_, text)| text.len()).sum();
        let mut edited = Vec::with_capacity(body.len() + more);
        let mut at = 0;
        for (range, text) in edits {
            edited.extend_from_slice(&body[at..range.start]);
            edited.extend_from_slice(text.as_bytes());
            at = range.end;
        }
        edited.extend_from_slice(&body[at..]);
        edited.into()
    }
}

/// The options with the wish for usage; none: they have it.
fn with_usage(options: Option<&[u8]>) -> Option<String> {
    const USAGE: &str = "include_usage";
    let parsed: Option<Map<String, Value>> = options.and_then(|options| serde_json::from_slice(options).ok());
    let mut options = parsed.unwrap_or_default();
    if options.get(USAGE) == Some(&Value::Bool(true)) {
        return None;
    }
    options.insert(USAGE.to_owned(), true.into());
    Some(Value::Object(options).to_string())
}

impl Call for Passed<'_> {
    type Opened = Opened;

    fn request(&self, upstream: &Upstream, there: &str) -> Result<Outgoing, Fault> {
        let lacks = matches!(
            (self.endpoint, upstream.kind),
            (Endpoint::Responses | Endpoint::Embeddings, Kind::Tgi)
                | (Endpoint::Rerank, Kind::Tgi | Kind::Ollama)
        );
        if lacks {
            let (path, name, kind) = (self.endpoint.path(), &upstream.name, upstream.kind);
            let text = format!("upstream {name} ({kind}) has no {path}");
            return Err(Fault::unimplemented("UPSTREAM_LACKS_IT", text));
        }
        let mut outgoing = Outgoing::post(self.endpoint.path(), self.body(there));
        outgoing.headers.insert(REQUEST_ID, self.id.clone());
        Ok(outgoing)
    }

    async fn open(&self, upstream: &Arc<Upstream>, response: Response<Incoming>) -> Result<Opened, What> {
        let kind = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let is_stream = kind.is_some_and(|kind| kind.starts_with("text/event-stream"));
        let (_, scan) = self.fields;
        if is_stream && !scan.stream && self.endpoint == Endpoint::Chat {
            let model = scan.model.as_ref().map_or("", |(_, name)| name);
            return gather(upstream, response, model, self.most)
                .await
                .map(Opened::Whole);
        }
        let mut body = response.into_body();
        if !is_stream {
            let whole = upstream.whole(body, self.most).await?;
            // Looked through, so that what is cut short or no JSON is not passed on as an answer.
            return match serde_json::from_slice::<IgnoredAny>(&whole) {
                Ok(IgnoredAny) => Ok(Opened::Whole(whole)),
                Err(error) => Err(What::Garbage(error.to_string())),
            };
        }
        let (mut ahead, mut length) = (Vec::new(), 0);
        loop {
            let frame = match body.frame().await {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Err(What::Broke(roots(&error))),
                None => return Err(What::Broke("the stream ended before its first token".to_owned())),
            };
            let Ok(data) = frame.into_data() else { continue };
            length += data.len();
            ahead.push(data);
            match first_event(&ahead) {
                First::Failed(error) => return Err(What::Said(Said::of_event(&error))),
                First::Garbage => return Err(What::Garbage("the stream holds no events".to_owned())),
                First::Event => return Ok(Opened::Stream { body, ahead }),
                First::NotYet if length > AHEAD => return Ok(Opened::Stream { body, ahead }),
                First::NotYet => {}
            }
        }
    }
}

/// What has come of a first event.
enum First {
    NotYet,
    Event,
    Failed(Value),
    Garbage,
}

fn first_event(ahead: &[Bytes]) -> First {
    // Nearly always it is one piece.
    let joined;
    let bytes: &[u8] = match ahead {
        [one] => one,
        several => {
            joined = several.concat();
            &joined
        }
    };
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let is_whole = line.ends_with(b"\n");
        let line = line.trim_ascii();
        if let Some(data) = line.strip_prefix(b"data:") {
            if !is_whole {
                return First::NotYet;
            }
            let data = data.trim_ascii_start();
            if data == b"[DONE]" {
                return First::Event;
            }
            return match serde_json::from_slice::<IgnoredAny>(data) {
                Err(_) => First::Garbage,
                Ok(IgnoredAny) => match serde_json::from_slice::<Value>(data) {
                    Ok(value) if is_error(&value) => First::Failed(value),
                    _ => First::Event,
                },
            };
        }
        let is_field = line.is_empty() || line.contains(&b':');
        if is_whole && !is_field {
            return First::Garbage;
        }
    }
    First::NotYet
}

fn is_error(value: &Value) -> bool {
    value.get("error").is_some_and(|error| !error.is_null())
        || value.get("object").and_then(Value::as_str) == Some("error")
}

#[cfg(test)]
mod tests {
    use super::super::super::scan::scan;
    use super::*;

    fn passed(body: &'static str, there: &str) -> (String, bool) {
        let body = Bytes::from_static(body.as_bytes());
        let scan = scan(&body).expect("an object");
        let id = HeaderValue::from_static("id");
        let passed = Passed::new(Endpoint::Chat, &body, &scan, &id, 1);
        let text = String::from_utf8(passed.body(there).to_vec()).expect("text");
        (text, passed.wants_usage())
    }

    #[test]
    fn only_the_name_of_the_model_is_put_in() {
        assert_eq!(
            passed(r#"{"model": "a", "x": 1.50}"#, "a"),
            (r#"{"model": "a", "x": 1.50}"#.to_owned(), false)
        );
        assert_eq!(
            passed(r#"{"x": 1.50, "model":"a"}"#, "b\"c").0,
            r#"{"x": 1.50, "model":"b\"c"}"#
        );
        assert_eq!(passed(r#"{"x":1}"#, "b").0, r#"{"model":"b","x":1}"#);
        assert_eq!(passed("{}", "b").0, r#"{"model":"b"}"#);
    }

    #[test]
    fn a_stream_is_asked_for_its_usage() {
        let (text, wants) = passed(r#"{"model":"a","stream":true}"#, "a");
        assert_eq!(
            text,
            r#"{"stream_options":{"include_usage":true},"model":"a","stream":true}"#
        );
        assert!(wants);
        let (text, wants) = passed(
            r#"{"stream_options":{"include_usage":false,"y":2},"model":"a","stream":true}"#,
            "b",
        );
        let options: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(
            options["stream_options"],
            serde_json::json!({"include_usage": true, "y": 2})
        );
        assert!(wants && options["model"] == "b");
        let own = r#"{"stream_options":{"include_usage":true},"model":"a","stream":true}"#;
        assert_eq!(passed(own, "a"), (own.to_owned(), false));
    }

    #[test]
    fn a_first_event_is_told_from_failures_and_garbage() {
        let first = |text: &'static str| first_event(&[Bytes::from_static(text.as_bytes())]);
        assert!(matches!(first(": ping\n\n"), First::NotYet));
        assert!(matches!(first("data: {\"choices\""), First::NotYet));
        assert!(matches!(first("data: {\"choices\":[]}\n"), First::Event));
        assert!(matches!(
            first("event: error\ndata: {\"error\":\"x\"}\n"),
            First::Failed(_)
        ));
        assert!(matches!(first("data: {\"choices\":\n"), First::Garbage));
        assert!(matches!(first("<html>\n"), First::Garbage));
    }
}
