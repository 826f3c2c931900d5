//! The look at upstreams: a task for each that asks it every so often how it is, and one that looks for new ones on this
//! machine.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::config::Kind;
use crate::dialect::discover::discover;
use crate::dialect::{self, Probe};
use crate::metrics;
use crate::proxy::Proxy;
use crate::upstream::{Health, Upstream};

/// How often this machine is looked over.
const DISCOVERY: Duration = Duration::from_secs(15);
/// A server that was found and has not been well for so long is gone.
const GONE: Duration = Duration::from_secs(60);
/// Loading a model may take so long.
const WARMING: Duration = Duration::from_secs(600);
/// What names of servers that were found begin with.
const FOUND: &str = "local-";

/// Looks once at all upstreams, and for new ones; for the start.
pub(crate) async fn first(proxy: &Proxy, own_ports: &[u16]) {
    if proxy.config.discover {
        find(proxy, own_ports).await;
    }
    let all = proxy.fleet.all();
    let looks = all.iter().map(|upstream| look(proxy, upstream));
    futures_util::future::join_all(looks).await;
}

/// Looks again and again, as long as it is polled.
pub(crate) async fn forever(proxy: Arc<Proxy>, own_ports: Vec<u16>) {
    let interval = proxy.config.health.interval.get();
    let mut discovery = Instant::now() + DISCOVERY;
    let mut looks = JoinSet::new();
    loop {
        // Spread, so that the looks of many proxies do not fall together.
        sleep(interval.mul_f64(0.9 + fastrand::f64() * 0.2)).await;
        if proxy.config.discover && Instant::now() >= discovery {
            find(&proxy, &own_ports).await;
            discovery = Instant::now() + DISCOVERY;
        }
        for upstream in proxy.fleet.all().iter() {
            let (proxy, upstream) = (Arc::clone(&proxy), Arc::clone(upstream));
            looks.spawn(async move { look(&proxy, &upstream).await });
        }
        let end = Instant::now() + interval.max(proxy.config.health.timeout.get() * 4);
        tokio::select! {
            () = async { while looks.join_next().await.is_some() {} } => {}
            // One that hangs does not keep the others from being looked at.
            () = sleep_until(end) => looks.abort_all(),
        }
    }
}

async fn look(proxy: &Proxy, upstream: &Arc<Upstream>) {
    let probe = Probe {
        upstream,
        patience: proxy.config.health.timeout.get(),
    };
    let sight = dialect::look(probe).await;
    let was_well = upstream.seen().sight.health == Health::Healthy;
    let is_well = sight.health == Health::Healthy;
    let cold: Vec<String> = match &sight.loaded {
        Some(loaded) => {
            let warm = upstream.config.warm.iter();
            warm.filter(|model| {
                !loaded
                    .iter()
                    .any(|one| one == *model || one.strip_suffix(":latest") == Some(model))
            })
            .cloned()
            .collect()
        }
        None if !was_well => upstream.config.warm.clone(),
        None => Vec::new(),
    };
    upstream.saw(sight);
    metrics::stands(upstream);
    if is_well {
        for model in cold.into_iter().filter(|model| upstream.begins_warming(model)) {
            let upstream = Arc::clone(upstream);
            tokio::spawn(async move {
                warm(&upstream, &model).await;
                upstream.has_warmed(&model);
            });
        }
    }
}

/// Has a model loaded, by asking for nothing (Ollama) or for one token.
async fn warm(upstream: &Upstream, model: &str) {
    let keep_alive = format!("{}s", upstream.config.keep_alive.get().as_secs());
    let (path, question) = match upstream.kind {
        Kind::Ollama => ("/api/generate", json!({"model": model, "keep_alive": keep_alive})),
        _ => (
            dialect::chat::PATH,
            json!({"model": model, "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}]}),
        ),
    };
    let probe = Probe {
        upstream,
        patience: WARMING,
    };
    let name = &*upstream.name;
    match timeout(WARMING, probe.post(path, &question)).await {
        Ok(Ok(_)) => tracing::info!(upstream = name, model, "model is warm"),
        other => tracing::warn!(upstream = name, model, ?other, "model cannot be warmed up"),
    }
}

/// Adds servers that were found, and drops those that are gone.
async fn find(proxy: &Proxy, own_ports: &[u16]) {
    let all = proxy.fleet.all();
    let is_gone = |upstream: &Upstream| {
        let since = upstream.seen().unwell_since;
        upstream.name.starts_with(FOUND)
            && !proxy.config.upstreams.contains_key(&*upstream.name)
            && since.is_some_and(|since| since.elapsed() > GONE)
    };
    let mut next: Vec<_> = all
        .iter()
        .filter(|upstream| !is_gone(upstream))
        .cloned()
        .collect();
    // Ports of loopback that are known already are not asked again.
    let known = next.iter().filter_map(|upstream| upstream.loopback_port());
    let taken: Vec<u16> = known.chain(own_ports.iter().copied()).collect();
    for (name, config) in discover(&taken).await {
        match Upstream::new(&name, config, &proxy.config.breaker) {
            Ok(upstream) => {
                tracing::info!(
                    upstream = name,
                    url = upstream.config.url,
                    "found a server of language models"
                );
                next.push(Arc::new(upstream));
            }
            Err(error) => {
                tracing::warn!(upstream = name, error = %polyphony_error::chain(&error), "cannot be used")
            }
        }
    }
    if next.len() != all.len()
        || next
            .iter()
            .zip(all.iter())
            .any(|(one, other)| !Arc::ptr_eq(one, other))
    {
        proxy.fleet.replace(next);
    }
}
