//! The contract keeps its own rules: nothing released is taken back, everything is explained, packages are folders, and
//! HTTP rules fit their requests.
//!
//! `proto/contract.lock` has a line for each element of the contract. After an addition refresh it with
//! `UPDATE_CONTRACT=1 cargo test -p polyphony-proto`; a line that is lost or changed breaks clients and is refused, unless
//! `UPDATE_CONTRACT=breaking` says that it is meant.

mod http;
mod lock;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::{env, fs};

use protox::Compiler;
use protox::prost_reflect::{
    DescriptorPool, EnumDescriptor, FileDescriptor, MessageDescriptor, MethodDescriptor,
};

use crate::http::{has_field, http_rules, variables};
use crate::lock::{described, summary};

#[test]
fn nothing_in_the_lock_is_taken_back() {
    let path = proto_root().join("contract.lock");
    let now = summary(&contract());
    let update = env::var("UPDATE_CONTRACT").unwrap_or_default();
    let locked: BTreeSet<String> = fs::read_to_string(&path)
        .unwrap_or_default()
        .lines()
        .map(str::to_owned)
        .collect();

    let lost: Vec<&String> = locked.difference(&now).collect();
    assert!(
        lost.is_empty() || update == "breaking",
        "BREAKING: these lines of proto/contract.lock are gone or changed, which breaks clients that use them:\n{}\n\
         keep the element (a new field gets a new number), or, if it was never released, run \
         UPDATE_CONTRACT=breaking cargo test -p polyphony-proto",
        described(&lost, &now),
    );
    if !update.is_empty() {
        let text = now.iter().fold(String::new(), |text, line| text + line + "\n");
        fs::write(&path, text).expect("contract.lock can be written");
        return;
    }
    let new: Vec<&String> = now.difference(&locked).collect();
    assert!(
        new.is_empty(),
        "proto/contract.lock does not have these lines yet; run UPDATE_CONTRACT=1 cargo test -p polyphony-proto and \
         commit it:\n{}",
        new.iter().map(|line| format!("  {line}\n")).collect::<String>(),
    );
}

#[test]
fn every_element_has_a_comment() {
    let mut bare = Vec::new();
    for file in ours(&contract()) {
        let comments = comments(&file);
        let mut check = |name: &str, path: &[i32]| {
            if comments.get(path).is_none_or(|comment| comment.trim().is_empty()) {
                bare.push(format!("{}: {name}", file.name()));
            }
        };
        for message in messages(&file) {
            check(message.full_name(), message.path());
            message
                .fields()
                .for_each(|field| check(field.full_name(), field.path()));
            message
                .oneofs()
                .filter(|oneof| !oneof.is_synthetic())
                .for_each(|oneof| check(oneof.full_name(), oneof.path()));
        }
        for enumeration in enums(&file) {
            check(enumeration.full_name(), enumeration.path());
            enumeration
                .values()
                .for_each(|value| check(value.full_name(), value.path()));
        }
        for service in file.services() {
            check(service.full_name(), service.path());
            service
                .methods()
                .for_each(|method| check(method.full_name(), method.path()));
        }
    }
    assert!(bare.is_empty(), "without a comment:\n{}", bare.join("\n"));
}

#[test]
fn every_enum_begins_with_unspecified_and_prefixes_its_values() {
    for file in ours(&contract()).filter(|file| file.package_name().starts_with("polyphony.")) {
        for enumeration in enums(&file) {
            let prefix = upper_snake(enumeration.name());
            let zero = enumeration.get_value(0).map(|value| value.name().to_owned());
            assert_eq!(
                zero,
                Some(format!("{prefix}_UNSPECIFIED")),
                "{}",
                enumeration.full_name()
            );
            for value in enumeration.values() {
                assert!(
                    value.name().starts_with(&format!("{prefix}_")),
                    "{}",
                    value.full_name()
                );
            }
        }
    }
}

#[test]
fn packages_are_folders_and_carry_a_version() {
    for file in ours(&contract()) {
        let folder = file.name().rsplit_once('/').map_or("", |(folder, _)| folder);
        assert_eq!(folder.replace('/', "."), file.package_name(), "{}", file.name());
        if file.package_name().starts_with("polyphony.") {
            assert!(file.package_name().ends_with(".v1"), "{}", file.name());
        }
    }
}

#[test]
fn http_rules_are_unique_and_name_fields_of_their_requests() {
    let mut seen = BTreeMap::<String, String>::new();
    for method in ours(&contract()).flat_map(|file| methods(&file)) {
        for rule in http_rules(&method) {
            let name = method.full_name();
            for variable in variables(&rule.path) {
                assert!(
                    has_field(&method.input(), &variable),
                    "{name}: no field {variable} for {}",
                    rule.path
                );
            }
            assert!(
                rule.body.is_empty() || rule.body == "*" || has_field(&method.input(), &rule.body),
                "{name}: no field {} for the body",
                rule.body,
            );
            assert!(
                !method.is_client_streaming(),
                "{name}: a client stream has no JSON form"
            );
            if let Some(other) = seen.insert(format!("{} {}", rule.verb, rule.path), name.to_owned()) {
                panic!("{} {} leads to {other} and to {name}", rule.verb, rule.path);
            }
        }
    }
}

#[test]
fn each_descriptor_set_holds_its_package_with_http_rules_and_no_other_service() {
    let pool = DescriptorPool::decode(polyphony_proto::asr::v1::FILE_DESCRIPTOR_SET)
        .expect("the set is whole: it has all it imports");
    let services: BTreeSet<String> = pool
        .services()
        .map(|service| service.full_name().to_owned())
        .collect();
    let expected = [
        "google.longrunning.Operations",
        "polyphony.asr.v1.AdaptationService",
        "polyphony.asr.v1.AsrService",
    ];
    assert_eq!(services, BTreeSet::from(expected.map(str::to_owned)));
    let recognize = pool
        .get_service_by_name("polyphony.asr.v1.AsrService")
        .and_then(|service| service.methods().find(|method| method.name() == "Recognize"))
        .expect("asr has Recognize");
    assert_eq!(http_rules(&recognize)[0].path, "/v1/asr:recognize");
}

fn proto_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../proto")
        .canonicalize()
        .expect("proto/ is there")
}

/// All files below `proto/`, with comments.
fn contract() -> DescriptorPool {
    fn find(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder of proto/ can be read") {
            let path = entry.expect("an entry of proto/ can be read").path();
            if path.is_dir() {
                find(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "proto") {
                found.push(path);
            }
        }
    }
    let root = proto_root();
    let mut files = Vec::new();
    find(&root, &mut files);
    files.sort();
    let mut compiler = Compiler::new([&root]).expect("proto/ is an include path");
    compiler.include_source_info(true).include_imports(true);
    compiler.open_files(files).expect("the contract compiles");
    compiler.descriptor_pool()
}

/// The files of `proto/`, without those of protobuf itself.
fn ours(pool: &DescriptorPool) -> impl Iterator<Item = FileDescriptor> {
    pool.files()
        .filter(|file| file.package_name() != "google.protobuf")
}

/// The messages of a file, nested ones too, without the entries of maps.
fn messages(file: &FileDescriptor) -> Vec<MessageDescriptor> {
    file.parent_pool()
        .all_messages()
        .filter(|message| message.parent_file() == *file && !message.is_map_entry())
        .collect()
}

/// The enums of a file, nested ones too.
fn enums(file: &FileDescriptor) -> Vec<EnumDescriptor> {
    file.parent_pool()
        .all_enums()
        .filter(|enumeration| enumeration.parent_file() == *file)
        .collect()
}

fn methods(file: &FileDescriptor) -> Vec<MethodDescriptor> {
    file.services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .collect()
}

/// What stands above each element, by its path in the file.
fn comments(file: &FileDescriptor) -> HashMap<Vec<i32>, String> {
    let info = file
        .file_descriptor_proto()
        .source_code_info
        .clone()
        .unwrap_or_default();
    info.location
        .into_iter()
        .filter_map(|location| Some((location.path, location.leading_comments?)))
        .collect()
}

fn upper_snake(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_uppercase());
    }
    snake
}
