//! `[rag.dense]`: where vectors are kept and how they are searched.

use polyphony_config::{HumanDuration, Secret};
use serde::{Deserialize, Serialize};

/// `[rag.dense]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DenseConfig {
    /// "edge": Qdrant's index in this process. "server": a Qdrant server. Default: "edge".
    pub engine: DenseEngine,
    /// Where the Qdrant server is, as "http://qdrant:6334" (its gRPC port). Only for "server".
    pub url: String,
    /// The key of the Qdrant server (`api_key_file` in a configuration file).
    pub api_key: Option<Secret<String>>,
    /// The collections of the Qdrant server begin with this. Default: "polyphony".
    pub collection: String,
    /// How long an answer of the Qdrant server is waited for. Default: 10s.
    pub timeout: HumanDuration,
    /// Below so many vectors distances are computed one by one, exactly; above, a graph (HNSW) is built. 1,000 to
    /// 10,000,000. Default: 20,000.
    pub exact_below: usize,
    /// Edges of a node of the graph, 4 to 128. Default: 16.
    pub hnsw_m: usize,
    /// Neighbours looked at while the graph is built, 4 to 4,096. Default: 128.
    pub hnsw_ef_construct: usize,
    /// Neighbours looked at while it is searched, 4 to 4,096. Default: 128.
    pub hnsw_ef: usize,
    /// "none", or "int8": the graph is searched with vectors of a byte a number, a quarter of the memory, and the best
    /// are compared anew with the whole ones. Default: "none".
    pub quantization: Quantization,
}

/// Where vectors are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DenseEngine {
    /// In this process.
    #[default]
    Edge,
    /// On a Qdrant server.
    Server,
}

/// Whether vectors are made smaller for the graph.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quantization {
    /// They are not.
    #[default]
    None,
    /// A byte a number.
    Int8,
}

// === impl DenseConfig ===

impl DenseConfig {
    /// The first key whose value cannot be used, and why.
    pub(crate) fn fault(&self) -> Option<(&'static str, String)> {
        let within = |key, value: usize, least, most| {
            let text = || (key, format!("must be {least} to {most}"));
            (!(least..=most).contains(&value)).then(text)
        };
        if self.engine == DenseEngine::Server {
            if !self.url.starts_with("http://") && !self.url.starts_with("https://") {
                let text = "must be the address of a Qdrant server's gRPC port, as \"http://qdrant:6334\"";
                return Some(("dense.url", text.to_owned()));
            }
        } else if !self.url.is_empty() {
            let text = "must be empty unless rag.dense.engine is \"server\"".to_owned();
            return Some(("dense.url", text));
        }
        let named = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if self.collection.is_empty() || self.collection.len() > 100 || !self.collection.chars().all(named) {
            let text = "must be 1 to 100 letters, digits, \"-\" and \"_\"".to_owned();
            return Some(("dense.collection", text));
        }
        within("dense.exact_below", self.exact_below, 1_000, 10_000_000)
            .or_else(|| within("dense.hnsw_m", self.hnsw_m, 4, 128))
            .or_else(|| within("dense.hnsw_ef_construct", self.hnsw_ef_construct, 4, 4_096))
            .or_else(|| within("dense.hnsw_ef", self.hnsw_ef, 4, 4_096))
    }
}

impl Default for DenseConfig {
    fn default() -> Self {
        Self {
            engine: DenseEngine::Edge,
            url: String::new(),
            api_key: None,
            collection: "polyphony".to_owned(),
            timeout: HumanDuration::from_secs(10),
            exact_below: 20_000,
            hnsw_m: 16,
            hnsw_ef_construct: 128,
            hnsw_ef: 128,
            quantization: Quantization::None,
        }
    }
}
