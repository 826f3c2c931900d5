//! A store, a catalogue with one model of the stand-in hub, and what its files are.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use polyphony_config::Secret;
use polyphony_models::{Error, Installed, ModelRef, ModelsConfig, Progress, PullOptions, Puller, Store};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::hub::StandIn;

pub(crate) const CONFIG: &str = "config.json";
pub(crate) const GRAPH: &str = "onnx/encoder_model.onnx";
pub(crate) const WEIGHTS: &str = "onnx/encoder_model.onnx_data";
/// The length of the weights.
pub(crate) const LARGE: usize = 3 << 20;

/// A folder with a store.
pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) config: ModelsConfig,
}

/// The files of the model: a small one, a graph that takes its weights from the third, and those.
pub(crate) fn files() -> Vec<(&'static str, Vec<u8>)> {
    // A plain generator: bytes that no two places have in common.
    let weights = (0..LARGE as u32 / 4)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    vec![
        (CONFIG, br#"{"model_type": "whisper"}"#.to_vec()),
        (GRAPH, graph("encoder_model.onnx_data")),
        (WEIGHTS, weights),
    ]
}

/// An ONNX model whose one tensor lies in `location`.
pub(crate) fn graph(location: &str) -> Vec<u8> {
    let field = |number: u8, content: &[u8]| [&[number << 3 | 2, content.len() as u8][..], content].concat();
    let entry = [field(1, b"location"), field(2, location.as_bytes())].concat();
    field(7, &field(5, &field(13, &entry)))
}

pub(crate) async fn stand_in() -> StandIn {
    let files = files();
    let served: Vec<_> = files
        .iter()
        .map(|(path, content)| (*path, content.as_slice()))
        .collect();
    StandIn::start(&served).await
}

pub(crate) fn model() -> ModelRef {
    "acme/tiny".parse().expect("a name")
}

// === impl World ===

impl World {
    pub(crate) fn new(hubs: &[&StandIn]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let world = Self {
            config: ModelsConfig {
                dir: Some(dir.path().to_owned()),
                hub_endpoints: hubs.iter().map(|hub| hub.url()).collect(),
                connect_timeout: Duration::from_millis(500).into(),
                read_timeout: Duration::from_millis(500).into(),
                ..ModelsConfig::default()
            },
            dir,
        };
        world.catalogue("");
        world
    }

    /// Writes the catalogue; `pin` goes into the entry of the weights.
    pub(crate) fn catalogue(&self, pin: &str) {
        let text = format!(
            r#"
            [[model]]
            id = "acme/tiny"
            task = "asr"
            engine = "whisper"
            description = "a model of the tests"
            licence = "CC0-1.0"
            source = {{ kind = "hub", repo = "acme/tiny", revision = "main" }}
            [[model.variant]]
            name = "fp32"
            memory_bytes = 1
            files = [
              {{ path = "{CONFIG}" }},
              {{ path = "{GRAPH}" }},
              {{ path = "{WEIGHTS}"{pin} }},
              {{ path = "onnx/decoder.onnx", optional = true }},
            ]
            "#
        );
        fs::create_dir_all(self.dir.path().join("catalogue.d")).expect("a folder");
        fs::write(self.dir.path().join("catalogue.d/tests.toml"), text).expect("written");
    }

    pub(crate) fn token(mut self, token: &str) -> Self {
        self.config.hub_token = Some(Secret::new(token.to_owned()));
        self
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(&self.config, |_| None).expect("a store")
    }

    pub(crate) fn puller(&self) -> Puller {
        Puller::new(self.store(), &self.config).expect("a puller")
    }

    pub(crate) async fn pull(&self) -> Result<Installed, Error> {
        self.pull_with(&PullOptions::default()).await
    }

    pub(crate) async fn pull_with(&self, options: &PullOptions) -> Result<Installed, Error> {
        self.puller()
            .pull(&model(), options, &watch::Sender::new(Progress::default()))
            .await
    }

    /// The error of a pull that must fail, and leave nothing that could be taken for a model.
    pub(crate) async fn refused(&self) -> Error {
        let error = self.pull().await.expect_err("refused");
        let found = self.store().find(&model());
        assert!(matches!(found, Err(Error::NotInstalled { .. })), "{found:?}");
        error
    }

    /// What lies in the staging folder, without the folders.
    pub(crate) fn staged(&self) -> Vec<PathBuf> {
        below(&self.dir.path().join("staging"))
    }
}

pub(crate) fn below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for item in fs::read_dir(folder).into_iter().flatten() {
        let path = item.expect("an item").path();
        if path.is_dir() {
            files.extend(below(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}
