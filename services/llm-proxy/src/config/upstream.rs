//! The keys of one upstream: `[llm-proxy.upstreams.NAME]`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use http::uri::Scheme;
use polyphony_config::{HumanDuration, Secret};
use serde::{Deserialize, Serialize};

/// One server of models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamConfig {
    /// Where it is, as "http://gpu-box:8000"; a path at its end stands before all others. A final "/v1" is left out.
    pub url: String,
    /// The dialect it speaks.
    pub kind: Kind,
    /// Sent as a bearer token. Or `api_key_file`, or `api_key_env`.
    pub api_key: Option<Secret<String>>,
    /// The environment variable that holds the key, where `api_key` is unset.
    pub api_key_env: Option<String>,
    /// PEM file of the authorities that are trusted for `https`. None: those of the system.
    pub ca: Option<PathBuf>,
    /// Requests that it gets at once, which is what protects its memory. Default: 64.
    pub max_in_flight: usize,
    /// Requests that wait here for a place; one more is refused. Default: 256.
    pub max_queue: usize,
    /// How long it may take to accept a connection. Default: 5 s.
    pub connect_timeout: HumanDuration,
    /// Its models. Empty, the default: as it lists them itself.
    pub models: Vec<String>,
    /// Names here of its models, and what it calls them.
    pub rename: BTreeMap<String, String>,
    /// Fields that it honours beyond its dialect, as "top_k".
    pub extra_fields: Vec<String>,
    /// What is asked for its health, as "/health". Empty, the default: what its dialect has.
    pub health_path: String,
    /// Models that it is to have loaded before the first request, and again when it has dropped them.
    pub warm: Vec<String>,
    /// How long it keeps a warm model that nobody asks for, where its dialect can be told: Ollama. Default: 30 min.
    pub keep_alive: HumanDuration,
}

/// The dialects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// vLLM.
    Vllm,
    /// Text Generation Inference.
    Tgi,
    /// Ollama.
    Ollama,
    /// llama.cpp's llama-server.
    LlamaCpp,
    /// SGLang.
    Sglang,
    /// Any other that has OpenAI's API.
    #[default]
    Openai,
}

// === impl UpstreamConfig ===

impl UpstreamConfig {
    /// An upstream at `url` with the defaults.
    pub fn new(url: impl Into<String>, kind: Kind) -> Self {
        Self {
            url: url.into(),
            kind,
            ..Self::default()
        }
    }

    /// Scheme and authority, and what stands before each path.
    ///
    /// # Errors
    /// What is wrong with `url`.
    pub fn base(&self) -> Result<(Scheme, http::uri::Authority, String), String> {
        let wrong = || "must be http:// or https:// with a host, as \"http://127.0.0.1:8000\"".to_owned();
        let uri: http::Uri = self.url.parse().map_err(|_| wrong())?;
        let parts = uri.into_parts();
        let scheme = parts
            .scheme
            .filter(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
        let (Some(scheme), Some(authority)) = (scheme, parts.authority) else {
            return Err(wrong());
        };
        if authority.as_str().contains('@') {
            return Err("must not hold a password; give it as api_key_file".to_owned());
        }
        let path = parts
            .path_and_query
            .map_or_else(String::new, |path| path.path().to_owned());
        let path = path.trim_end_matches('/');
        let path = path.strip_suffix("/v1").unwrap_or(path);
        Ok((scheme, authority, path.to_owned()))
    }

    /// Rules that types cannot express: the key, and what is wrong with it.
    pub(super) fn check(&self, name: &str) -> Result<(), (&'static str, String)> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || !name.chars().all(plain) {
            return Err(("url", "belongs to an upstream whose name has other characters than letters, digits, \"-\", \"_\" and \".\"".to_owned()));
        }
        self.base().map_err(|message| ("url", message))?;
        if self.max_in_flight == 0 {
            return Err(("max_in_flight", "must be at least 1".to_owned()));
        }
        if !self.health_path.is_empty() && !self.health_path.starts_with('/') {
            return Err(("health_path", "must begin with \"/\"".to_owned()));
        }
        Ok(())
    }
}

impl Default for UpstreamConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            kind: Kind::default(),
            api_key: None,
            api_key_env: None,
            ca: None,
            max_in_flight: 64,
            max_queue: 256,
            connect_timeout: HumanDuration::from_secs(5),
            models: Vec::new(),
            rename: BTreeMap::new(),
            extra_fields: Vec::new(),
            health_path: String::new(),
            warm: Vec::new(),
            keep_alive: HumanDuration::from_secs(1800),
        }
    }
}

// === impl Kind ===

impl Kind {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vllm => "vllm",
            Self::Tgi => "tgi",
            Self::Ollama => "ollama",
            Self::LlamaCpp => "llama-cpp",
            Self::Sglang => "sglang",
            Self::Openai => "openai",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
