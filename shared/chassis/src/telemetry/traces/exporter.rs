//! The OTLP exporter, made to end in time and to say once, not each time, that the collector does not answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry_otlp::{SpanExporter as Otlp, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tokio::runtime::Handle;

use crate::telemetry::Error;

/// Sends from its own runtime, whichever thread asks.
#[derive(Debug)]
pub(in super::super) struct Exporter {
    otlp: Arc<Otlp>,
    runtime: Handle,
    endpoint: String,
    timeout: Duration,
    /// Whether the last batch was lost.
    failing: AtomicBool,
}

// === impl Exporter ===

impl Exporter {
    /// Connects when the first batch is sent. A batch may take `timeout`, retries included.
    pub(in super::super) fn to(endpoint: &str, runtime: Handle, timeout: Duration) -> Result<Self, Error> {
        let otlp = {
            // The channel wants a runtime from birth.
            let _entered = runtime.enter();
            Otlp::builder()
                .with_tonic()
                .with_endpoint(endpoint)
                .with_timeout(timeout)
                .build()
                .map_err(|error| Error::Exporter(error.into()))?
        };
        Ok(Self {
            otlp: Arc::new(otlp),
            runtime,
            endpoint: endpoint.to_owned(),
            timeout,
            failing: AtomicBool::new(false),
        })
    }

    /// Speaks when the state changes, and only then.
    pub(in super::super) fn report(&self, result: &OTelSdkResult, lost: usize) {
        let failed = result.is_err();
        let was_failing = self.failing.swap(failed, Ordering::Relaxed);
        let endpoint = &self.endpoint;
        match result {
            Err(error) if !was_failing => tracing::warn!(
                %error,
                endpoint,
                lost,
                "traces cannot be sent; spans are dropped until the collector answers"
            ),
            Ok(()) if was_failing => tracing::info!(endpoint, "traces are sent again"),
            _ => {}
        }
    }
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let (otlp, timeout, spans) = (Arc::clone(&self.otlp), self.timeout, batch.len());
        let sending = self
            .runtime
            .spawn(async move { tokio::time::timeout(timeout, otlp.export(batch)).await });
        let result = match sending.await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(OTelSdkError::Timeout(timeout)),
            Err(ended) => Err(OTelSdkError::InternalFailure(ended.to_string())),
        };
        self.report(&result, spans);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.otlp.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        // Called before the first export, while nobody else holds it.
        if let Some(otlp) = Arc::get_mut(&mut self.otlp) {
            otlp.set_resource(resource);
        }
    }
}
