//! The keys of the queues: `[jobs]`, one section for all services that have one.

use std::path::PathBuf;
use std::time::Duration;

use polyphony_config::{ByteSize, HumanDuration, Layers, Secret, data_dir};
use polyphony_database::is_server;
use serde::{Deserialize, Serialize};

/// Where jobs are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JobsConfig {
    /// Where jobs and their artifacts are kept, in a folder for each service; one process to each. Empty, the default:
    /// `jobs` in the data folder of Polyphony ([`polyphony_config::data_dir`]).
    pub data_dir: PathBuf,
    /// The database: "postgres://user@host/database". None, the default, is SQLite in `data_dir`. `url_file` keeps a
    /// password out of the configuration.
    pub url: Option<Secret<String>>,
    /// A holder that is silent for so long has lost its job. Default: 15 s.
    pub lease: HumanDuration,
    /// What one owner may take of a service's `max_queue` and `max_operations`, more than 0.0 and at most 1.0, so that none
    /// fills them for all. Those who have no name stand for all who have none, and may take the whole. Default: 0.5.
    pub owner_share: f64,
    /// Nothing is taken in or written while there is less room than this. Default: 256MiB.
    pub min_free: ByteSize,
}

// === impl JobsConfig ===

impl JobsConfig {
    /// Reads the section.
    ///
    /// # Errors
    /// The first key that is unknown or whose value cannot be used.
    pub fn read(layers: &Layers) -> Result<Self, polyphony_config::Error> {
        let config: Self = layers.section("jobs")?;
        if let Some((key, problem)) = config.fault() {
            return Err(layers.invalid(key, problem));
        }
        Ok(config)
    }

    fn fault(&self) -> Option<(&'static str, &'static str)> {
        let url = self.url.as_ref().map(|url| url.expose().as_str());
        if url.is_some_and(|url| !is_server(url)) {
            // The value may hold a password: it is not repeated.
            let text = "must be unset (SQLite in jobs.data_dir) or begin with \"postgres://\"";
            return Some(("jobs.url", text));
        }
        if self.lease.get() < Duration::from_secs(1) {
            return Some(("jobs.lease", "must be at least 1s"));
        }
        if !(self.owner_share > 0.0 && self.owner_share <= 1.0) {
            return Some(("jobs.owner_share", "must be more than 0.0 and at most 1.0"));
        }
        None
    }

    /// The folder of a service.
    ///
    /// # Errors
    /// When neither the configuration nor the environment says where.
    pub fn folder(&self, service: &str) -> Result<PathBuf, crate::Error> {
        let folder = if self.data_dir.as_os_str().is_empty() {
            data_dir(|name| std::env::var_os(name)).map(|folder| folder.join("jobs"))
        } else {
            Some(self.data_dir.clone())
        };
        folder
            .map(|folder| folder.join(service))
            .ok_or(crate::Error::NoFolder)
    }
}

impl Default for JobsConfig {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::new(),
            url: None,
            lease: HumanDuration::from_secs(15),
            owner_share: 0.5,
            min_free: ByteSize::mib(256),
        }
    }
}
