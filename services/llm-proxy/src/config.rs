//! The keys of the proxy: `[llm-proxy]`, and the sections it shares with the rest of the mesh, `[models]` and
//! `[inference]`, for the encoders that run here.

pub mod upstream;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use polyphony_chassis::Checks;
use polyphony_chassis::config::ServerConfig;
use polyphony_config::{ByteSize, HumanDuration, Layers};
use polyphony_inference::InferenceConfig;
use polyphony_models::ModelsConfig;
use serde::{Deserialize, Serialize};

pub use upstream::{Kind, UpstreamConfig};

/// All that the proxy is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where and how gRPC is served. Default: 127.0.0.1:7004, admin 127.0.0.1:8004.
    pub server: ServerConfig,
    /// `[llm-proxy.http]`: the OpenAI-compatible door.
    pub http: HttpConfig,
    /// The model for requests that name none. Empty, the default: the first that chats, by its name.
    pub default_model: String,
    /// The longest that one answer may take, from the request to its end; a shorter deadline of the caller is kept.
    /// Default: 4 min.
    pub timeout: HumanDuration,
    /// An upstream that is silent for so long in the middle of an answer has failed. Default: 1 min.
    pub idle_timeout: HumanDuration,
    /// How an upstream is chosen where several have the model. Default: "least-load".
    pub policy: Policy,
    /// Answers at once, over all upstreams; one more is refused. Default: 1024.
    pub max_streams: usize,
    /// The most that is read of one answer. Default: 16 MiB.
    pub max_answer: ByteSize,
    /// Requests at once for encoders that run here. 0, the default: one for each core.
    pub workers: usize,
    /// Requests that wait for those; one more is refused. Default: 64.
    pub max_queue: usize,
    /// Look for servers on well-known ports of this machine. Default: true.
    pub discover: bool,
    /// `[llm-proxy.upstreams.NAME]`: the servers.
    pub upstreams: BTreeMap<String, UpstreamConfig>,
    /// `[[llm-proxy.aliases]]`: other names of models; the first that fits is taken.
    pub aliases: Vec<AliasConfig>,
    /// `[llm-proxy.retry]`: trying again before the first token.
    pub retry: RetryConfig,
    /// `[llm-proxy.breaker]`: upstreams that keep failing rest.
    pub breaker: BreakerConfig,
    /// `[llm-proxy.health]`: how upstreams are looked at.
    pub health: HealthConfig,
    /// `[llm-proxy.cache]`: answers that are given again.
    pub cache: CacheConfig,
    /// `[llm-proxy.keys]`: who may call the HTTP door, and how much.
    pub keys: KeysConfig,
    /// `[models]`: where models lie.
    #[serde(skip)]
    pub models: ModelsConfig,
    /// `[inference]`: where ONNX Runtime lies, and which device runs it.
    #[serde(skip)]
    pub inference: InferenceConfig,
}

/// The OpenAI-compatible door.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// Where it listens; "" serves gRPC alone. Default: 127.0.0.1:9004.
    pub listen: String,
    /// The largest body of a request. Default: 32 MiB, for images come within.
    pub max_body: ByteSize,
    /// Let anyone in who reaches an address beyond loopback. Default: false, which wants `keys.file` there.
    pub allow_anonymous: bool,
}

/// How an upstream is chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// The one with the smallest share of its places taken.
    #[default]
    LeastLoad,
    /// The one that has seen the beginning of the conversation, unless it is much busier.
    PrefixAffinity,
    /// The one that the session's key hashes to.
    Session,
    /// Each in turn.
    RoundRobin,
}

/// Another name of a model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AliasConfig {
    /// The name that is asked for; one `*` stands for any text.
    pub name: String,
    /// The model that is meant; a `*` is what that of `name` stood for.
    pub model: String,
    /// "always", or "unavailable": only while no upstream that answers has the name itself. Default: "always".
    pub when: When,
}

/// When an alias holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// The name is never looked for itself.
    #[default]
    Always,
    /// While no upstream that answers has the name.
    Unavailable,
}

/// Trying again before the first token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryConfig {
    /// Tries of one request, the first included, 1 to 10. Default: 3.
    pub attempts: u32,
    /// The pause before the second try, half of it by chance; doubled before each later one. Default: 50 ms.
    pub backoff: HumanDuration,
    /// The longest pause, which is also the longest that an upstream's Retry-After is waited for. Default: 2 s.
    pub max_backoff: HumanDuration,
    /// Retries for each request, 0 to 1: what keeps retries from doubling the load on servers that fail. Default: 0.2.
    pub budget: f64,
    /// Send a second request elsewhere when no token came within this; the first to answer is kept. "0", the default:
    /// never.
    pub hedge_after: HumanDuration,
}

/// When an upstream rests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BreakerConfig {
    /// Failures in a row; 0: never. Default: 5.
    pub failures: u32,
    /// For how long the first time; then one request tries it, and each failure doubles the rest. Default: 5 s.
    pub rest: HumanDuration,
    /// The longest. Default: 1 min.
    pub max_rest: HumanDuration,
}

/// How upstreams are looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HealthConfig {
    /// How often. Default: 5 s.
    pub interval: HumanDuration,
    /// How long each look may take. Default: 2 s.
    pub timeout: HumanDuration,
}

/// Answers that are given again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheConfig {
    /// Keep answers to requests at temperature 0, and to those that ask for it. Default: false.
    pub enabled: bool,
    /// For how long. Default: 10 min.
    pub ttl: HumanDuration,
    /// How much in all. Default: 64 MiB.
    pub max_size: ByteSize,
}

/// Who may call, and how much.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeysConfig {
    /// TOML file of keys. None, the default: the HTTP door asks for none.
    pub file: Option<PathBuf>,
    /// Where usage is kept over restarts. None: `llm-proxy/usage.json` in the data folder, once there are keys.
    pub usage_file: Option<PathBuf>,
}

// === impl Config ===

impl Config {
    /// Reads the sections.
    ///
    /// # Errors
    /// The first key that is unknown or whose value cannot be used.
    pub fn read(layers: &Layers) -> Result<Self, polyphony_config::Error> {
        let mut config: Self = layers.section("llm-proxy")?;
        config.models = layers.section("models")?;
        config.inference = layers.section("inference")?;
        config.check(layers)?;
        Ok(config)
    }

    /// Rules that types cannot express.
    ///
    /// # Errors
    /// The first key whose value cannot be used.
    pub fn check(&self, layers: &Layers) -> Result<(), polyphony_config::Error> {
        let checks = Checks::of(layers, "llm-proxy");
        for (key, value) in [
            ("timeout", self.timeout),
            ("idle_timeout", self.idle_timeout),
            ("health.interval", self.health.interval),
            ("health.timeout", self.health.timeout),
            ("breaker.rest", self.breaker.rest),
        ] {
            if value.get() < Duration::from_millis(10) {
                return Err(checks.invalid(key, "must be at least 10ms"));
            }
        }
        if !(1..=10).contains(&self.retry.attempts) {
            return Err(checks.invalid("retry.attempts", "must be 1 to 10"));
        }
        if !(0.0..=1.0).contains(&self.retry.budget) {
            return Err(checks.invalid("retry.budget", "must be 0 to 1"));
        }
        checks.positive("max_streams", self.max_streams)?;
        checks.positive("max_answer", self.max_answer.as_usize())?;
        for (name, upstream) in &self.upstreams {
            if let Err((key, message)) = upstream.check(name) {
                return Err(checks.invalid(&format!("upstreams.{name}.{key}"), message));
            }
        }
        for (at, alias) in self.aliases.iter().enumerate() {
            let stars = |text: &str| text.matches('*').count();
            if alias.name.is_empty() || stars(&alias.name) > 1 {
                let message = "must be a name with at most one \"*\", as \"*-awq\"";
                return Err(checks.invalid(&format!("aliases.{at}.name"), message));
            }
            if alias.model.is_empty() || stars(&alias.model) > stars(&alias.name) {
                let message = "must be a name, with a \"*\" only where `name` has one";
                return Err(checks.invalid(&format!("aliases.{at}.model"), message));
            }
        }
        let address = self.http.address();
        let address = address.map_err(|message| checks.invalid("http.listen", message))?;
        let beyond = address.filter(|address| !address.ip().is_loopback());
        match beyond {
            Some(address) if !self.http.allow_anonymous && self.keys.file.is_none() => {
                let message = format!(
                    "lets in whoever reaches {address}; set keys.file, or http.allow_anonymous = true"
                );
                Err(checks.invalid("http.listen", message))
            }
            _ => Ok(()),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server: ServerConfig::default(),
            http: HttpConfig::default(),
            default_model: String::new(),
            timeout: HumanDuration::from_secs(240),
            idle_timeout: HumanDuration::from_secs(60),
            policy: Policy::default(),
            max_streams: 1024,
            max_answer: ByteSize::mib(16),
            workers: 0,
            max_queue: 64,
            discover: true,
            upstreams: BTreeMap::new(),
            aliases: Vec::new(),
            retry: RetryConfig::default(),
            breaker: BreakerConfig::default(),
            health: HealthConfig::default(),
            cache: CacheConfig::default(),
            keys: KeysConfig::default(),
            models: ModelsConfig::default(),
            inference: InferenceConfig::default(),
        }
    }
}

// === impl HttpConfig ===

impl HttpConfig {
    /// Where to listen; none: nowhere.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn address(&self) -> Result<Option<SocketAddr>, String> {
        if self.listen.is_empty() {
            return Ok(None);
        }
        let parsed = self.listen.parse().map(Some);
        parsed.map_err(|_| "must be an address as \"127.0.0.1:9004\", or \"\" for none".to_owned())
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9004)).to_string(),
            max_body: ByteSize::mib(32),
            allow_anonymous: false,
        }
    }
}

// === impl RetryConfig ===

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            attempts: 3,
            backoff: HumanDuration::from_millis(50),
            max_backoff: HumanDuration::from_secs(2),
            budget: 0.2,
            hedge_after: HumanDuration::default(),
        }
    }
}

// === impl BreakerConfig ===

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            failures: 5,
            rest: HumanDuration::from_secs(5),
            max_rest: HumanDuration::from_secs(60),
        }
    }
}

// === impl HealthConfig ===

impl Default for HealthConfig {
    fn default() -> Self {
        Self {
            interval: HumanDuration::from_secs(5),
            timeout: HumanDuration::from_secs(2),
        }
    }
}

// === impl CacheConfig ===

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            ttl: HumanDuration::from_secs(600),
            max_size: ByteSize::mib(64),
        }
    }
}
