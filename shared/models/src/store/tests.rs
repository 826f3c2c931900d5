//! What is used where it lies: verified before use, refused when it is not what it was.

use std::os::unix::fs::symlink;

use super::*;

/// A store whose catalogue has one model `mine`, in `root`, with these files.
fn store(dir: &Path, root: &Path, files: &str) -> Store {
    let text = format!(
        r#"
        [[model]]
        id = "mine"
        task = "asr"
        engine = "whisper"
        description = "mine"
        licence = "CC0-1.0"
        source = {{ kind = "folder", path = "{}" }}
        variant = [{{ name = "fp32", memory_bytes = 1{files} }}]
        "#,
        root.display()
    );
    fs::create_dir_all(dir.join("catalogue.d")).expect("a folder");
    fs::write(dir.join("catalogue.d/mine.toml"), text).expect("written");
    open(dir, &[])
}

fn open(dir: &Path, wheel_dirs: &[&Path]) -> Store {
    let config = ModelsConfig {
        dir: Some(dir.to_owned()),
        wheel_dirs: wheel_dirs.iter().map(|dir| dir.to_path_buf()).collect(),
        ..ModelsConfig::default()
    };
    Store::open(&config, |_| None).expect("a store")
}

fn mine() -> ModelRef {
    "mine".parse().expect("a name")
}

fn write(root: &Path, path: &str, content: &[u8]) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, content).expect("written");
}

fn refusal(store: &Store) -> String {
    match store.find(&mine()) {
        Err(error @ Error::Corrupt { .. }) => error.to_string(),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[test]
fn a_folder_is_used_where_it_lies() {
    let (dir, root) = (
        tempfile::tempdir().expect("a folder"),
        tempfile::tempdir().expect("a folder"),
    );
    let store = store(dir.path(), root.path(), "");
    let error = store.find(&mine()).expect_err("nothing there");
    assert!(matches!(error, Error::NotInstalled { .. }), "{error}");
    write(root.path(), "config.json", b"{}");
    write(
        root.path(),
        "onnx/model.onnx",
        &crate::onnx::tests::model("model.onnx_data"),
    );
    write(root.path(), "onnx/model.onnx_data", b"weights");
    write(root.path(), ".git/config", b"not part of it");
    let found = store.find(&mine()).expect("found");
    let names: Vec<_> = found.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(names, ["config.json", "onnx/model.onnx", "onnx/model.onnx_data"]);
    assert_eq!(found.model.to_string(), "mine@fp32");
    assert_eq!(found.path("config.json"), Some(root.path().join("config.json")));
    assert_eq!(found.path("../config.json"), None);
    assert_eq!(store.verify(&mine()).expect("still").digest, found.digest);
    let listed = store
        .list()
        .expect("a list")
        .into_iter()
        .find(|line| line.model == found.model)
        .expect("listed");
    assert!(matches!(listed.presence, Presence::OnDisk { bytes, .. } if bytes == found.bytes));
    let error = store.remove(&mine()).expect_err("not ours");
    assert!(matches!(error, Error::NotOurs { .. }), "{error}");
    assert!(root.path().join("config.json").exists());
}

#[test]
fn bytes_that_nobody_pinned_must_stay_what_they_were() {
    let (dir, root) = (
        tempfile::tempdir().expect("a folder"),
        tempfile::tempdir().expect("a folder"),
    );
    let store = store(dir.path(), root.path(), ", files = [{ path = \"w.bin\" }]");
    write(root.path(), "w.bin", b"weights");
    let before = store.find(&mine()).expect("recorded");
    write(root.path(), "w.bin", b"Weights");
    assert!(refusal(&store).contains("it changed since it was recorded"));
    assert!(store.verify(&mine()).is_err());
    let after = store.record_anew(&mine()).expect("accepted");
    assert_ne!(after.digest, before.digest);
    store.find(&mine()).expect("recorded");
}

#[test]
fn pinned_bytes_are_the_only_ones_that_pass() {
    let (dir, root) = (
        tempfile::tempdir().expect("a folder"),
        tempfile::tempdir().expect("a folder"),
    );
    let pinned = format!(
        ", files = [{{ path = \"w.bin\", bytes = 7, sha256 = \"{}\" }}]",
        Sha256::of("weights")
    );
    let store = store(dir.path(), root.path(), &pinned);
    write(root.path(), "w.bin", b"weights!");
    assert!(refusal(&store).contains("it has 8 bytes instead of 7"));
    write(root.path(), "w.bin", b"Weights");
    assert!(refusal(&store).contains("its SHA-256 is"));
    assert!(store.record_anew(&mine()).is_err());
    write(root.path(), "w.bin", b"weights");
    store.find(&mine()).expect("the right bytes");
}

#[test]
fn links_out_of_the_model_and_odd_files_are_refused() {
    let (dir, root) = (
        tempfile::tempdir().expect("a folder"),
        tempfile::tempdir().expect("a folder"),
    );
    let secret = dir.path().join("secret");
    fs::write(&secret, b"secret").expect("written");
    let listed = store(dir.path(), root.path(), ", files = [{ path = \"w.bin\" }]");
    symlink(&secret, root.path().join("w.bin")).expect("a link");
    assert!(refusal(&listed).contains("it is a link to"));
    let found = store(dir.path(), root.path(), "");
    assert!(refusal(&found).contains("neither a file nor a folder"));
    fs::remove_file(root.path().join("w.bin")).expect("removed");
    symlink(dir.path(), root.path().join("sub")).expect("a link");
    assert!(refusal(&found).contains("neither a file nor a folder"));
    let through = store(dir.path(), root.path(), ", files = [{ path = \"sub/secret\" }]");
    assert!(refusal(&through).contains("it is a link to"));
    // A link that stays inside is how some tools lay out their folders.
    write(root.path(), "blobs/1", b"weights");
    symlink("blobs/1", root.path().join("inside.bin")).expect("a link");
    store_ok(&store(
        dir.path(),
        root.path(),
        ", files = [{ path = \"inside.bin\" }]",
    ));
}

fn store_ok(store: &Store) {
    store.find(&mine()).expect("found");
}

#[test]
fn a_graph_must_not_take_weights_from_elsewhere() {
    let (dir, root) = (
        tempfile::tempdir().expect("a folder"),
        tempfile::tempdir().expect("a folder"),
    );
    let store = store(
        dir.path(),
        root.path(),
        ", files = [{ path = \"onnx/m.onnx\" }, { path = \"w.bin\" }]",
    );
    write(root.path(), "w.bin", b"weights");
    write(root.path(), "onnx/other.bin", b"there, but no file of the model");
    for location in [
        "/etc/passwd",
        "../w.bin",
        "other.bin",
        "..",
        "",
        "a/../../w.bin",
        "w.bin",
    ] {
        write(root.path(), "onnx/m.onnx", &crate::onnx::tests::model(location));
        let refusal = refusal(&store);
        assert!(
            refusal.contains("which is no file of the model"),
            "{location}: {refusal}"
        );
    }
    write(root.path(), "onnx/m.onnx", b"<html>");
    assert!(refusal(&store).contains("not an ONNX graph"));
}

#[test]
fn untouched_files_are_read_once() {
    // The catalogue of this very crate was written long before this test runs, so its times can be relied upon.
    let dir = tempfile::tempdir().expect("a folder");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let store = store(dir.path(), root, ", files = [{ path = \"catalogue.toml\" }]");
    let real = store.find(&mine()).expect("found").files[0].sha256;
    // Who believes the note does not read the file.
    let note = dir.path().join("state/verified/mine@fp32.json");
    let forged = fs::read_to_string(&note)
        .expect("a note")
        .replace(&real.to_string(), &"0".repeat(64));
    fs::write(&note, &forged).expect("written");
    assert_eq!(
        store.find(&mine()).expect("found").files[0].sha256.to_string(),
        "0".repeat(64)
    );
    // And who verifies does.
    let error = store.verify(&mine()).expect_err("another digest");
    assert!(
        error.to_string().contains("it changed since it was recorded"),
        "{error}"
    );
    // Other times or another inode: read again.
    fs::write(&note, forged.replace("\"inode\": ", "\"inode\": 1")).expect("written");
    assert!(refusal(&store).contains("it changed since it was recorded"));
    fs::write(&note, "not json").expect("written");
    assert_eq!(store.find(&mine()).expect("read again").files[0].sha256, real);
}

#[test]
fn a_wheel_and_a_package_are_found_or_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(&dir.path().join("never made"), &[]);
    let error = store
        .find(&"silero-vad".parse().expect("a name"))
        .expect_err("no wheel");
    assert!(error.to_string().contains("pip install --no-deps"), "{error}");
    let error = store
        .find(&"nobody/knows".parse().expect("a name"))
        .expect_err("unknown");
    assert!(matches!(error, Error::Unknown(_)), "{error}");
    let error = store
        .find(&"waver-1.0".parse().expect("a name"))
        .expect_err("unavailable");
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    let wheel = tempfile::tempdir().expect("a folder");
    for file in ["silero_vad.onnx", "silero_vad_16k_sequence.onnx"] {
        write(
            wheel.path(),
            &format!("silero_vad/data/{file}"),
            b"not the weights",
        );
    }
    let store = open(dir.path(), &[wheel.path()]);
    let error = store
        .find(&"silero-vad".parse().expect("a name"))
        .expect_err("other bytes");
    assert!(
        error
            .to_string()
            .contains("has 15 bytes instead of 2327524; install it again"),
        "{error}"
    );
    let list = store.list().expect("a list");
    let silero = list
        .iter()
        .find(|line| line.model.id.as_str() == "silero-vad")
        .expect("listed");
    assert!(matches!(&silero.presence, Presence::Damaged(why) if why.contains("15 bytes")));
}

#[test]
fn the_pinned_bytes_of_the_debian_package_are_those_of_debian_12() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path(), &[]);
    if !Path::new("/usr/share/pocketsphinx/model/en-us/en-us.lm.bin").exists() {
        println!("skipped: pocketsphinx-en-us is not installed");
        return;
    }
    let found = store
        .find(&"pocketsphinx-en-us".parse().expect("a name"))
        .expect("verified where it lies");
    assert_eq!(
        found.path("en-us/mdef"),
        Some("/usr/share/pocketsphinx/model/en-us/en-us/mdef".into())
    );
    assert!(matches!(found.source, Source::Debian { .. }));
}
