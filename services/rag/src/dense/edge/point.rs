//! Passages as points, and filters as conditions: the one place where a question to the index in this process gets its
//! tenant.

use qdrant_edge::{Filter as Conditions, PointId, PointStruct, PointStructPersisted};
use serde_json::{Value, json};

use crate::Error;
use crate::dense::payload;
use crate::domain::Filter;
use crate::domain::time::micros;
use crate::ledger::Stored;
use crate::lexical::{pair, pairs};
use crate::scope::Scope;

/// A passage as the index has it.
pub(super) fn point(scope: &Scope, passage: &Stored) -> PointStructPersisted {
    let Stored {
        key, vector, about, ..
    } = passage;
    let mut fields = json!({
        (payload::SPACE): tenant(scope),
        (payload::DOCUMENT): about.document,
        (payload::TAGS): about.tags,
        (payload::METADATA): pairs(&about.metadata),
    });
    if let Some(doc_type) = &about.doc_type {
        fields[payload::DOC_TYPE] = Value::from(doc_type.as_str());
    }
    if let Some(time) = about.time {
        fields[payload::TIME] = Value::from(micros(time));
    }
    PointStruct::new(id(*key), vector.clone(), fields).into()
}

/// The number of a passage as the index has it.
pub(super) const fn id(key: i64) -> PointId {
    PointId::NumId(key.unsigned_abs())
}

/// The passages of the space that the filter lets through.
pub(super) fn filter(scope: &Scope, filter: &Filter) -> Result<Conditions, Error> {
    let Filter {
        doc_types,
        tags,
        documents,
        from,
        until,
        metadata,
    } = filter;
    let one = |field: &str, value: &str| json!({"key": field, "match": {"value": value}});
    let mut must = vec![one(payload::SPACE, &tenant(scope))];
    for (field, values) in [(payload::DOC_TYPE, doc_types), (payload::DOCUMENT, documents)] {
        if !values.is_empty() {
            must.push(json!({"key": field, "match": {"any": values}}));
        }
    }
    must.extend(tags.iter().map(|tag| one(payload::TAGS, tag)));
    for (name, value) in metadata {
        must.push(one(payload::METADATA, &pair(name, value)));
    }
    if from.is_some() || until.is_some() {
        let mut range = json!({});
        if let Some(from) = from {
            range["gte"] = Value::from(micros(*from));
        }
        if let Some(until) = until {
            range["lt"] = Value::from(micros(*until));
        }
        must.push(json!({"key": payload::TIME, "range": range}));
    }
    serde_json::from_value(json!({ "must": must })).map_err(|error| Error::index("dense", "filtering", error))
}

fn tenant(scope: &Scope) -> String {
    scope.key().number().to_string()
}
