//! The whole picture at one moment: the clusters, and the routes that lead to them.

use std::collections::HashSet;

use crate::{Cluster, RouteTable};

/// What the data plane runs on.
///
/// [`MeshConfig::resolve`](crate::MeshConfig::resolve) never makes one whose routes lead nowhere. Whoever fills it
/// from another source may: such a route answers UNAVAILABLE, as Envoy's does.
#[derive(Debug, Clone, Default)]
pub struct Mesh {
    /// All clusters, their names distinct.
    pub clusters: Vec<Cluster>,
    /// Where each call goes.
    pub routes: RouteTable,
    /// Paths (`/package.Service/Method`) of methods known to be unary: those alone get a default deadline.
    pub unary: HashSet<Box<str>>,
}
