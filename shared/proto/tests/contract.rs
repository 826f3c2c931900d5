//! The contract keeps its own rules: nothing released is taken back, everything is explained, packages are folders, and
//! HTTP rules fit their requests.
//!
//! `proto/contract.lock` has a line for each element of the contract. After an addition refresh it with
//! `UPDATE_CONTRACT=1 cargo test -p polyphony-proto`; a line that is lost or changed breaks clients and is refused, unless
//! `UPDATE_CONTRACT=breaking` says that it is meant.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::{env, fs};

use protox::Compiler;
use protox::prost_reflect::{
    DescriptorPool, DynamicMessage, EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor,
    MethodDescriptor, ReflectMessage, Value,
};

/// One way to reach a method over HTTP.
struct HttpRule {
    verb: String,
    path: String,
    body: String,
}

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

/// The contract as lines that can be compared.
fn summary(pool: &DescriptorPool) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for file in ours(pool) {
        for message in messages(&file) {
            lines.insert(format!("message {}", message.full_name()));
            lines.extend(message.fields().map(|field| field_line(&field)));
            let reserved = message.reserved_ranges().flatten();
            lines.extend(reserved.map(|number| format!("{} reserved {number}", message.full_name())));
        }
        for enumeration in enums(&file) {
            let name = enumeration.full_name();
            lines.extend(
                enumeration
                    .values()
                    .map(|value| format!("{name}.{} = {}", value.name(), value.number())),
            );
        }
        for extension in file.extensions() {
            let extended = extension.containing_message();
            let (name, number) = (extension.full_name(), extension.number());
            let kind = kind_name(&extension.kind());
            lines.insert(format!(
                "{name} = {number} {kind} extends {}",
                extended.full_name()
            ));
        }
        for method in methods(&file) {
            let name = method.full_name();
            let stream = |streaming| if streaming { "stream " } else { "" };
            lines.insert(format!(
                "rpc {name}({}{}) returns ({}{})",
                stream(method.is_client_streaming()),
                method.input().full_name(),
                stream(method.is_server_streaming()),
                method.output().full_name(),
            ));
            lines.extend(http_rules(&method).into_iter().map(|rule| {
                format!("rpc {name} = {} {} {}", rule.verb, rule.path, rule.body)
                    .trim_end()
                    .to_owned()
            }));
            lines.extend(operation_info(&method).map(|types| format!("rpc {name} = operation {types}")));
        }
    }
    lines
}

fn field_line(field: &FieldDescriptor) -> String {
    let label = match field.containing_oneof() {
        _ if field.is_map() => String::new(),
        _ if field.is_list() => "repeated ".to_owned(),
        Some(oneof) if oneof.is_synthetic() => "optional ".to_owned(),
        Some(oneof) => format!("oneof {} ", oneof.name()),
        None => String::new(),
    };
    format!(
        "{} = {} {label}{}",
        field.full_name(),
        field.number(),
        kind_name(&field.kind())
    )
}

fn kind_name(kind: &Kind) -> String {
    match kind {
        Kind::Message(entry) if entry.is_map_entry() => {
            let key = kind_name(&entry.map_entry_key_field().kind());
            format!("map<{key}, {}>", kind_name(&entry.map_entry_value_field().kind()))
        }
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(enumeration) => enumeration.full_name().to_owned(),
        scalar => format!("{scalar:?}").to_lowercase(),
    }
}

/// An option of a method that is a message, by the option's full name.
fn message_option(method: &MethodDescriptor, name: &str) -> Option<DynamicMessage> {
    let extension = method.parent_pool().get_extension_by_name(name)?;
    let options = method.options();
    options
        .has_extension(&extension)
        .then(|| options.get_extension(&extension).as_message().cloned())?
}

fn http_rules(method: &MethodDescriptor) -> Vec<HttpRule> {
    fn parse(rule: &DynamicMessage, rules: &mut Vec<HttpRule>) {
        let text = |field| {
            rule.get_field_by_name(field)
                .and_then(|value| value.as_str().map(str::to_owned))
        };
        let pattern = rule.descriptor().oneofs().find(|oneof| oneof.name() == "pattern");
        let set = pattern.and_then(|oneof| oneof.fields().find(|field| rule.has_field(field)));
        if let Some(field) = set {
            rules.push(HttpRule {
                verb: field.name().to_uppercase(),
                path: text(field.name()).expect("the pattern of an HTTP rule is a path"),
                body: text("body").unwrap_or_default(),
            });
        }
        if let Some(more) = rule.get_field_by_name("additional_bindings") {
            more.as_list()
                .into_iter()
                .flatten()
                .filter_map(Value::as_message)
                .for_each(|rule| parse(rule, rules));
        }
    }
    let mut rules = Vec::new();
    if let Some(rule) = message_option(method, "google.api.http") {
        parse(&rule, &mut rules);
    }
    rules
}

/// The types of a long-running method's operation.
fn operation_info(method: &MethodDescriptor) -> Option<String> {
    let info = message_option(method, "google.longrunning.operation_info")?;
    let text = |field| {
        info.get_field_by_name(field)
            .and_then(|value| value.as_str().map(str::to_owned))
            .unwrap_or_default()
    };
    Some(format!("{} {}", text("response_type"), text("metadata_type")))
}

/// The fields that a path's template names, as `phrase_set.name` in `/v1/{phrase_set.name=phraseSets/*}`.
fn variables(path: &str) -> Vec<String> {
    path.split('{')
        .skip(1)
        .filter_map(|rest| rest.split(['=', '}']).next())
        .map(str::to_owned)
        .collect()
}

fn has_field(message: &MessageDescriptor, path: &str) -> bool {
    let (first, rest) = path
        .split_once('.')
        .map_or((path, None), |(first, rest)| (first, Some(rest)));
    message
        .get_field_by_name(first)
        .is_some_and(|field| match (rest, field.kind()) {
            (None, _) => true,
            (Some(rest), Kind::Message(inner)) => has_field(&inner, rest),
            (Some(_), _) => false,
        })
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

/// Lost lines, each with what stands in its place now.
fn described(lost: &[&String], now: &BTreeSet<String>) -> String {
    lost.iter()
        .map(
            |line| match now.iter().find(|other| element(other) == element(line)) {
                Some(place) => format!("  {line}\n    is now: {place}\n"),
                None => format!("  {line}\n    is gone\n"),
            },
        )
        .collect()
}

/// What a line of the lock is about: all before its value.
fn element(line: &str) -> &str {
    let end = line.find(" = ").or_else(|| line.find('(').map(|open| open + 1));
    &line[..end.unwrap_or(line.len())]
}
