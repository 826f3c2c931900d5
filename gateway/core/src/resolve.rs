//! From what is written to what is meant: [`MeshConfig`] into [`Mesh`], with every rule checked once.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use polyphony_config::HumanDuration;

use crate::header::is_header_name;
use crate::{
    Balance, BalanceConfig, Cluster, ClusterConfig, Endpoint, EndpointConfig, Error, HealthCheck,
    HealthCheckConfig, Mesh, MeshConfig, OutlierConfig, OutlierPolicy, Route, RouteConfig, RouteTable, Rule,
    Timeouts, TlsConfig, UpstreamTls,
};

/// The largest weight; more would only make the schedule of round robin longer.
const MAX_WEIGHT: u32 = 128;

// === impl MeshConfig ===

impl MeshConfig {
    /// Checks everything and returns the mesh. `timeouts` are those of routes which set none themselves; `unary` are
    /// the paths of methods known to be unary.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, with its key and the remedy.
    pub fn resolve(&self, timeouts: Timeouts, unary: HashSet<Box<str>>) -> Result<Mesh, Error> {
        let clusters = self.clusters.iter().map(|(name, config)| cluster(name, config));
        let clusters = clusters.collect::<Result<Vec<_>, _>>()?;
        let routes = self
            .routes
            .iter()
            .map(|config| route(config, timeouts, &self.clusters));
        let routes = RouteTable::new(routes.collect::<Result<Vec<_>, _>>()?)?;
        Ok(Mesh {
            clusters,
            routes,
            unary,
        })
    }
}

fn cluster(name: &str, config: &ClusterConfig) -> Result<Cluster, Error> {
    let ClusterConfig {
        endpoints,
        balance,
        hash_header,
        connect_timeout,
        max_requests,
        max_pending,
        max_connections,
        health_check,
        outlier,
        tls,
    } = config;
    let wrong = |key, message| Error::OutOfRange {
        cluster: name.to_owned(),
        key,
        message,
    };
    if name.is_empty() || name.len() > 128 {
        return Err(wrong("name", "a name has 1 to 128 bytes"));
    }
    if connect_timeout.get().is_zero() {
        return Err(wrong("connect_timeout", "must be longer than 0"));
    }
    if *max_requests == 0 {
        return Err(wrong("max_requests", "must be at least 1"));
    }
    if !(1..=64).contains(max_connections) {
        return Err(wrong("max_connections", "must be 1 to 64"));
    }
    let balance = match balance {
        BalanceConfig::RoundRobin => Balance::RoundRobin,
        BalanceConfig::LeastRequest => Balance::LeastRequest,
        BalanceConfig::RingHash => {
            if !is_header_name(hash_header) {
                return Err(wrong(
                    "hash_header",
                    "must be the name of a header, as x-session-affinity",
                ));
            }
            Balance::RingHash {
                header: hash_header.to_ascii_lowercase(),
            }
        }
    };
    Ok(Cluster {
        name: name.to_owned(),
        endpoints: resolve_endpoints(name, endpoints)?,
        balance,
        connect_timeout: connect_timeout.get(),
        max_requests: *max_requests,
        max_pending: *max_pending,
        max_connections: *max_connections,
        health_check: resolve_health_check(health_check, &wrong)?,
        outlier: resolve_outlier(outlier, &wrong)?,
        tls: tls.as_ref().map(|tls| resolve_tls(tls, &wrong)).transpose()?,
    })
}

fn resolve_endpoints(cluster: &str, configs: &[EndpointConfig]) -> Result<Vec<Endpoint>, Error> {
    let mut seen = HashSet::new();
    let mut endpoints = Vec::with_capacity(configs.len());
    for EndpointConfig { address, weight } in configs {
        let parsed: crate::Address = address.parse().map_err(|_| Error::InvalidAddress {
            cluster: cluster.to_owned(),
            address: address.clone(),
        })?;
        if !(1..=MAX_WEIGHT).contains(weight) {
            return Err(Error::OutOfRange {
                cluster: cluster.to_owned(),
                key: "endpoints.weight",
                message: "must be 1 to 128",
            });
        }
        if !seen.insert(parsed.clone()) {
            return Err(Error::DuplicateEndpoint {
                cluster: cluster.to_owned(),
                address: parsed.to_string(),
            });
        }
        endpoints.push(Endpoint {
            address: parsed,
            weight: *weight,
        });
    }
    Ok(endpoints)
}

fn resolve_health_check(
    config: &HealthCheckConfig,
    wrong: &dyn Fn(&'static str, &'static str) -> Error,
) -> Result<Option<HealthCheck>, Error> {
    let HealthCheckConfig {
        enabled,
        interval,
        timeout,
        healthy_threshold,
        unhealthy_threshold,
        service,
    } = config;
    if !enabled {
        return Ok(None);
    }
    if interval.get() < Duration::from_millis(10) {
        return Err(wrong("health_check.interval", "must be at least 10ms"));
    }
    if timeout.get().is_zero() {
        return Err(wrong("health_check.timeout", "must be longer than 0"));
    }
    if *healthy_threshold == 0 || *unhealthy_threshold == 0 {
        return Err(wrong("health_check", "thresholds must be at least 1"));
    }
    Ok(Some(HealthCheck {
        interval: interval.get(),
        timeout: timeout.get(),
        healthy_threshold: *healthy_threshold,
        unhealthy_threshold: *unhealthy_threshold,
        service: service.clone(),
    }))
}

fn resolve_outlier(
    config: &OutlierConfig,
    wrong: &dyn Fn(&'static str, &'static str) -> Error,
) -> Result<Option<OutlierPolicy>, Error> {
    let OutlierConfig {
        consecutive_failures,
        base_ejection,
        max_ejection,
        max_ejected_percent,
    } = config;
    if *consecutive_failures == 0 {
        return Ok(None);
    }
    if base_ejection.get().is_zero() || max_ejection < base_ejection {
        return Err(wrong(
            "outlier",
            "base_ejection must be longer than 0 and max_ejection at least as long",
        ));
    }
    if *max_ejected_percent > 100 {
        return Err(wrong("outlier.max_ejected_percent", "must be 0 to 100"));
    }
    Ok(Some(OutlierPolicy {
        consecutive_failures: *consecutive_failures,
        base_ejection: base_ejection.get(),
        max_ejection: max_ejection.get(),
        max_ejected_percent: *max_ejected_percent,
    }))
}

fn resolve_tls(
    config: &TlsConfig,
    wrong: &dyn Fn(&'static str, &'static str) -> Error,
) -> Result<UpstreamTls, Error> {
    let TlsConfig {
        ca,
        server_name,
        cert,
        key,
    } = config;
    if ca.as_os_str().is_empty() {
        return Err(wrong(
            "tls.ca",
            "is needed: the PEM file of the authorities that sign the endpoints' certificates",
        ));
    }
    let identity = match (cert, key) {
        (Some(cert), Some(key)) => Some((cert.clone(), key.clone())),
        (None, None) => None,
        _ => return Err(wrong("tls", "cert and key come together; set both or neither")),
    };
    Ok(UpstreamTls {
        ca: ca.clone(),
        server_name: server_name.clone(),
        identity,
    })
}

fn route(
    config: &RouteConfig,
    timeouts: Timeouts,
    clusters: &BTreeMap<String, ClusterConfig>,
) -> Result<Route, Error> {
    let RouteConfig {
        service,
        method,
        header,
        cluster,
        max_timeout,
        default_timeout,
        idle_timeout,
        max_duration,
    } = config;
    let rule = Rule::parse(service, method.as_deref())?;
    let header = header.as_ref().map(|header| header.checked(&rule)).transpose()?;
    if !clusters.contains_key(cluster) {
        let known = clusters.keys().map(String::as_str).collect::<Vec<_>>();
        return Err(Error::UnknownCluster {
            rule: rule.to_string(),
            cluster: cluster.clone(),
            known: if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            },
        });
    }
    Ok(Route {
        rule,
        header,
        cluster: cluster.clone(),
        timeouts: Timeouts {
            max: set_or(*max_timeout, timeouts.max),
            unary: set_or(*default_timeout, timeouts.unary),
            idle: set_or(*idle_timeout, timeouts.idle),
            duration: set_or(*max_duration, timeouts.duration),
        },
    })
}

/// A key that is set wins, and zero switches the limit off.
fn set_or(key: Option<HumanDuration>, inherited: Option<Duration>) -> Option<Duration> {
    match key.map(HumanDuration::get) {
        Some(Duration::ZERO) => None,
        Some(duration) => Some(duration),
        None => inherited,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(text: &str) -> Result<Mesh, Error> {
        let config: MeshConfig = toml::from_str(text).expect(text);
        let timeouts = Timeouts {
            idle: Some(Duration::from_secs(300)),
            ..Timeouts::default()
        };
        config.resolve(timeouts, HashSet::new())
    }

    #[test]
    fn what_is_written_becomes_what_is_meant() {
        let mesh = resolve(
            r#"
            [clusters.asr]
            endpoints = ["127.0.0.1:7001", { address = "asr-2:7001", weight = 3 }]
            balance = "ring_hash"
            hash_header = "X-Session-Affinity"
            tls = { ca = "ca.pem", cert = "c.pem", key = "k.pem" }
            health_check = { interval = "200ms" }
            [[routes]]
            service = "polyphony.asr.v1."
            cluster = "asr"
            max_timeout = "10s"
            [[routes]]
            service = "a.B"
            method = "C"
            cluster = "asr"
            idle_timeout = "0"
            "#,
        )
        .expect("valid");
        let cluster = &mesh.clusters[0];
        assert_eq!(
            cluster.endpoints.iter().map(|e| e.weight).collect::<Vec<_>>(),
            [1, 3]
        );
        assert_eq!(
            cluster.balance,
            Balance::RingHash {
                header: "x-session-affinity".to_owned()
            }
        );
        assert_eq!(
            cluster.health_check.as_ref().map(|check| check.interval),
            Some(Duration::from_millis(200))
        );
        let route = mesh
            .routes
            .find("/polyphony.asr.v1.Speech/Recognize")
            .expect("a route");
        assert_eq!(route.timeouts.max, Some(Duration::from_secs(10)));
        assert_eq!(route.timeouts.idle, Some(Duration::from_secs(300)));
        assert_eq!(mesh.routes.find("/a.B/C").expect("a route").timeouts.idle, None);
    }

    #[test]
    fn each_mistake_names_its_key_and_the_remedy() {
        for (text, message) in [
            (
                "[clusters.asr]\n[[routes]]\nservice='a.'\ncluster='asrr'",
                "`routes`: the route for `a.` names the cluster `asrr`, which is not defined; known: asr",
            ),
            (
                "[clusters.a]\n[[routes]]\nservice='a.B'\ncluster='a'\nheader={name='x y',contains='z'}",
                "`routes`: the route for `a.B` is for calls with the header `x y`; write { name = \"x-name\", contains = \"text\" }",
            ),
            (
                "[clusters.a]\nendpoints=['localhost']",
                "`clusters.a.endpoints`: `localhost` is not an address; write host:port, as 127.0.0.1:7001",
            ),
            (
                "[clusters.a]\nendpoints=['h:1','h:1']",
                "`clusters.a.endpoints`: `h:1` is listed twice; give it a weight instead",
            ),
            (
                "[clusters.a]\nendpoints=[{address='h:1',weight=0}]",
                "`clusters.a.endpoints.weight`: must be 1 to 128",
            ),
            (
                "[clusters.a]\nmax_requests=0",
                "`clusters.a.max_requests`: must be at least 1",
            ),
            (
                "[clusters.a]\nhealth_check={interval='1ms'}",
                "`clusters.a.health_check.interval`: must be at least 10ms",
            ),
            (
                "[clusters.a]\ntls={ca='x',cert='y'}",
                "`clusters.a.tls`: cert and key come together; set both or neither",
            ),
            (
                "[clusters.a]\nbalance='ring_hash'\nhash_header=''",
                "`clusters.a.hash_header`: must be the name of a header, as x-session-affinity",
            ),
        ] {
            assert_eq!(resolve(text).expect_err(text).to_string(), message);
        }
    }

    #[test]
    fn an_unknown_key_is_an_error_not_a_default() {
        let parsed = toml::from_str::<MeshConfig>("[clusters.a]\nendpoint=['h:1']");
        assert!(
            parsed
                .expect_err("a typo")
                .to_string()
                .contains("unknown field `endpoint`")
        );
    }
}
