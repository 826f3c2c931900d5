//! How a shard is made, and what is on the disk beside its own files.

use std::fs;
use std::path::{Path, PathBuf};

use qdrant_edge::{
    CreateIndex, Distance, EdgeConfig, EdgeOptimizersConfig, EdgeShard, EdgeVectorParams,
    FieldIndexOperations, HnswIndexConfig, OperationError, OperationResult, PayloadFieldSchema,
    QuantizationConfig, UpdateOperation, WalOptions,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Error;
use crate::dense::{DenseConfig, Quantization, payload};

/// What a shard was made with: with anything else it would be another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Description {
    version: u32,
    pub(super) dimensions: usize,
    quantization: Quantization,
}

/// The version of what points say.
const VERSION: u32 = 1;
/// The file of the description. It is written last: a shard without it was not made to the end.
const MADE: &str = "made.json";
/// A file of the log is so large. It is made whole, so a small one keeps small shards small.
const LOG_FILE: usize = 4 << 20;

// === impl Description ===

impl Description {
    pub(super) const fn of(dimensions: usize, config: &DenseConfig) -> Self {
        Self {
            version: VERSION,
            dimensions,
            quantization: config.quantization,
        }
    }

    pub(super) fn read(folder: &Path) -> Option<Self> {
        let text = fs::read_to_string(folder.join(MADE)).ok()?;
        serde_json::from_str(&text).ok()
    }

    pub(super) fn write(self, folder: &Path) -> Result<(), Error> {
        let text = serde_json::to_vec(&self).map_err(|error| Error::index("dense", "making", error))?;
        crate::staging::write_whole(&folder.join(MADE), &text)
    }
}

/// Makes a shard in an empty folder.
pub(super) fn create(folder: &Path, config: EdgeConfig) -> OperationResult<EdgeShard> {
    let shard = EdgeShard::new(folder, config)?;
    for (field, schema) in schemas() {
        let schema: PayloadFieldSchema = serde_json::from_value(schema)
            .map_err(|error| OperationError::service_error_light(error.to_string()))?;
        let field_name = field
            .parse()
            .map_err(|()| OperationError::service_error_light("a field has no name"))?;
        let index = CreateIndex {
            field_name,
            field_schema: Some(schema),
        };
        shard.update(UpdateOperation::FieldIndexOperation(
            FieldIndexOperations::CreateIndex(index),
        ))?;
    }
    shard.flush();
    Ok(shard)
}

/// What is filtered by, and how it is indexed.
fn schemas() -> [(&'static str, Value); 6] {
    let keyword = json!("keyword");
    [
        (payload::SPACE, json!({"type": "keyword", "is_tenant": true})),
        (payload::DOCUMENT, keyword.clone()),
        (payload::DOC_TYPE, keyword.clone()),
        (payload::TAGS, keyword.clone()),
        (payload::METADATA, keyword),
        (payload::TIME, json!("integer")),
    ]
}

pub(super) fn edge_config(dimensions: usize, config: &DenseConfig) -> EdgeConfig {
    let kib_of = |vectors: usize| (vectors * dimensions * 4 / 1024).max(1);
    let hnsw = HnswIndexConfig {
        m: config.hnsw_m,
        ef_construct: config.hnsw_ef_construct,
        full_scan_threshold: kib_of(config.exact_below),
        max_indexing_threads: 0,
        on_disk: None,
        // A graph of its own within the large one for each tenant.
        payload_m: Some(config.hnsw_m),
        inline_storage: None,
    };
    let builder = EdgeConfig::builder()
        .vector(
            "",
            EdgeVectorParams::builder(dimensions, Distance::Cosine).build(),
        )
        .hnsw_config(hnsw)
        .on_disk_payload(true)
        .optimizers(EdgeOptimizersConfig {
            indexing_threshold: Some(kib_of(config.exact_below)),
            ..EdgeOptimizersConfig::default()
        })
        .wal_options(WalOptions {
            segment_capacity: LOG_FILE,
            ..WalOptions::default()
        });
    match config.quantization {
        Quantization::None => builder.build(),
        Quantization::Int8 => match int8() {
            Some(quantization) => builder.quantization_config(quantization).build(),
            None => builder.build(),
        },
    }
}

fn int8() -> Option<QuantizationConfig> {
    let scalar = json!({"scalar": {"type": "int8", "quantile": 0.99, "always_ram": true}});
    serde_json::from_value(scalar).ok()
}

/// Deletes a shard's files.
pub(super) fn delete(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::file(folder, "deleted", error))
        }
        _ => Ok(()),
    }
}

/// Deletes the closed files of a shard's log but the last, which says where the numbers go on. The shard is closed.
pub(super) fn cut_log(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder.join("wal")) else {
        return;
    };
    let mut closed: Vec<(u64, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let number = name.to_str()?.strip_prefix("closed-")?.parse().ok()?;
            Some((number, entry.path()))
        })
        .collect();
    closed.sort_unstable();
    closed.pop();
    for (_, path) in closed {
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "the log of an index of vectors could not be cut");
            return;
        }
    }
}
