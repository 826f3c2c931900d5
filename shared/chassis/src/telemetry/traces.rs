//! Makes spans of the `tracing` crate into OpenTelemetry ones, and sends them in batches.
//!
//! Without an endpoint nothing is recorded or sent, but trace ids still go from caller to callee and into the log.

mod exporter;

use std::sync::mpsc;
use std::thread;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::trace::{BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider};
use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;

pub(super) use self::exporter::Exporter;
use super::{Error, TelemetryConfig};

/// Where spans go.
#[derive(Debug)]
pub(super) struct Traces {
    provider: SdkTracerProvider,
    flush_timeout: std::time::Duration,
    /// Ends the exporter's thread when dropped, after the flush.
    _stop: Option<oneshot::Sender<()>>,
}

// === impl Traces ===

impl Traces {
    /// Does not wait for the collector.
    pub(super) fn build(config: &TelemetryConfig, service: &str) -> Result<Self, Error> {
        let resource = Resource::builder()
            .with_service_name(service.to_owned())
            .with_attributes([
                KeyValue::new("service.namespace", config.service_namespace.clone()),
                KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            ])
            .build();
        let builder = SdkTracerProvider::builder().with_resource(resource);
        let Some(endpoint) = &config.otlp_endpoint else {
            let silent = Sampler::ParentBased(Box::new(Sampler::AlwaysOff));
            return Ok(Self {
                provider: builder.with_sampler(silent).build(),
                flush_timeout: config.flush_timeout.get(),
                _stop: None,
            });
        };
        let (handle, stop) = runtime_of_its_own()?;
        let exporter = Exporter::to(endpoint, handle, config.export_timeout.get())?;
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.sample_ratio)));
        Ok(Self {
            provider: builder
                .with_sampler(sampler)
                .with_span_processor(BatchSpanProcessor::builder(exporter).build())
                .build(),
            flush_timeout: config.flush_timeout.get(),
            _stop: Some(stop),
        })
    }

    pub(super) fn provider(&self) -> SdkTracerProvider {
        self.provider.clone()
    }

    pub(super) fn tracer(&self) -> SdkTracer {
        self.provider.tracer("polyphony")
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        // Any other failure was reported by the exporter.
        if let Err(OTelSdkError::Timeout(after)) = self.provider.shutdown_with_timeout(self.flush_timeout) {
            tracing::warn!(?after, "the last spans were not sent in time");
        }
    }
}

/// A thread that only exports, so that a flush works wherever the guard is dropped, even where the process's own
/// runtime has stopped or is blocked by the flush itself. It ends when the sender is dropped.
fn runtime_of_its_own() -> Result<(Handle, oneshot::Sender<()>), Error> {
    let (stop, stopped) = oneshot::channel();
    let (ready, handle) = mpsc::sync_channel(1);
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Exporter(error.into()))?;
    thread::Builder::new()
        .name("otlp".to_owned())
        .spawn(move || {
            // The receiver is gone only if the thread that waits for it is.
            drop(ready.send(runtime.handle().clone()));
            // Ends by an error, since nothing is ever sent.
            drop(runtime.block_on(stopped));
            runtime.shutdown_background();
        })
        .map_err(|error| Error::Exporter(error.into()))?;
    let handle = handle.recv().map_err(|error| Error::Exporter(error.into()))?;
    Ok((handle, stop))
}
