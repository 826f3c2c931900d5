//! Folders that are no model, or are damaged: each is refused by what is wrong, and nothing of them is believed.

use std::fs;
use std::path::{Path, PathBuf};

use polyphony_video_worker::error::Error;
use polyphony_video_worker::protocol::{FailureKind, Sampler};
use polyphony_video_worker::shapes::Shapes;
use polyphony_video_worker::stop::Stop;
use polyphony_video_worker::wan::pipeline::Pipeline;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::parity::{cpu, order, repository};

/// A copy of the toy that can be damaged.
fn copy() -> TempDir {
    let folder = tempfile::tempdir().expect("a sound fixture");
    copy_into(&repository(), folder.path());
    folder
}

fn copy_into(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a sound fixture").map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a sound fixture").is_dir() {
            fs::create_dir(&target).expect("a sound fixture");
            copy_into(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a sound fixture");
        }
    }
}

/// What is said of a folder that must be refused.
fn refused(folder: &Path) -> String {
    match Pipeline::open(folder, &[Shapes::TOY], "the toy", cpu(), &Stop::default()) {
        Ok(_) => panic!("the folder was taken"),
        Err(error) => {
            assert!(matches!(error, Error::Weights { .. }), "{error:?}");
            assert_eq!(error.kind(), FailureKind::Weights);
            error.message()
        }
    }
}

fn edit(file: &Path, change: impl FnOnce(&mut Value)) {
    let mut value: Value =
        serde_json::from_slice(&fs::read(file).expect("a sound fixture")).expect("a sound fixture");
    change(&mut value);
    fs::write(file, serde_json::to_vec(&value).expect("a sound fixture")).expect("a sound fixture");
}

#[test]
fn absent_files_are_named() {
    let files = [
        "model_index.json",
        "transformer/config.json",
        "transformer/diffusion_pytorch_model.safetensors.index.json",
        "transformer/diffusion_pytorch_model-00002-of-00002.safetensors",
        "text_encoder/model.safetensors",
        "vae/config.json",
        "scheduler/scheduler_config.json",
        "tokenizer/tokenizer.json",
    ];
    for file in files {
        let folder = copy();
        fs::remove_file(folder.path().join(file)).unwrap();
        let said = refused(folder.path());
        let part = file.split('/').next().unwrap();
        assert!(said.contains(part), "{file}: {said}");
    }
    let said = refused(Path::new("/nowhere/at/all"));
    assert!(said.contains("/nowhere/at/all/model_index.json"), "{said}");
}

#[test]
fn other_networks_are_refused_by_their_field() {
    let mut still = vec![1.0; 16];
    still[3] = 0.0;
    let cases: [(&str, &str, Value); 13] = [
        ("model_index.json", "_class_name", json!("LTXPipeline")),
        ("transformer/config.json", "num_layers", json!(3)),
        ("transformer/config.json", "num_layers", json!(-1)),
        ("transformer/config.json", "num_layers", json!(1_u64 << 40)),
        ("transformer/config.json", "qk_norm", json!("layer_norm")),
        ("transformer/config.json", "image_dim", json!(1280)),
        ("transformer/config.json", "patch_size", json!([1, 2])),
        ("text_encoder/config.json", "model_type", json!("t5")),
        ("vae/config.json", "is_residual", json!(true)),
        ("vae/config.json", "latents_std", json!([1.0])),
        ("vae/config.json", "latents_std", json!(still)),
        ("vae/config.json", "base_dim", json!(0)),
        (
            "scheduler/scheduler_config.json",
            "_class_name",
            json!("DDIMScheduler"),
        ),
    ];
    for (file, field, value) in cases {
        let folder = copy();
        edit(&folder.path().join(file), |config| config[field] = value.clone());
        let said = refused(folder.path());
        let part = file.split('/').next().unwrap();
        assert!(said.contains(part), "{file} {field} {value}: {said}");
    }
}

/// The only file of the text encoder.
fn weights(folder: &TempDir) -> PathBuf {
    folder.path().join("text_encoder/model.safetensors")
}

/// Changes the header of a file of weights, in the room that it has.
fn edit_header(file: &Path, change: impl FnOnce(&mut Value)) {
    let bytes = fs::read(file).expect("a sound fixture");
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("a sound fixture")) as usize;
    let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).expect("a sound fixture");
    change(&mut header);
    let text = serde_json::to_vec(&header).expect("a sound fixture");
    let mut made = (text.len() as u64).to_le_bytes().to_vec();
    made.extend_from_slice(&text);
    made.extend_from_slice(&bytes[8 + length..]);
    fs::write(file, made).expect("a sound fixture");
}

const NORM: &str = "encoder.final_layer_norm.weight";

#[test]
fn damaged_files_are_refused() {
    let whole = fs::read(weights(&copy())).unwrap();
    let mut long_header = whole.clone();
    long_header[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    let mut no_json = whole.clone();
    no_json[8..40].fill(b'{');
    let cases: [&[u8]; 7] = [
        &[],
        &whole[..7],
        &whole[..100],
        &whole[..whole.len() - 1],
        &long_header,
        &no_json,
        &[0; 8],
    ];
    for (number, bytes) in cases.into_iter().enumerate() {
        let folder = copy();
        fs::write(weights(&folder), bytes).unwrap();
        let said = refused(folder.path());
        assert!(said.contains("text_encoder"), "case {number}: {said}");
    }
}

#[test]
fn headers_that_lie_are_refused() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change); 6] = [
        ("beyond the file", |header| {
            header[NORM]["data_offsets"] = json!([0, 1_u64 << 50])
        }),
        ("overlapping", |header| {
            header[NORM]["data_offsets"] = json!([0, 128])
        }),
        ("another shape", |header| header[NORM]["shape"] = json!([16, 2])),
        ("an endless shape", |header| {
            header[NORM]["shape"] = json!([u64::MAX, u64::MAX])
        }),
        ("another kind", |header| header[NORM]["dtype"] = json!("I32")),
        ("no kind", |header| header[NORM]["dtype"] = json!("F7")),
    ];
    for (what, change) in cases {
        let folder = copy();
        edit_header(&weights(&folder), change);
        let said = refused(folder.path());
        assert!(said.contains("text_encoder"), "{what}: {said}");
    }
}

#[test]
fn absent_and_surplus_tensors_are_named() {
    let folder = copy();
    edit_header(&weights(&folder), |header| {
        let tensor = header.as_object_mut().unwrap().remove(NORM).unwrap();
        header["encoder.another.weight"] = tensor;
    });
    let said = refused(folder.path());
    assert!(said.contains("lacks") && said.contains(NORM), "{said}");

    // One layer less is asked for than there is.
    let folder = copy();
    edit(&folder.path().join("text_encoder/config.json"), |config| {
        config["num_layers"] = json!(1)
    });
    let mut shapes = Shapes::TOY;
    shapes.text.num_layers = 1;
    let error = Pipeline::open(folder.path(), &[shapes], "the toy", cpu(), &Stop::default()).unwrap_err();
    assert!(
        error.message().contains("encoder.block.1."),
        "{}",
        error.message()
    );
}

#[test]
fn indexes_that_leave_their_folder_are_refused() {
    for name in [
        "../vae/config.json",
        "/etc/passwd",
        "a.bin",
        "..",
        "absent.safetensors",
    ] {
        let folder = copy();
        let index = folder
            .path()
            .join("transformer/diffusion_pytorch_model.safetensors.index.json");
        edit(&index, |index| index["weight_map"]["proj_out.bias"] = json!(name));
        let said = refused(folder.path());
        assert!(said.contains("transformer"), "{name}: {said}");
    }
    let folder = copy();
    let index = folder
        .path()
        .join("transformer/diffusion_pytorch_model.safetensors.index.json");
    edit(&index, |index| {
        index["weight_map"]["not.there"] = index["weight_map"]["proj_out.bias"].clone()
    });
    assert!(refused(folder.path()).contains("not.there"));
}

/// As many tokens as the encoder has, one of which has a number beyond them.
#[test]
fn tokens_beyond_the_table_are_refused() {
    let folder = copy();
    edit(&folder.path().join("tokenizer/tokenizer.json"), |tokenizer| {
        tokenizer["post_processor"]["special_tokens"]["</s>"]["ids"] = json!([1_000_000]);
    });
    let mut pipeline =
        Pipeline::open(folder.path(), &[Shapes::TOY], "the toy", cpu(), &Stop::default()).unwrap();
    let refused = pipeline
        .read(&order(Sampler::Unipc, 5.0), &Stop::default())
        .expect_err("no such token");
    assert_eq!(refused.kind(), FailureKind::Weights);
    let said = refused.message();
    assert!(
        said.contains("tokenizer.json") && said.contains("1000000"),
        "{said}"
    );
}

/// Numbers may be anything; what comes of these is no video.
#[test]
fn weights_that_are_no_numbers_make_no_video() {
    let folder = copy();
    let index = folder
        .path()
        .join("transformer/diffusion_pytorch_model.safetensors.index.json");
    let index: Value = serde_json::from_slice(&fs::read(index).unwrap()).unwrap();
    let file = folder
        .path()
        .join("transformer")
        .join(index["weight_map"]["proj_out.bias"].as_str().unwrap());
    let mut bytes = fs::read(&file).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let begin = header["proj_out.bias"]["data_offsets"][0].as_u64().unwrap() as usize;
    bytes[8 + length + begin..][..4].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&file, bytes).unwrap();
    let mut pipeline =
        Pipeline::open(folder.path(), &[Shapes::TOY], "the toy", cpu(), &Stop::default()).unwrap();
    let outcome = pipeline.make(&order(Sampler::Unipc, 5.0), &Stop::default(), &mut |_| Ok(()));
    assert!(matches!(outcome, Err(Error::NotNumbers)), "{outcome:?}");
}
