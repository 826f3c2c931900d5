//! The client's own data and times between the wire and the domain.

use std::collections::HashSet;
use std::time::SystemTime;

use polyphony_error::Fault;
use polyphony_wire::{Clock, Refusals};
use prost::Message as _;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Timestamp, Value as Wire};
use serde_json::{Map, Number, Value};

use crate::domain::rules;

/// The most bytes of a client's data, as they are on the wire.
const MOST_BYTES: usize = 16 << 10;
/// How deep it may be nested.
const MOST_DEPTH: usize = 16;

/// A client's data; what cannot be kept is refused in `field`.
pub(crate) fn map(data: Option<Struct>, field: &str, refusals: &mut Refusals) -> Map<String, Value> {
    let Some(data) = data else { return Map::new() };
    if data.encoded_len() > MOST_BYTES {
        refusals.add(field, "must have at most 16 KiB");
        return Map::new();
    }
    object(data, MOST_DEPTH).unwrap_or_else(|| {
        refusals.add(
            field,
            "must be nested at most 16 deep, and its numbers must be finite",
        );
        Map::new()
    })
}

fn object(data: Struct, depth: usize) -> Option<Map<String, Value>> {
    let depth = depth.checked_sub(1)?;
    let fields = data.fields.into_iter();
    fields
        .map(|(key, value)| Some((key, json(value, depth)?)))
        .collect()
}

fn json(wire: Wire, depth: usize) -> Option<Value> {
    Some(match wire.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(is)) => Value::Bool(is),
        Some(Kind::NumberValue(number)) => Value::Number(number_of(number)?),
        Some(Kind::StringValue(text)) => Value::String(text),
        Some(Kind::StructValue(data)) => Value::Object(object(data, depth)?),
        Some(Kind::ListValue(ListValue { values })) => {
            let depth = depth.checked_sub(1)?;
            let values = values.into_iter().map(|value| json(value, depth));
            Value::Array(values.collect::<Option<_>>()?)
        }
    })
}

/// Whole numbers are kept as such: 3 is "3" for filters and not "3.0".
fn number_of(number: f64) -> Option<Number> {
    const WHOLE: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= WHOLE {
        Some(Number::from(number as i64))
    } else {
        Number::from_f64(number)
    }
}

/// A client's data, as it came.
pub(crate) fn wire(map: &Map<String, Value>) -> Option<Struct> {
    (!map.is_empty()).then(|| to_struct(map))
}

fn to_struct(map: &Map<String, Value>) -> Struct {
    let fields = map.iter().map(|(key, value)| (key.clone(), to_value(value)));
    Struct {
        fields: fields.collect(),
    }
}

fn to_value(value: &Value) -> Wire {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(is) => Kind::BoolValue(*is),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Object(map) => Kind::StructValue(to_struct(map)),
        Value::Array(values) => Kind::ListValue(ListValue {
            values: values.iter().map(to_value).collect(),
        }),
    };
    Wire { kind: Some(kind) }
}

/// A time; one that is none is refused in `field`.
pub(crate) fn time(time: Option<Timestamp>, field: &str, refusals: &mut Refusals) -> Option<SystemTime> {
    let time = time?;
    let parsed = Clock::new(time).and_then(|clock| SystemTime::try_from(clock.wire()).ok());
    if parsed.is_none() {
        refusals.add(field, "must be a time from the year 1 to 9999");
    }
    parsed
}

/// A language, as BCP-47; empty: none. What is no tag is refused in `field`.
pub(crate) fn language(tag: String, field: &str, refusals: &mut Refusals) -> Option<String> {
    if tag.is_empty() {
        return None;
    }
    rules::language(&tag, field, refusals);
    Some(tag)
}

/// Tags, each once.
pub(crate) fn once(tags: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut found = tags;
    found.retain(|tag| seen.insert(tag.clone()));
    found
}

/// The id after which a page begins; a token is the last id of the page before.
pub(crate) fn after(token: &str, is_id: fn(&str) -> bool) -> Result<String, Fault> {
    if token.is_empty() || is_id(token) {
        return Ok(token.to_owned());
    }
    Err(Fault::invalid(
        "page_token",
        "must be next_page_token of the page before, or empty",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(kind: Kind) -> Wire {
        Wire { kind: Some(kind) }
    }

    fn of(kind: Kind) -> Option<Struct> {
        Some(Struct {
            fields: [("a".to_owned(), value(kind))].into(),
        })
    }

    #[test]
    fn data_comes_back_as_it_was() {
        let list = ListValue {
            values: vec![value(Kind::NumberValue(3.0)), value(Kind::BoolValue(true))],
        };
        let data = of(Kind::ListValue(list));
        let mut refusals = Refusals::at("");
        let kept = map(data.clone(), "metadata", &mut refusals);
        refusals.finish().expect("good data");
        assert_eq!(serde_json::to_string(&kept).expect("JSON"), r#"{"a":[3,true]}"#);
        assert_eq!(wire(&kept), data);
        assert_eq!(wire(&Map::new()), None);
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        let mut deep = value(Kind::BoolValue(true));
        for _ in 0..20 {
            deep = value(Kind::ListValue(ListValue { values: vec![deep] }));
        }
        for data in [
            of(Kind::NumberValue(f64::NAN)),
            of(deep.kind.expect("a kind")),
            of(Kind::StringValue("x".repeat(17_000))),
        ] {
            let mut refusals = Refusals::at("document.");
            map(data, "metadata", &mut refusals);
            let fault = refusals.finish().expect_err("refused");
            assert_eq!(fault.violations[0].field, "document.metadata");
        }
    }

    #[test]
    fn languages_are_tags() {
        for (tag, is_one) in [
            ("pt-BR", true),
            ("zh-Hant-TW", true),
            ("", true),
            ("e", false),
            ("en_US", false),
        ] {
            let mut refusals = Refusals::at("");
            language(tag.to_owned(), "language_code", &mut refusals);
            assert_eq!(refusals.finish().is_ok(), is_one, "{tag}");
        }
    }

    #[test]
    fn a_tag_that_is_said_twice_is_there_once() {
        let said = ["b", "a", "b"].map(str::to_owned).to_vec();
        assert_eq!(once(said), ["b", "a"]);
    }
}
