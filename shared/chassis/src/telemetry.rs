//! What a process tells about itself: logs on stderr, traces over OTLP, metrics for Prometheus.
//!
//! [`init`] is called once by a process, however many services run in it. A collector that is slow or absent never
//! delays the start, a call or the end of the process: spans go through a bounded queue and are dropped when it is full.
//! Names of metrics and spans are the business of those who measure.

mod config;
mod process;
mod prometheus;
mod propagation;
mod subscriber;
mod traces;

use std::io::{self, IsTerminal};

use opentelemetry::global;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::subscriber::set_global_default;

pub use config::{Format, TelemetryConfig};
pub use prometheus::Metrics;
pub use propagation::{adopt, extract, inject};

use traces::Traces;

/// Keeps telemetry alive. Dropping it sends the spans that are still queued, for at most `flush_timeout`.
#[derive(Debug)]
#[must_use = "dropping the guard ends telemetry"]
pub struct TelemetryGuard {
    metrics: Metrics,
    /// Flushes when dropped.
    _traces: Traces,
}

/// Telemetry cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `telemetry.level` is not a filter.
    #[error(
        "telemetry.level \"{level}\" is not a filter; write a level, or pairs as in \"info,polyphony_asr=debug\""
    )]
    Level {
        /// What was given.
        level: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// `telemetry.sample_ratio` is not a share.
    #[error("telemetry.sample_ratio is {0}; it must be from 0.0 to 1.0")]
    SampleRatio(f64),
    /// `telemetry.otlp_endpoint` is not a place that can be sent to.
    #[error(
        "telemetry.otlp_endpoint \"{0}\" is not of the form http://host:port; TLS to a collector is left to an agent on the node"
    )]
    Endpoint(String),
    /// The exporter cannot be built.
    #[error("cannot set up the export of traces")]
    Exporter(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Another part of the process has set up logs or metrics.
    #[error("telemetry is already set up in this process; call `init` once")]
    AlreadyInstalled,
}

/// Sets up logs, traces and metrics for the whole process, which is known as `service` to the collector.
///
/// # Errors
/// A setting that cannot be used, or a second call in one process. After an error nothing is installed, except that the
/// metrics recorder may be.
pub fn init(config: &TelemetryConfig, service: &str) -> Result<TelemetryGuard, Error> {
    config.check()?;
    let metrics = Metrics::install(service)?;
    let traces = Traces::build(config, service)?;
    let terminal = io::stderr().is_terminal();
    let subscriber = subscriber::build(config, &traces, io::stderr, terminal)?;
    set_global_default(subscriber).map_err(|_| Error::AlreadyInstalled)?;
    // For libraries that look for them; our own code uses `adopt` and `inject`.
    global::set_text_map_propagator(TraceContextPropagator::new());
    global::set_tracer_provider(traces.provider());
    Ok(TelemetryGuard {
        metrics,
        _traces: traces,
    })
}

// === impl TelemetryGuard ===

impl TelemetryGuard {
    /// The metrics of the process, to be rendered on an admin port.
    pub fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }
}

#[cfg(test)]
mod tests;
