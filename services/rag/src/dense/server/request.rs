//! What is asked of a Qdrant server: the one place where a question to it gets its tenant.

use qdrant_client::Payload;
use qdrant_client::qdrant::{
    Condition, CreateCollection, CreateCollectionBuilder, CreateFieldIndexCollection,
    CreateFieldIndexCollectionBuilder, Distance, FieldType, Filter as Conditions, HnswConfigDiffBuilder,
    IntegerIndexParamsBuilder, KeywordIndexParamsBuilder, OptimizersConfigDiffBuilder, PointStruct, Query,
    QueryPoints, QueryPointsBuilder, Range, ScalarQuantizationBuilder, SearchParamsBuilder,
    VectorParamsBuilder,
};
use serde_json::json;

use crate::dense::{DenseConfig, Nearest, Quantization, payload};
use crate::domain::Filter;
use crate::domain::time::micros;
use crate::ledger::Stored;
use crate::lexical::{pair, pairs};
use crate::scope::Scope;

/// A collection for vectors of one model.
pub(super) fn collection(name: &str, dimensions: usize, config: &DenseConfig) -> CreateCollection {
    let kib = ((config.exact_below * dimensions * 4) / 1024).max(1) as u64;
    let m = config.hnsw_m as u64;
    let mut collection = CreateCollectionBuilder::new(name)
        .vectors_config(VectorParamsBuilder::new(dimensions as u64, Distance::Cosine))
        .hnsw_config(
            HnswConfigDiffBuilder::default()
                .m(m)
                // A graph of its own within the large one for each tenant.
                .payload_m(m)
                .ef_construct(config.hnsw_ef_construct as u64)
                .full_scan_threshold(kib),
        )
        .optimizers_config(OptimizersConfigDiffBuilder::default().indexing_threshold(kib))
        .on_disk_payload(true);
    if config.quantization == Quantization::Int8 {
        collection = collection.quantization_config(
            ScalarQuantizationBuilder::default()
                .quantile(0.99)
                .always_ram(true),
        );
    }
    collection.build()
}

/// What is filtered by, and how it is indexed.
pub(super) fn fields(name: &str) -> Vec<CreateFieldIndexCollection> {
    let keyword = |field: &str, is_tenant| {
        CreateFieldIndexCollectionBuilder::new(name, field, FieldType::Keyword)
            .field_index_params(KeywordIndexParamsBuilder::default().is_tenant(is_tenant))
            .wait(true)
            .build()
    };
    vec![
        keyword(payload::SPACE, true),
        keyword(payload::DOCUMENT, false),
        keyword(payload::DOC_TYPE, false),
        keyword(payload::TAGS, false),
        keyword(payload::METADATA, false),
        CreateFieldIndexCollectionBuilder::new(name, payload::TIME, FieldType::Integer)
            .field_index_params(IntegerIndexParamsBuilder::new(false, true))
            .wait(true)
            .build(),
    ]
}

/// A passage as the server has it.
pub(super) fn point(scope: &Scope, passage: &Stored) -> PointStruct {
    let Stored {
        key, vector, about, ..
    } = passage;
    let mut fields = Payload::new();
    fields.insert(payload::SPACE, tenant(scope));
    fields.insert(payload::DOCUMENT, about.document.as_str());
    fields.insert(payload::TAGS, json!(about.tags));
    fields.insert(payload::METADATA, json!(pairs(&about.metadata)));
    if let Some(doc_type) = &about.doc_type {
        fields.insert(payload::DOC_TYPE, doc_type.as_str());
    }
    if let Some(time) = about.time {
        fields.insert(payload::TIME, micros(time));
    }
    PointStruct::new(key.unsigned_abs(), vector.clone(), fields)
}

/// The nearest passages of the space.
pub(super) fn query(name: &str, scope: &Scope, nearest: Nearest<'_>, config: &DenseConfig) -> QueryPoints {
    let params = SearchParamsBuilder::default()
        .hnsw_ef(config.hnsw_ef.max(nearest.limit) as u64)
        .exact(nearest.exact);
    QueryPointsBuilder::new(name)
        .query(Query::new_nearest(nearest.vector.to_vec()))
        .filter(filter(scope, nearest.filter))
        .limit(nearest.limit as u64)
        .params(params)
        .with_payload(false)
        .with_vectors(false)
        .build()
}

/// The passages of the space that the filter lets through.
pub(super) fn filter(scope: &Scope, filter: &Filter) -> Conditions {
    let Filter {
        doc_types,
        tags,
        documents,
        from,
        until,
        metadata,
    } = filter;
    let mut must = vec![Condition::matches(payload::SPACE, tenant(scope))];
    for (field, values) in [(payload::DOC_TYPE, doc_types), (payload::DOCUMENT, documents)] {
        if !values.is_empty() {
            must.push(Condition::matches(field, values.clone()));
        }
    }
    must.extend(
        tags.iter()
            .map(|tag| Condition::matches(payload::TAGS, tag.clone())),
    );
    must.extend(
        metadata
            .iter()
            .map(|(name, value)| Condition::matches(payload::METADATA, pair(name, value))),
    );
    if from.is_some() || until.is_some() {
        // Doubles are exact to 2^53 microseconds, the year 2255.
        let range = Range {
            gte: from.map(|time| micros(time) as f64),
            lt: until.map(|time| micros(time) as f64),
            ..Range::default()
        };
        must.push(Condition::range(payload::TIME, range));
    }
    Conditions::must(must)
}

fn tenant(scope: &Scope) -> String {
    scope.key().number().to_string()
}
