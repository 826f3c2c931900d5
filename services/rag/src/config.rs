//! The keys of retrieval: `[rag]` and its tables, and the sections it shares with the rest of the mesh.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread;

use http::Uri;
use polyphony_chassis::Checks;
use polyphony_chassis::config::{ChannelConfig, ServerConfig};
use polyphony_chassis::places::or_each_core;
use polyphony_config::{ByteSize, HumanDuration, Layers, Secret, data_dir};
use polyphony_database::is_server;
use polyphony_inference::InferenceConfig;
use polyphony_jobs::JobsConfig;
use polyphony_models::ModelsConfig;
use serde::{Deserialize, Serialize};

use crate::answer::AnswerConfig;
use crate::dense::DenseConfig;
use crate::fetch::Hosts;
use crate::lexical::LexicalConfig;

/// All that a retrieval service is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where and how it is served. Default: 127.0.0.1:7007, admin 127.0.0.1:8007.
    pub server: ServerConfig,
    /// Where documents and indexes are kept; one process to a folder. Empty, the default: `rag` in the data folder of
    /// Polyphony ([`polyphony_config::data_dir`]).
    pub data_dir: PathBuf,
    /// The ledger: "postgres://user@host/database". None, the default, is SQLite in `data_dir`. `ledger_url_file`
    /// keeps a password out of the configuration.
    pub ledger_url: Option<Secret<String>>,
    /// Nothing is written while there is less room than this. Default: 256MiB.
    pub min_free: ByteSize,
    /// The largest document. Default: 64MiB.
    pub max_document_bytes: ByteSize,
    /// Documents that are read at once. 0, the default: half of the cores, at least one.
    pub workers: usize,
    /// Documents that wait to be read; an ingestion that would make them more is refused. Default: 100,000.
    pub max_waiting: usize,
    /// Lexical indexes that are kept open. Default: 256.
    pub open_spaces: usize,
    /// How many processes divide the spaces among them, with one PostgreSQL ledger. Default: 1.
    pub replicas: usize,
    /// Which of them this is, counted from 0. Default: 0.
    pub replica: usize,
    /// The embedding model of spaces that name none. Empty, the default: the best on disk.
    pub embedding_model: String,
    /// The cross-encoder for searches that name none. Empty, the default: the best on disk, if there is one.
    pub rerank_model: String,
    /// Load the embedding model before the first request, and be ready only then. Default: false, which keeps an idle
    /// process small.
    pub preload: bool,
    /// Where llm-proxy is, which writes answers. Default: "http://127.0.0.1:7004".
    pub llm_endpoint: String,
    /// Where ocr is, which reads images and PDF. Default: "http://127.0.0.1:7006".
    pub ocr_endpoint: String,
    /// Where asr is, which hears recordings. Default: "http://127.0.0.1:7001".
    pub asr_endpoint: String,
    /// How long a document waits for a service that has to read it and cannot now; then it has failed. Default: 10 min.
    pub read_patience: HumanDuration,
    /// `[rag.channel]`: how these are spoken to.
    pub channel: ChannelConfig,
    /// Hosts that documents may be fetched from, as "docs.example.org", "*.example.org" or "docs.example.org:8443".
    /// Default: none.
    pub uri_hosts: Vec<String>,
    /// Fetch by http as well as by https. Default: false.
    pub uri_http: bool,
    /// How long fetching a document may take. Default: 60 s.
    pub uri_timeout: HumanDuration,
    /// Kinds of documents that a zero-shot model chooses from, where one is on disk. Default: none.
    pub doc_types: Vec<String>,
    /// The classifier of documents' kinds that `polyphony rag train-classifier` made. Empty, the default:
    /// `classifier.json` in `data_dir`, if it is there.
    pub classifier: PathBuf,
    /// Answers, ingestions and archives under way at once; one more is refused. Default: 128.
    pub max_streams: usize,
    /// Searches at once. 0, the default: two for each core.
    pub searches: usize,
    /// Searches that wait for their turn; one more is refused. Default: 256.
    pub max_queue: usize,
    /// An ingestion or import whose client sends nothing for so long is ended, and an export whose client takes nothing.
    /// Default: 1 min.
    pub stream_idle: HumanDuration,
    /// Documents in one ingestion. Default: 1,000.
    pub max_documents: usize,
    /// Ingestions that are kept, running or done; one more is refused. Default: 10,000.
    pub max_operations: usize,
    /// How long an ingestion is kept after it is done. Default: 1 h.
    pub operation_retention: HumanDuration,
    /// `[rag.answer]`: how answers are made.
    pub answer: AnswerConfig,
    /// `[rag.dense]`: the vector index.
    pub dense: DenseConfig,
    /// `[rag.lexical]`: the index of words.
    pub lexical: LexicalConfig,
    /// `[models]`: where models lie.
    #[serde(skip)]
    pub models: ModelsConfig,
    /// `[inference]`: where ONNX Runtime lies, and which device runs it.
    #[serde(skip)]
    pub inference: InferenceConfig,
    /// `[jobs]`: where ingestions are kept.
    #[serde(skip)]
    pub jobs: JobsConfig,
}

/// A service holds at most so many indexes open: each has files and memory maps.
const MOST_OPEN: usize = 10_000;
/// The most processes that divide spaces.
const MOST_REPLICAS: usize = 1_024;

// === impl Config ===

impl Config {
    /// Reads the sections.
    ///
    /// # Errors
    /// The first key that is unknown or whose value cannot be used.
    pub fn read(layers: &Layers) -> Result<Self, polyphony_config::Error> {
        let mut config: Self = layers.section("rag")?;
        config.models = layers.section("models")?;
        config.inference = layers.section("inference")?;
        config.jobs = JobsConfig::read(layers)?;
        config.server.limits.take_media();
        config.check(layers)?;
        Ok(config)
    }

    /// Rules that types cannot express.
    ///
    /// # Errors
    /// The first key whose value cannot be used.
    pub fn check(&self, layers: &Layers) -> Result<(), polyphony_config::Error> {
        let checks = Checks::of(layers, "rag");
        if let Some((key, problem)) = self.fault() {
            return Err(checks.invalid(key, problem));
        }
        for (key, endpoint) in [
            ("llm_endpoint", &self.llm_endpoint),
            ("ocr_endpoint", &self.ocr_endpoint),
            ("asr_endpoint", &self.asr_endpoint),
        ] {
            if !endpoint.parse::<Uri>().is_ok_and(|uri| uri.scheme().is_some()) {
                let problem = "must be \"http://HOST:PORT\" or \"https://HOST:PORT\"";
                return Err(checks.invalid(key, problem));
            }
        }
        checks.model("embedding_model", &self.embedding_model, "all-minilm-l6-v2")?;
        checks.model("rerank_model", &self.rerank_model, "bge-reranker-v2-m3")?;
        Hosts::parse(&self.uri_hosts, self.uri_http)
            .map_err(|wrong| checks.invalid("uri_hosts", wrong.to_string()))?;
        checks.seconds([
            ("uri_timeout", self.uri_timeout),
            ("stream_idle", self.stream_idle),
            ("operation_retention", self.operation_retention),
        ])?;
        checks.positive("max_streams", self.max_streams)?;
        checks.positive("max_documents", self.max_documents)?;
        checks.positive("max_operations", self.max_operations)
    }

    /// The first key whose value the store cannot be opened with, named within `[rag]`, and why.
    pub(crate) fn fault(&self) -> Option<(&'static str, String)> {
        let url = self.ledger_url.as_ref().map(|url| url.expose().as_str());
        let shared = url.is_some_and(is_server);
        if url.is_some() && !shared {
            // The value may hold a password: it is not repeated.
            let text = "must be unset (SQLite in rag.data_dir) or begin with \"postgres://\"";
            return Some(("ledger_url", text.to_owned()));
        }
        if !(1..=MOST_REPLICAS).contains(&self.replicas) {
            return Some(("replicas", format!("must be 1 to {MOST_REPLICAS}")));
        }
        if self.replica >= self.replicas {
            let most = self.replicas - 1;
            let text = format!("must be 0 to {most}, for rag.replicas says how many there are");
            return Some(("replica", text));
        }
        if self.replicas > 1 && !shared {
            let text = "must be 1 unless rag.ledger_url names a PostgreSQL that they share".to_owned();
            return Some(("replicas", text));
        }
        if !(1..=MOST_OPEN).contains(&self.open_spaces) {
            return Some(("open_spaces", format!("must be 1 to {MOST_OPEN}")));
        }
        if self.max_document_bytes.bytes() == 0 {
            return Some(("max_document_bytes", "must be at least 1B".to_owned()));
        }
        self.answer
            .fault()
            .or_else(|| self.dense.fault())
            .or_else(|| self.lexical.fault())
    }

    /// Another service runs in this process, here; an address that the configuration gives stays.
    pub(crate) fn find_at(&mut self, service: &str, addr: SocketAddr) {
        let defaults = Self::default();
        let (own, default) = match service {
            "llm-proxy" => (&mut self.llm_endpoint, defaults.llm_endpoint),
            "ocr" => (&mut self.ocr_endpoint, defaults.ocr_endpoint),
            "asr" => (&mut self.asr_endpoint, defaults.asr_endpoint),
            _ => return,
        };
        if *own == default {
            *own = format!("http://{addr}");
        }
    }

    /// Searches at once.
    pub fn searches(&self) -> usize {
        or_each_core(self.searches, 2)
    }

    /// The file of the classifier of documents' kinds, which need not be there.
    ///
    /// # Errors
    /// As [`folder`](Self::folder).
    pub fn classifier(&self) -> Result<PathBuf, (&'static str, String)> {
        if self.classifier.as_os_str().is_empty() {
            self.folder().map(|folder| folder.join("classifier.json"))
        } else {
            Ok(self.classifier.clone())
        }
    }

    /// Documents that are read at once.
    pub fn workers(&self) -> usize {
        if self.workers == 0 {
            let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
            (cores / 2).max(1)
        } else {
            self.workers
        }
    }

    /// The folder of the data.
    ///
    /// # Errors
    /// When none is set and no home says where it would be.
    pub fn folder(&self) -> Result<PathBuf, (&'static str, String)> {
        if !self.data_dir.as_os_str().is_empty() {
            return Ok(self.data_dir.clone());
        }
        let home = data_dir(|name| std::env::var_os(name));
        home.map(|home| home.join("rag")).ok_or_else(|| {
            let text = "is not set, and no home says where documents are kept".to_owned();
            ("data_dir", text)
        })
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server: ServerConfig::default(),
            data_dir: PathBuf::new(),
            ledger_url: None,
            min_free: ByteSize::mib(256),
            max_document_bytes: ByteSize::mib(64),
            workers: 0,
            max_waiting: 100_000,
            open_spaces: 256,
            replicas: 1,
            replica: 0,
            embedding_model: String::new(),
            rerank_model: String::new(),
            preload: false,
            llm_endpoint: "http://127.0.0.1:7004".to_owned(),
            ocr_endpoint: "http://127.0.0.1:7006".to_owned(),
            asr_endpoint: "http://127.0.0.1:7001".to_owned(),
            read_patience: HumanDuration::from_secs(600),
            channel: ChannelConfig::default(),
            uri_hosts: Vec::new(),
            uri_http: false,
            uri_timeout: HumanDuration::from_secs(60),
            doc_types: Vec::new(),
            classifier: PathBuf::new(),
            max_streams: 128,
            searches: 0,
            max_queue: 256,
            stream_idle: HumanDuration::from_secs(60),
            max_documents: 1_000,
            max_operations: 10_000,
            operation_retention: HumanDuration::from_secs(3_600),
            answer: AnswerConfig::default(),
            dense: DenseConfig::default(),
            lexical: LexicalConfig::default(),
            models: ModelsConfig::default(),
            inference: InferenceConfig::default(),
            jobs: JobsConfig::default(),
        }
    }
}
