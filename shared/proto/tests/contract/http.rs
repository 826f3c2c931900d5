//! The options of methods: how they are reached over HTTP, and what their operations hold.

use protox::prost_reflect::{
    DynamicMessage, Kind, MessageDescriptor, MethodDescriptor, ReflectMessage, Value,
};

/// One way to reach a method over HTTP.
pub(crate) struct HttpRule {
    pub(crate) verb: String,
    pub(crate) path: String,
    pub(crate) body: String,
}

/// An option of a method that is a message, by the option's full name.
fn message_option(method: &MethodDescriptor, name: &str) -> Option<DynamicMessage> {
    let extension = method.parent_pool().get_extension_by_name(name)?;
    let options = method.options();
    options
        .has_extension(&extension)
        .then(|| options.get_extension(&extension).as_message().cloned())?
}

pub(crate) fn http_rules(method: &MethodDescriptor) -> Vec<HttpRule> {
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
pub(crate) fn operation_info(method: &MethodDescriptor) -> Option<String> {
    let info = message_option(method, "google.longrunning.operation_info")?;
    let text = |field| {
        info.get_field_by_name(field)
            .and_then(|value| value.as_str().map(str::to_owned))
            .unwrap_or_default()
    };
    Some(format!("{} {}", text("response_type"), text("metadata_type")))
}

/// The fields that a path's template names, as `phrase_set.name` in `/v1/{phrase_set.name=phraseSets/*}`.
pub(crate) fn variables(path: &str) -> Vec<String> {
    path.split('{')
        .skip(1)
        .filter_map(|rest| rest.split(['=', '}']).next())
        .map(str::to_owned)
        .collect()
}

pub(crate) fn has_field(message: &MessageDescriptor, path: &str) -> bool {
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
