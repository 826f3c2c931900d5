//! The mesh made ready to run: routes that point at clusters, and clusters that live.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use polyphony_chassis::config::ClientTlsConfig;
use polyphony_chassis::tls::{self, ClientTls};
use polyphony_config::HumanDuration;
use polyphony_gateway_core as core;
use polyphony_gateway_core::{Mesh, RouteTable, Timeouts, UpstreamTls};

use crate::check;
use crate::cluster::Cluster;

/// How often the TLS files of clusters are looked at.
const RELOAD: HumanDuration = HumanDuration::from_secs(5);

/// What calls are looked up in.
pub(crate) struct Table {
    pub(crate) routes: RouteTable<Destination>,
    pub(crate) clusters: BTreeMap<String, Arc<Cluster>>,
    unary: HashSet<Box<str>>,
}

/// Where a route leads.
#[derive(Debug, Clone)]
pub(crate) struct Destination {
    /// `None` if there is no such cluster.
    pub(crate) cluster: Option<Arc<Cluster>>,
    pub(crate) timeouts: Timeouts,
}

/// The clusters cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("`clusters.{cluster}.tls` cannot be used")]
pub struct StartError {
    /// The cluster.
    pub cluster: String,
    /// Why.
    pub source: tls::Error,
}

// === impl Table ===

impl Table {
    /// Builds the clusters and starts checking them.
    pub(crate) fn start(mesh: Mesh) -> Result<Self, StartError> {
        let Mesh {
            clusters,
            routes,
            unary,
        } = mesh;
        let started = clusters.into_iter().map(|settings| {
            let cluster = start_cluster(settings)?;
            Ok((cluster.name().to_owned(), cluster))
        });
        let clusters = started.collect::<Result<BTreeMap<_, _>, StartError>>()?;
        let routes = routes.map(|route| Destination {
            cluster: clusters.get(&route.cluster).cloned(),
            timeouts: route.timeouts,
        });
        Ok(Self {
            routes,
            clusters,
            unary,
        })
    }

    /// Whether the method is known to be unary.
    pub(crate) fn is_unary(&self, path: &str) -> bool {
        self.unary.contains(path)
    }
}

fn start_cluster(settings: core::Cluster) -> Result<Arc<Cluster>, StartError> {
    let tls = settings.tls.as_ref().map(load_tls).transpose();
    let tls = tls.map_err(|source| StartError {
        cluster: settings.name.clone(),
        source,
    })?;
    let check = settings.health_check.clone();
    let cluster = Cluster::new(settings, tls.as_ref());
    if let Some(check) = check {
        for index in 0..cluster.endpoints().len() {
            tokio::spawn(check::run(Arc::downgrade(&cluster), index, check.clone()));
        }
    }
    Ok(cluster)
}

fn load_tls(tls: &UpstreamTls) -> Result<ClientTls, tls::Error> {
    let (cert, key) = tls.identity.clone().unzip();
    ClientTls::load(&ClientTlsConfig {
        ca: tls.ca.clone(),
        cert,
        key,
        server_name: tls.server_name.clone(),
        reload_interval: RELOAD,
    })
}
