//! The built-in catalogue is whole, and what a user adds is checked.

use super::*;

const FOLDER: &str = r#"
    [[model]]
    id = "mine"
    task = "asr"
    engine = "whisper"
    description = "mine"
    licence = "CC0-1.0"
    source = { kind = "folder", path = "/srv/mine" }
    variant = [{ name = "fp32", memory_bytes = 1 }]
"#;

fn refusal(text: &str) -> String {
    let mut catalogue = Catalogue::built_in().expect("the built-in catalogue");
    let error = catalogue.add("mine.toml", text).expect_err("refused");
    error.to_string()
}

#[test]
fn the_built_in_catalogue_holds_what_the_first_services_need() {
    let catalogue = Catalogue::built_in().expect("the built-in catalogue");
    let ids: Vec<_> = catalogue.entries().map(|entry| entry.id.as_str()).collect();
    for id in [
        "silero-vad",
        "pocketsphinx-en-us",
        "waver-1.0",
        "onnx-community/whisper-tiny",
        "onnx-community/whisper-tiny.en",
        "onnx-community/whisper-base",
        "onnx-community/whisper-base.en",
        "onnx-community/whisper-small",
        "onnx-community/whisper-small.en",
        "onnx-community/whisper-large-v3-turbo",
        "distil-whisper/distil-large-v3",
    ] {
        assert!(ids.contains(&id), "{id}");
    }
    for entry in catalogue.entries() {
        let Availability::Available { source, variants } = &entry.availability else {
            continue;
        };
        for file in variants.iter().flat_map(|variant| &variant.files) {
            let pinned = file.sha256.is_some() && file.bytes.is_some();
            // Only the hub tells digests of its own.
            assert!(
                pinned || matches!(source, Source::Hub { .. }),
                "{}: {}",
                entry.id,
                file.path
            );
        }
    }
}

#[test]
fn each_precision_has_its_own_graphs() {
    let catalogue = Catalogue::built_in().expect("the built-in catalogue");
    for (variant, encoder) in [
        ("fp32", "onnx/encoder_model.onnx"),
        ("fp16", "onnx/encoder_model_fp16.onnx"),
        ("int8", "onnx/encoder_model_quantized.onnx"),
    ] {
        let model = format!("onnx-community/whisper-tiny.en@{variant}")
            .parse()
            .expect("a reference");
        let (_, _, found) = catalogue.select(&model).expect("in the catalogue");
        assert!(
            found
                .files
                .iter()
                .any(|file| file.path.as_str() == encoder && !file.optional)
        );
    }
    let default = "onnx-community/whisper-tiny.en".parse().expect("a reference");
    assert_eq!(
        catalogue
            .select(&default)
            .expect("in the catalogue")
            .2
            .name
            .as_str(),
        "fp32"
    );
}

#[test]
fn waver_is_refused_with_the_reason() {
    let catalogue = Catalogue::built_in().expect("the built-in catalogue");
    let error = catalogue
        .select(&"waver-1.0".parse().expect("a reference"))
        .expect_err("unavailable");
    assert_eq!(
        error.to_string(),
        "model \"waver-1.0\" is unavailable: weights and code unreleased"
    );
}

#[test]
fn a_folder_of_the_user_adds_and_replaces() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("a.toml"), FOLDER).expect("written");
    fs::write(
        dir.path().join("b.toml"),
        FOLDER.replace("description = \"mine\"", "description = \"new\""),
    )
    .expect("written");
    fs::write(dir.path().join("notes.txt"), "not a catalogue").expect("written");
    let catalogue = Catalogue::with_folder(dir.path()).expect("read");
    let mine = catalogue.get(&"mine".parse().expect("an id")).expect("added");
    assert_eq!(mine.description, "new");
    assert!(catalogue.get(&"silero-vad".parse().expect("an id")).is_some());
}

#[test]
fn what_leaves_the_model_is_refused() {
    for path in [
        "../../etc/passwd",
        "/etc/passwd",
        "a/../../b",
        "a\\u0000b",
        "..%2fx/..",
        "model.json",
        "x.partial",
    ] {
        let text = FOLDER.replace(
            "memory_bytes = 1 }",
            &format!("memory_bytes = 1, files = [{{ path = \"{path}\" }}] }}"),
        );
        let refusal = refusal(&text);
        assert!(refusal.contains("file path inside a model"), "{path}: {refusal}");
    }
    assert!(refusal(&FOLDER.replace("id = \"mine\"", "id = \"../mine\"")).contains("is not a model id"));
    assert!(refusal(&FOLDER.replace("/srv/mine", "srv/mine")).contains("not an absolute path"));
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for (from, to, said) in [
        ("engine =", "motor =", "unknown field"),
        (
            "variant = [{ name = \"fp32\", memory_bytes = 1 }]",
            "",
            "expected one variant or more",
        ),
        ("kind = \"folder\"", "kind = \"ftp\"", "unknown variant"),
        ("task = \"asr\"", "task = \"A S R\"", "not a lower-case word"),
        (
            "licence = \"CC0-1.0\"",
            "licence = \"\"",
            "licence: expected one line",
        ),
        (
            "licence = ",
            "unavailable = \"no\"\nlicence = ",
            "expected either source",
        ),
        (
            "memory_bytes = 1 }",
            "memory_bytes = 1, file_set = \"none\" }",
            "no file_set",
        ),
        (
            "kind = \"folder\", path = \"/srv/mine\"",
            "kind = \"wheel\", package = \"x\", version = \"1\"",
            "has no files",
        ),
    ] {
        let refusal = refusal(&FOLDER.replace(from, to));
        assert!(refusal.contains(said), "{to}: {refusal}");
    }
    assert!(refusal(&format!("{FOLDER}{FOLDER}")).contains("there twice"));
}
