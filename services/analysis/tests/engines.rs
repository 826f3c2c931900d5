//! The engines of pitch and separation against the programs that their users know.

mod pitch;
mod separation;

use std::path::PathBuf;
use std::sync::LazyLock;

use polyphony_inference::{InferenceConfig, Runtime};
use polyphony_models::{Installed, ModelsConfig, Store};

/// On the processor, whatever else the machine has: parity is stated for it.
pub(crate) static CONFIG: LazyLock<InferenceConfig> = LazyLock::new(|| InferenceConfig {
    device: "cpu".parse().expect("a device"),
    ..InferenceConfig::default()
});

pub(crate) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new(&CONFIG));

/// A model that the set-up installed. Its verification is remembered in a folder of the build, not in the user's store.
pub(crate) fn installed(model: &str) -> Installed {
    let config = ModelsConfig {
        dir: Some(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("engines-store")),
        ..ModelsConfig::default()
    };
    let store = Store::open(&config, |name| std::env::var_os(name)).expect("a store");
    store
        .find(&model.parse().expect("a name"))
        .unwrap_or_else(|error| panic!("{error}; `setup/run` installs it"))
}
