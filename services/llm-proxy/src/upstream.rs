//! One server of models: where it is, its connections, its places, its breaker, and how it was last seen.

mod breaker;
mod client;
mod lane;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::HeaderValue;

use crate::config::{BreakerConfig, Kind, UpstreamConfig};
pub(crate) use breaker::{Breaker, Circuit, Pass};
pub use client::SetupError;
pub(crate) use client::{Outgoing, roots};
pub(crate) use lane::{Full, Lane, Place, Queued};

/// One server.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) name: Arc<str>,
    pub(crate) kind: Kind,
    pub(crate) config: UpstreamConfig,
    pub(crate) lane: Lane,
    pub(crate) breaker: Breaker,
    scheme: http::uri::Scheme,
    authority: http::uri::Authority,
    path: String,
    authorization: Option<HeaderValue>,
    client: client::Client,
    seen: ArcSwap<Seen>,
    /// It asked not to be asked again before then.
    paused: Mutex<Option<Instant>>,
    /// Models that are being loaded at our wish.
    warming: Mutex<HashSet<String>>,
    /// Models that were looked at closely, by name and digest.
    known: Mutex<HashMap<String, Model>>,
}

/// How it was last seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) sight: Sight,
    /// How often in a row it was not well.
    pub(crate) misses: u32,
    /// Since when it has not been well.
    pub(crate) unwell_since: Option<Instant>,
}

/// What a look at it shows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sight {
    pub(crate) health: Health,
    /// Why, for a person.
    pub(crate) message: String,
    pub(crate) models: Vec<Model>,
    pub(crate) load: Load,
    pub(crate) version: Option<String>,
    /// The models in its memory, where it loads them by itself.
    pub(crate) loaded: Option<Vec<String>>,
}

/// Whether it is well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Health {
    /// Nobody has looked.
    #[default]
    Unknown,
    /// It answers.
    Healthy,
    /// It loads a model.
    Loading,
    /// It does not answer.
    Unhealthy,
}

/// How busy it is, as it says itself.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Load {
    pub(crate) running: Option<f32>,
    pub(crate) waiting: Option<f32>,
    /// The share of its KV cache in use.
    pub(crate) kv_cache: Option<f32>,
}

/// One of its models, by the name it has there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) id: String,
    /// Empty: not known.
    pub(crate) kinds: Vec<ModelKind>,
    /// 0: not known.
    pub(crate) context_length: u32,
    /// 0: not known.
    pub(crate) dimensions: u32,
    pub(crate) vision: Option<bool>,
    pub(crate) tools: Option<bool>,
}

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ModelKind {
    Chat,
    Embedding,
    Rerank,
}

/// It is not taken for unwell before it missed so many looks in a row.
const MISSES: u32 = 2;

// === impl Upstream ===

impl Upstream {
    /// An upstream nobody has looked at. Opens no connection.
    ///
    /// # Errors
    /// When its url, key or authorities cannot be used.
    pub(crate) fn new(
        name: &str,
        config: UpstreamConfig,
        breaker: &BreakerConfig,
    ) -> Result<Self, SetupError> {
        let (scheme, authority, path) = config.base().map_err(SetupError::Url)?;
        Ok(Self {
            name: name.into(),
            kind: config.kind,
            lane: Lane::new(config.max_in_flight, config.max_queue),
            breaker: Breaker::new(breaker.clone()),
            scheme,
            authority,
            path,
            authorization: client::authorization(&config)?,
            client: client::build(&config)?,
            seen: ArcSwap::default(),
            paused: Mutex::default(),
            known: Mutex::default(),
            warming: Mutex::default(),
            config,
        })
    }

    /// How it was last seen.
    pub(crate) fn seen(&self) -> Arc<Seen> {
        self.seen.load_full()
    }

    /// It was looked at. One miss leaves it as it was.
    pub(crate) fn saw(&self, sight: Sight) {
        let before = self.seen();
        let is_well = sight.health == Health::Healthy;
        let misses = if is_well { 0 } else { before.misses + 1 };
        let was_well = before.sight.health == Health::Healthy;
        if was_well && !is_well && misses < MISSES {
            self.seen.store(Arc::new(Seen {
                misses,
                ..(*before).clone()
            }));
            return;
        }
        if before.sight.health != sight.health {
            let (upstream, health, why) = (&*self.name, sight.health, &*sight.message);
            if is_well {
                tracing::info!(upstream, models = sight.models.len(), "upstream answers");
            } else {
                tracing::warn!(upstream, ?health, why, "upstream does not take requests");
            }
        }
        let unwell_since = (!is_well).then(|| before.unwell_since.unwrap_or_else(Instant::now));
        // What it had it will most likely have again; so a model whose upstream is down is not unknown.
        let models = if is_well {
            sight.models
        } else {
            before.sight.models.clone()
        };
        self.seen.store(Arc::new(Seen {
            sight: Sight { models, ..sight },
            misses,
            unwell_since,
        }));
    }

    /// What it calls the model that is named `model` here; none: it does not have it.
    pub(crate) fn calls(&self, model: &str) -> Option<String> {
        if let Some(there) = self.config.rename.get(model) {
            return Some(there.clone());
        }
        let is = |id: &str| {
            id == model || (self.kind == Kind::Ollama && id.strip_suffix(":latest") == Some(model))
        };
        if !self.config.models.is_empty() {
            return self.config.models.iter().find(|id| is(id)).cloned();
        }
        let seen = self.seen();
        seen.sight
            .models
            .iter()
            .find(|listed| is(&listed.id))
            .map(|listed| listed.id.clone())
    }

    /// The names by which its models are asked for here, and what is known of each.
    pub(crate) fn offers(&self) -> Vec<(String, Model)> {
        let seen = self.seen();
        let known = |id: &str| {
            let listed = seen.sight.models.iter().find(|model| model.id == id);
            listed.cloned().unwrap_or_else(|| Model::new(id))
        };
        let own: Vec<String> = if self.config.models.is_empty() {
            seen.sight.models.iter().map(|model| model.id.clone()).collect()
        } else {
            self.config.models.clone()
        };
        let renamed = self
            .config
            .rename
            .iter()
            .map(|(here, there)| (here.clone(), known(there)));
        own.into_iter()
            .map(|id| (id.clone(), known(&id)))
            .chain(renamed)
            .collect()
    }

    /// Whether requests go to it now, and why not.
    pub(crate) fn takes_requests(&self, now: Instant) -> Result<(), String> {
        let seen = self.seen();
        match seen.sight.health {
            Health::Healthy | Health::Unknown => {}
            Health::Loading => return Err(format!("{} is loading a model", self.name)),
            Health::Unhealthy => {
                return Err(format!("{} does not answer ({})", self.name, seen.sight.message));
            }
        }
        if let Circuit::Open(left) = self.breaker.circuit(now) {
            return Err(format!(
                "{} failed too often and rests for {:.0?}",
                self.name, left
            ));
        }
        Ok(())
    }

    /// It asked to be left alone for so long.
    pub(crate) fn pause(&self, time: Duration) {
        *self.paused.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + time);
    }

    /// Whether it asked to be left alone.
    pub(crate) fn is_paused(&self, now: Instant) -> bool {
        self.paused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some_and(|until| now < until)
    }

    /// The share of its places that is taken, with those who wait for one here and, as it says itself, there.
    pub(crate) fn share(&self) -> f64 {
        let (taken, queued) = self.lane.load();
        let waiting = self.seen.load().sight.load.waiting.unwrap_or(0.0);
        (taken as f64 + queued as f64 + f64::from(waiting)) / self.lane.most() as f64
    }

    /// Its port, if it is on this machine.
    pub(crate) fn loopback_port(&self) -> Option<u16> {
        let host = self.authority.host();
        let is_here = host == "localhost"
            || host
                .trim_matches(['[', ']'])
                .parse::<IpAddr>()
                .is_ok_and(|ip| ip.is_loopback());
        self.authority.port_u16().filter(|_| is_here)
    }

    /// A model is about to be loaded. False: it is being loaded already.
    pub(crate) fn begins_warming(&self, model: &str) -> bool {
        let mut warming = self.warming.lock().unwrap_or_else(PoisonError::into_inner);
        warming.insert(model.to_owned())
    }

    /// A model was loaded, or could not be.
    pub(crate) fn has_warmed(&self, model: &str) {
        self.warming
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(model);
    }

    /// A model that was looked at closely before.
    pub(crate) fn known_model(&self, digest: &str) -> Option<Model> {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(digest)
            .cloned()
    }

    /// A model was looked at closely.
    pub(crate) fn know_model(&self, digest: String, model: Model) {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(digest, model);
    }
}

// === impl Sight ===

impl Sight {
    /// It is well and has these.
    pub(crate) fn healthy(models: Vec<Model>) -> Self {
        Self {
            health: Health::Healthy,
            models,
            ..Self::default()
        }
    }
}

// === impl Model ===

impl Model {
    /// A model of which only the name is known.
    pub(crate) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            kinds: Vec::new(),
            context_length: 0,
            dimensions: 0,
            vision: None,
            tools: None,
        }
    }

    /// Whether it may be asked for this: it is for it, or nobody knows.
    pub(crate) fn may(&self, kind: ModelKind) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }
}
