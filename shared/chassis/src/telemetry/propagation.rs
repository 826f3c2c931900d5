//! The W3C trace context (`traceparent`, `tracestate`) in the headers of a request, in and out.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

struct In<'a>(&'a HeaderMap);

struct Out<'a>(&'a mut HeaderMap);

/// The context that a caller sent, or an empty one if it sent none or a broken one.
pub fn extract(headers: &HeaderMap) -> Context {
    TraceContextPropagator::new().extract_with_context(&Context::new(), &In(headers))
}

/// Makes `span`, not yet entered, a child of the caller's span, and records its `trace_id` if it has such a field.
pub fn adopt(span: &Span, headers: &HeaderMap) {
    let parent = extract(headers);
    if parent.span().span_context().is_valid() {
        // Fails only where the span is disabled or no traces are kept: then there is nothing to parent.
        drop(span.set_parent(parent));
    }
    let context = span.context();
    let id = context.span().span_context().trace_id();
    if id != opentelemetry::TraceId::INVALID {
        span.record("trace_id", tracing::field::display(id));
    }
}

/// Writes the context of the current span into the headers of a request that is about to leave.
pub fn inject(headers: &mut HeaderMap) {
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut Out(headers));
}

// === impl In ===

impl Extractor for In<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

// === impl Out ===

impl Injector for Out<'_> {
    fn set(&mut self, key: &str, value: String) {
        // A tracestate that is no header value came from a caller that is no HTTP.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}
