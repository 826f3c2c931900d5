//! What is routed where unless the configuration says otherwise, so that a bare gateway finds the mesh on loopback.
//!
//! It also reads from the contract which methods are unary: only those get a deadline when the client sets none.

use std::collections::HashSet;

use polyphony_gateway_core::{EndpointConfig, MeshConfig, RouteConfig};
use polyphony_proto::{asr, google, models};
use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet};

/// A service of the mesh: its cluster, its endpoint on loopback, and what it answers.
struct Service {
    cluster: &'static str,
    endpoint: &'static str,
    routes: &'static [&'static str],
}

/// The services that are built. Ports are those of a service started without a configuration.
const SERVICES: [Service; 1] = [Service {
    cluster: "asr",
    endpoint: "127.0.0.1:7001",
    routes: &[
        "polyphony.asr.v1.",
        "polyphony.models.v1.",
        "google.longrunning.Operations",
    ],
}];

/// The contract of those services.
const DESCRIPTORS: [&[u8]; 3] = [
    asr::v1::FILE_DESCRIPTOR_SET,
    models::v1::FILE_DESCRIPTOR_SET,
    google::longrunning::FILE_DESCRIPTOR_SET,
];

/// Adds the clusters, endpoints and routes that the configuration does not define itself. A cluster with endpoints keeps
/// them, and a rule that it does route stays routed as it says.
pub(crate) fn complete(mesh: &mut MeshConfig) {
    for service in SERVICES {
        let cluster = mesh.clusters.entry(service.cluster.to_owned()).or_default();
        if cluster.endpoints.is_empty() {
            cluster.endpoints.push(EndpointConfig::new(service.endpoint));
        }
        for rule in service.routes {
            let same = |route: &RouteConfig| route.service == *rule && route.method.is_none();
            if !mesh.routes.iter().any(same) {
                mesh.routes.push(RouteConfig::new(*rule, service.cluster));
            }
        }
    }
}

/// The paths of the methods that the contract declares unary.
pub(crate) fn unary_methods() -> HashSet<Box<str>> {
    let mut paths = HashSet::new();
    for set in DESCRIPTORS {
        // Our own build made it; a test decodes all of them.
        let files = FileDescriptorSet::decode(set).unwrap_or_default().file;
        for file in &files {
            paths.extend(unary_methods_of(file));
        }
    }
    paths
}

fn unary_methods_of(file: &FileDescriptorProto) -> impl Iterator<Item = Box<str>> + '_ {
    file.service.iter().flat_map(move |service| {
        let unary = service
            .method
            .iter()
            .filter(|m| !m.client_streaming() && !m.server_streaming());
        unary.map(move |method| {
            format!("/{}.{}/{}", file.package(), service.name(), method.name()).into_boxed_str()
        })
    })
}

#[cfg(test)]
mod tests {
    use polyphony_gateway_core::{ClusterConfig, Timeouts};

    use super::*;

    #[test]
    fn a_bare_gateway_routes_every_service_that_is_built() {
        let mut config = MeshConfig::default();
        complete(&mut config);
        let mesh = config
            .resolve(Timeouts::default(), unary_methods())
            .expect("valid");
        for path in [
            "/polyphony.asr.v1.AsrService/StreamingRecognize",
            "/polyphony.models.v1.ModelService/ListModels",
            "/google.longrunning.Operations/GetOperation",
        ] {
            assert_eq!(mesh.routes.find(path).expect(path).cluster, "asr");
        }
        assert!(mesh.routes.find("/google.longrunning.OperationsToo/X").is_none());
    }

    #[test]
    fn what_the_configuration_defines_is_left_alone() {
        let mut config = MeshConfig::default();
        let elsewhere = ClusterConfig {
            endpoints: vec![EndpointConfig::new("gpu-box:9")],
            ..ClusterConfig::default()
        };
        config.clusters.insert("asr".to_owned(), elsewhere.clone());
        config.clusters.insert("mine".to_owned(), elsewhere);
        config
            .routes
            .push(RouteConfig::new("polyphony.models.v1.", "mine"));
        complete(&mut config);
        let mesh = config
            .resolve(Timeouts::default(), HashSet::new())
            .expect("valid");
        assert_eq!(mesh.clusters[0].endpoints[0].address.to_string(), "gpu-box:9");
        let models = mesh.routes.find("/polyphony.models.v1.ModelService/ListModels");
        assert_eq!(models.expect("a route").cluster, "mine");
    }

    #[test]
    fn a_cluster_that_only_says_how_keeps_where() {
        let mut config = MeshConfig::default();
        config.clusters.insert("asr".to_owned(), ClusterConfig::default());
        complete(&mut config);
        assert_eq!(
            config.clusters["asr"].endpoints,
            [EndpointConfig::new("127.0.0.1:7001")]
        );
    }

    #[test]
    fn the_contract_says_which_methods_are_unary() {
        let unary = unary_methods();
        assert!(unary.contains("/polyphony.asr.v1.AsrService/Recognize"));
        assert!(!unary.contains("/polyphony.asr.v1.AsrService/StreamingRecognize"));
        assert!(!unary.contains("/polyphony.models.v1.ModelService/PullModel"));
        assert!(unary.contains("/google.longrunning.Operations/GetOperation"));
    }
}
