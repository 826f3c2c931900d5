//! The metrics of a process in the Prometheus text format (version 0.0.4).

use std::sync::{Mutex, PoisonError};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::Error;
use super::process::Process;

/// From a fast local call to the longest inference that anybody waits for, in seconds.
const SECONDS: [f64; 16] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
];
/// From a small message to the largest that is let in, in bytes.
const BYTES: [f64; 9] = [
    256.0,
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    67_108_864.0,
];
/// Shares, as of batches filled.
const RATIOS: [f64; 8] = [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 1.0];
/// Anything else that is counted: batch sizes, tokens, queue lengths.
const COUNTS: [f64; 12] = [
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0,
];

/// The one recorder of this process.
static INSTALLED: Mutex<Option<Metrics>> = Mutex::new(None);

/// All that is measured in this process. Clones are the same.
#[derive(Clone, Debug)]
pub struct Metrics {
    recorder: PrometheusHandle,
    process: Process,
}

// === impl Metrics ===

impl Metrics {
    /// Makes the macros of the `metrics` crate record here, or finds the recorder that an earlier call installed.
    ///
    /// Histograms whose name ends in `_seconds`, `_bytes` or `_ratio` get buckets for that; others, for counts. The
    /// recorder holds on to samples until [`Metrics::upkeep`] is called, which the admin server does.
    ///
    /// # Errors
    /// [`Error::AlreadyInstalled`] if somebody else's recorder is there.
    pub fn install(service: &str) -> Result<Self, Error> {
        let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(metrics) = &*installed {
            return Ok(metrics.clone());
        }
        let exporter = |error| Error::Exporter(Box::new(error));
        let recorder = PrometheusBuilder::new()
            .set_buckets(&COUNTS)
            .and_then(|it| it.set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS))
            .and_then(|it| it.set_buckets_for_metric(Matcher::Suffix("_bytes".to_owned()), &BYTES))
            .and_then(|it| it.set_buckets_for_metric(Matcher::Suffix("_ratio".to_owned()), &RATIOS))
            .map_err(exporter)?
            .build_recorder();
        let metrics = Self {
            recorder: recorder.handle(),
            process: Process::new(service),
        };
        metrics::set_global_recorder(recorder).map_err(|_| Error::AlreadyInstalled)?;
        *installed = Some(metrics.clone());
        Ok(metrics)
    }

    /// Everything measured so far, and what the process uses now.
    pub fn render(&self) -> String {
        let mut text = self.recorder.render();
        self.process.render(&mut text);
        text
    }

    /// Folds the samples of histograms into their buckets. To be called every few seconds: what is neither folded nor
    /// rendered takes memory.
    pub fn upkeep(&self) {
        self.recorder.run_upkeep();
    }
}
