//! Puts the parts of a subscriber together: the filter, the traces, the lines on stderr.

use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;

use super::traces::Traces;
use super::{Error, Format, TelemetryConfig};

/// The transport below us. Its spans say nothing to a reader of traces, and those of the exporter's own connection would
/// beget more of themselves.
const TRANSPORT: [&str; 4] = ["h2", "hyper", "tonic", "tower"];

/// A subscriber that writes lines to `writer`; `terminal` says whether a person reads them there.
pub(super) fn build<W>(
    config: &TelemetryConfig,
    traces: &Traces,
    writer: W,
    terminal: bool,
) -> Result<impl Subscriber + Send + Sync + use<W>, Error>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let pretty = match config.format {
        Format::Auto => terminal,
        Format::Pretty => true,
        Format::Json => false,
    };
    let lines = fmt::layer().with_writer(writer);
    let lines = if pretty {
        lines.with_ansi(terminal).boxed()
    } else {
        // The fields of the innermost span, of which `trace_id` and `request_id` are two, stand on each line.
        let json = lines.json().flatten_event(true);
        json.with_current_span(true).with_span_list(false).boxed()
    };
    let spans = tracing_opentelemetry::layer()
        .with_tracer(traces.tracer())
        .with_filter(all_but_transport());
    // The filter of all stands outermost, for only there does its level become that of the process: below a layer with a
    // filter of its own, each `trace!` of h2 is asked about, which is a sixth of what a small call costs.
    Ok(tracing_subscriber::registry()
        .with(spans)
        .with(lines)
        .with(config.filter()?))
}

/// Decided once for each place in the code, unlike a function.
fn all_but_transport() -> Targets {
    Targets::new()
        .with_default(LevelFilter::TRACE)
        .with_targets(TRANSPORT.map(|target| (target, LevelFilter::OFF)))
}
