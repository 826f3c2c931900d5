//! The flags that every process of the mesh takes.

use std::path::PathBuf;

use clap::{CommandFactory, FromArgMatches, Parser};

/// Settings are read from defaults, then a file, then the environment (POLYPHONY_SECTION__KEY), then --set.
#[derive(Debug, Parser)]
#[command(version)]
pub(super) struct Flags {
    /// Configuration file; without it ./polyphony.toml, then /etc/polyphony/polyphony.toml, if there is one
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Sets one key, as in asr.server.listen=0.0.0.0:7001; may be given again
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
    /// Prints the effective configuration with the origin of each value, and ends
    #[arg(long)]
    pub(super) dump_config: bool,
    /// Checks the configuration, and ends
    #[arg(long)]
    pub(super) check: bool,
}

// === impl Flags ===

impl Flags {
    /// The flags of this process, which is known as `name`.
    pub(super) fn parse(name: &'static str) -> Result<Self, clap::Error> {
        let matches = Self::command().name(name).try_get_matches()?;
        Self::from_arg_matches(&matches)
    }
}
