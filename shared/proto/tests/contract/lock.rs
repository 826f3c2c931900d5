//! The contract as lines, and what became of a line.

use std::collections::BTreeSet;

use protox::prost_reflect::{DescriptorPool, FieldDescriptor, Kind};

use crate::http::{http_rules, operation_info};
use crate::{enums, messages, methods, ours};

/// The contract as lines that can be compared.
pub(crate) fn summary(pool: &DescriptorPool) -> BTreeSet<String> {
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

/// Lost lines, each with what stands in its place now.
pub(crate) fn described(lost: &[&String], now: &BTreeSet<String>) -> String {
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
