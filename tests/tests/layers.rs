//! The rule of descent: a crate depends only on crates below it.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

/// The floors of the house, from the ground up. Crates of one floor do not know one another, but for the two lines below.
const FLOORS: &[&[&str]] = &[
    &[
        "polyphony-proto",
        "polyphony-error",
        "polyphony-config",
        "polyphony-audio",
        "polyphony-database",
        "polyphony-doctype",
        "polyphony-testing",
        "polyphony-video-worker",
        "charabia",
        "vaporetto",
    ],
    &["polyphony-jobs", "polyphony-models", "polyphony-inference"],
    &["polyphony-encoders", "polyphony-espeak", "polyphony-wire"],
    &["polyphony-chassis", "polyphony-gateway-core"],
    &["polyphony-harness"],
    &[
        "polyphony-align",
        "polyphony-analysis",
        "polyphony-asr",
        "polyphony-diar",
        "polyphony-llm-proxy",
        "polyphony-ocr",
        "polyphony-rag",
        "polyphony-tts",
        "polyphony-video-gen",
        "polyphony-gateway-proxy",
    ],
    &["polyphony-gateway"],
    &["polyphony-cli"],
    &["polyphony-tests"],
];

/// Ground crates whose own errors become faults, or whose values are configured.
const GROUND: &[(&str, &str)] = &[
    ("polyphony-audio", "polyphony-error"),
    ("polyphony-config", "polyphony-error"),
];

/// What only tests may use.
const TEST_CRATES: &[&str] = &["polyphony-harness", "polyphony-testing", "polyphony-tests"];

#[test]
fn dependencies_only_descend() {
    let metadata = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version=1",
            "--no-deps",
            "--offline",
            "--manifest-path",
        ])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .output()
        .expect("cargo metadata runs");
    assert!(
        metadata.status.success(),
        "{}",
        String::from_utf8_lossy(&metadata.stderr)
    );
    let metadata: Value = serde_json::from_slice(&metadata.stdout).expect("cargo metadata prints JSON");

    let floors: BTreeMap<&str, usize> = FLOORS
        .iter()
        .enumerate()
        .flat_map(|(floor, crates)| crates.iter().map(move |name| (*name, floor)))
        .collect();
    let mut wrong = Vec::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().expect("name");
        let Some(&floor) = floors.get(name) else {
            wrong.push(format!("{name} stands on no floor; add it to FLOORS"));
            continue;
        };
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let below = dependency["name"].as_str().expect("name");
            let Some(&below_floor) = floors.get(below) else {
                continue;
            };
            let is_dev_tool = below == "polyphony-testing" && dependency["kind"] == "dev";
            if below_floor >= floor && !is_dev_tool && !GROUND.contains(&(name, below)) {
                wrong.push(format!("{name} depends on {below}, which is not below it"));
            }
            let is_of_tests = dependency["kind"] == "dev" || TEST_CRATES.contains(&name);
            if TEST_CRATES.contains(&below) && !is_of_tests {
                wrong.push(format!("{name} depends on {below} outside of its tests"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
