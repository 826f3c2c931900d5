//! The `[inference]` section.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::DeviceChoice;

/// Where ONNX Runtime is, where to run, and how wide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InferenceConfig {
    /// The library file. None: `$ORT_DYLIB_PATH`, then `wheel_dirs`, then the system's library folders.
    pub onnxruntime: Option<PathBuf>,
    /// Python environments or folders of unpacked wheels that may hold the `onnxruntime` wheel; `~` is the home folder.
    /// The `wheels` folder of [`polyphony_config::data_dir`], where the set-up puts it, is always looked at too.
    pub wheel_dirs: Vec<PathBuf>,
    /// "auto", "cpu", "cuda" or "cuda:N". "auto" takes a GPU that works, and says why if it does not.
    pub device: DeviceChoice,
    /// Sessions of a model, which is how many requests it runs at once. Each holds its own copy of the weights.
    /// None: one for each processor core up to four, and one on a GPU.
    pub sessions: Option<NonZeroUsize>,
    /// Threads of a session. None: the cores divided by the sessions.
    pub threads_per_session: Option<NonZeroUsize>,
}

// === impl InferenceConfig ===

impl Default for InferenceConfig {
    fn default() -> Self {
        Self {
            onnxruntime: None,
            wheel_dirs: Vec::new(),
            device: DeviceChoice::Auto,
            sessions: None,
            threads_per_session: None,
        }
    }
}

impl InferenceConfig {
    /// How many sessions on this device, and how many threads each.
    ///
    /// Several narrow sessions beat one wide one: ONNX Runtime's threads wait for one another at every operator.
    pub fn width(&self, on_gpu: bool) -> (NonZeroUsize, NonZeroUsize) {
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        width(self, on_gpu, cores)
    }
}

fn width(config: &InferenceConfig, on_gpu: bool, cores: NonZeroUsize) -> (NonZeroUsize, NonZeroUsize) {
    const MOST: usize = 4;
    let automatic = if on_gpu {
        NonZeroUsize::MIN
    } else {
        at_least_one(cores.get().min(MOST))
    };
    let sessions = config.sessions.unwrap_or(automatic);
    let share = at_least_one(cores.get() / sessions);
    (sessions, config.threads_per_session.unwrap_or(share))
}

fn at_least_one(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_and_threads_share_the_cores() {
        let of = |cores: usize, config: &InferenceConfig, gpu| {
            let (sessions, threads) = width(config, gpu, at_least_one(cores));
            (sessions.get(), threads.get())
        };
        let default = InferenceConfig::default();
        assert_eq!(of(1, &default, false), (1, 1));
        assert_eq!(of(2, &default, false), (2, 1));
        assert_eq!(of(64, &default, false), (4, 16));
        assert_eq!(of(64, &default, true), (1, 64));
        let narrow = InferenceConfig {
            sessions: NonZeroUsize::new(8),
            ..InferenceConfig::default()
        };
        assert_eq!(of(2, &narrow, false), (8, 1));
    }

    #[test]
    fn keys_are_read_as_they_are_written() {
        let config: InferenceConfig =
            serde_json::from_str(r#"{"device": "cuda:1", "wheel_dirs": ["/w"]}"#).expect("config");
        assert_eq!(config.device.to_string(), "cuda:1");
        assert_eq!(config.wheel_dirs, [PathBuf::from("/w")]);
        let refused =
            serde_json::from_str::<InferenceConfig>(r#"{"device": "cuda:x"}"#).expect_err("not a device");
        assert!(
            refused.to_string().contains("\"cuda:x\" is not a device"),
            "{refused}"
        );
    }
}
