//! What an operator sees of a configuration, on the example of a section that has a value of every kind.

mod layers;
mod reference;
mod secrets;

use std::collections::BTreeMap;
use std::path::PathBuf;

use polyphony_config::{ByteSize, Error, HumanDuration, Layers, Secret, Sources};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Asr {
    engine: Engine,
    max_streams: u16,
    threshold: f32,
    warm: bool,
    idle: HumanDuration,
    memory: ByteSize,
    languages: Vec<String>,
    ports: Vec<u16>,
    language: Option<String>,
    api_key: Option<Secret>,
    vad: Vad,
    upstreams: Vec<Upstream>,
    aliases: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Engine {
    Auto,
    Whisper,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Vad {
    window: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Upstream {
    name: String,
    #[serde(default)]
    weight: u32,
}

impl Default for Asr {
    fn default() -> Self {
        Self {
            engine: Engine::Auto,
            max_streams: 64,
            threshold: 0.35,
            warm: false,
            idle: HumanDuration::from_secs(300),
            memory: ByteSize::mib(64),
            languages: vec!["en".to_owned()],
            ports: Vec::new(),
            language: None,
            api_key: None,
            vad: Vad::default(),
            upstreams: Vec::new(),
            aliases: BTreeMap::new(),
        }
    }
}

/// A file in a folder that lives as long as the test.
fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("polyphony.toml");
    std::fs::write(&path, text).expect("the file is written");
    (dir, path)
}

fn load(text: &str, env: &[(&str, &str)], sets: &[&str]) -> Result<Layers, Error> {
    let (_dir, path) = file(text);
    Layers::load(Sources {
        file: Some(path),
        search: Vec::new(),
        env: env.iter().map(|(k, v)| (k.into(), v.into())).collect(),
        sets: sets.iter().map(|&set| set.to_owned()).collect(),
    })
}

fn asr(text: &str, env: &[(&str, &str)], sets: &[&str]) -> Result<Asr, Error> {
    load(text, env, sets)?.section("asr")
}

/// The message, without the folder of the file.
fn refusal(text: &str, env: &[(&str, &str)], sets: &[&str]) -> String {
    let error = asr(text, env, sets).expect_err("must be refused").to_string();
    match error.split_once("/polyphony.toml") {
        Some((before, after)) => {
            let head = before.rfind([' ', '(']).map_or("", |at| &before[..=at]);
            format!("{head}polyphony.toml{after}")
        }
        None => error,
    }
}
