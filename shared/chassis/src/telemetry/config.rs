//! The section `[telemetry]`: plain data with its defaults, and what makes it unusable.

use http::Uri;
use polyphony_config::HumanDuration;
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

use super::Error;

/// How a process logs and traces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// What is logged and traced: `error`, `warn`, `info`, `debug`, `trace`, or pairs of module and level separated by
    /// commas, as `info,polyphony_asr=debug`. Default `info`.
    pub level: String,
    /// How a log line looks. Default `auto`.
    pub format: Format,
    /// Where traces are sent over OTLP/gRPC, as `http://localhost:4317`. Unset, none are.
    pub otlp_endpoint: Option<String>,
    /// The share of traces begun here that are recorded, 0.0 to 1.0. A caller's decision is kept. Default 1.0.
    pub sample_ratio: f64,
    /// `service.namespace` of everything that is sent. Default `polyphony`.
    pub service_namespace: String,
    /// How long one batch may take to be sent, retries included. Default 10 s.
    pub export_timeout: HumanDuration,
    /// How long the end of the process waits for the last spans to be sent. Default 2 s.
    pub flush_timeout: HumanDuration,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// `pretty` on a terminal, `json` otherwise.
    Auto,
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

// === impl TelemetryConfig ===

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: Format::Auto,
            otlp_endpoint: None,
            sample_ratio: 1.0,
            service_namespace: "polyphony".to_owned(),
            export_timeout: HumanDuration::from_secs(10),
            flush_timeout: HumanDuration::from_secs(2),
        }
    }
}

impl TelemetryConfig {
    /// Whether [`init`](super::init) would take it.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn check(&self) -> Result<(), Error> {
        self.filter()?;
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            return Err(Error::SampleRatio(self.sample_ratio));
        }
        match &self.otlp_endpoint {
            Some(endpoint) if !is_plain_http(endpoint) => Err(Error::Endpoint(endpoint.clone())),
            _ => Ok(()),
        }
    }

    pub(super) fn filter(&self) -> Result<EnvFilter, Error> {
        EnvFilter::try_new(&self.level).map_err(|source| Error::Level {
            level: self.level.clone(),
            source,
        })
    }
}

fn is_plain_http(endpoint: &str) -> bool {
    endpoint
        .parse::<Uri>()
        .is_ok_and(|uri| uri.scheme_str() == Some("http") && uri.host().is_some_and(|host| !host.is_empty()))
}
