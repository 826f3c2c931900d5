//! `polyphony models pull --local`: without a mesh, as an init container runs it.

use std::fs;
use std::path::Path;

use crate::Polyphony;

/// A model that a wheel brought: five bytes, and what they must be.
const CATALOGUE: &str = r#"
[[model]]
id = "tiny"
task = "vad"
engine = "silero"
description = "Five bytes"
licence = "MIT"
source = { kind = "wheel", package = "tiny", version = "1.0" }

[[model.variant]]
name = "fp32"
memory_bytes = 5
files = [
  { path = "tiny/model.bin", bytes = 5, sha256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" },
]
"#;

#[test]
fn what_a_wheel_brought_is_verified_and_copied_for_other_machines() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    lay_out(folder.path(), b"hello");
    let printed = pull(folder.path(), &["tiny"]).run().printed();
    assert!(printed.starts_with("tiny@fp32 is on disk, sha256:"), "{printed}");
    let copied = fs::read(folder.path().join("out/tiny/model.bin")).expect("the copy");
    assert_eq!(copied, b"hello");
    // Again, where it is copied to what it is copied from.
    let again = pull(folder.path(), &["tiny@fp32"]).env(
        "POLYPHONY_MODELS__WHEEL_DIRS",
        &folder.path().join("out").display().to_string(),
    );
    again.run().printed();
}

#[test]
fn a_damaged_file_is_refused_and_not_copied() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    lay_out(folder.path(), b"hullo");
    let said = pull(folder.path(), &["tiny"]).run();
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    assert!(
        said.stderr.contains("model.bin") && said.stderr.trim().lines().count() == 1,
        "{}",
        said.stderr
    );
    assert!(!folder.path().join("out").exists());
}

#[test]
fn what_needs_a_hub_is_refused_offline_and_an_unknown_model_by_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    lay_out(folder.path(), b"hello");
    for (model, word) in [("onnx-community/whisper-tiny", "offline"), ("tinny", "tinny")] {
        let said = pull(folder.path(), &["tiny", model, "--set", "models.offline=true"]).run();
        assert_eq!(said.code, Some(1), "{}", said.stderr);
        assert!(
            said.stderr.contains(word) && said.stderr.trim().lines().count() == 1,
            "{}",
            said.stderr
        );
    }
}

#[test]
fn a_configuration_that_a_mesh_would_not_heed_is_refused() {
    let said = Polyphony::new(&[
        "models",
        "pull",
        "tiny",
        "--set",
        "models.dir=/a",
        "--gateway",
        "http://127.0.0.1:1",
    ])
    .run();
    assert!(said.stderr.contains("--local"), "{}", said.stderr);
}

fn lay_out(folder: &Path, bytes: &[u8]) {
    for (path, bytes) in [
        ("store/catalogue.d/tiny.toml", CATALOGUE.as_bytes()),
        ("wheels/tiny/model.bin", bytes),
    ] {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("it is made");
        fs::write(path, bytes).expect("it is written");
    }
}

fn pull(folder: &Path, args: &[&str]) -> Polyphony {
    let (out, store) = (folder.join("out"), folder.join("store"));
    let wheels = folder.join("wheels").display().to_string();
    let fixed = [
        "models",
        "pull",
        "--local",
        "--wheels",
        out.to_str().expect("UTF-8"),
    ];
    let fixed = fixed.iter().chain(args).copied().collect::<Vec<_>>();
    Polyphony::new(&fixed)
        .env("POLYPHONY_MODELS__DIR", store.to_str().expect("UTF-8"))
        .env("POLYPHONY_MODELS__WHEEL_DIRS", &wheels)
}
