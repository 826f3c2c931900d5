//! What is routed where unless the configuration says otherwise, so that a bare gateway finds the mesh on loopback.
//!
//! It also reads from the contract which methods are unary: only those get a deadline when the client sets none.

use std::collections::{BTreeSet, HashSet};

use polyphony_gateway_core::{EndpointConfig, HeaderMatch, MeshConfig, RouteConfig};
use polyphony_proto::{align, analysis, asr, diar, google, llm, models, ocr, rag, tts, video};
use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet};

/// A service of the mesh: its cluster, its endpoint on loopback, and what it answers. What several answer goes to the first
/// of them that is there, but for operations whose name stands in a header ([`HeaderMatch::operations_of`]).
struct Service {
    cluster: &'static str,
    endpoint: &'static str,
    routes: &'static [&'static str],
}

const MODELS: &str = "polyphony.models.v1.";
const OPERATIONS: &str = "google.longrunning.Operations";

/// The services that are built. Ports are those of a service started without a configuration.
const SERVICES: [Service; 9] = [
    Service {
        cluster: "asr",
        endpoint: "127.0.0.1:7001",
        routes: &["polyphony.asr.v1.", MODELS, OPERATIONS],
    },
    Service {
        cluster: "align",
        endpoint: "127.0.0.1:7002",
        routes: &["polyphony.align.v1.", MODELS],
    },
    Service {
        cluster: "diar",
        endpoint: "127.0.0.1:7003",
        routes: &["polyphony.diar.v1.", MODELS],
    },
    Service {
        cluster: "llm-proxy",
        endpoint: "127.0.0.1:7004",
        routes: &["polyphony.llm.v1.", MODELS],
    },
    Service {
        cluster: "tts",
        endpoint: "127.0.0.1:7005",
        routes: &["polyphony.tts.v1.", MODELS],
    },
    Service {
        cluster: "ocr",
        endpoint: "127.0.0.1:7006",
        routes: &["polyphony.ocr.v1.", MODELS, OPERATIONS],
    },
    Service {
        cluster: "rag",
        endpoint: "127.0.0.1:7007",
        routes: &["polyphony.rag.v1.", MODELS, OPERATIONS],
    },
    Service {
        cluster: "video-gen",
        endpoint: "127.0.0.1:7008",
        routes: &["polyphony.video.v1.", MODELS, OPERATIONS],
    },
    Service {
        cluster: "analysis",
        endpoint: "127.0.0.1:7009",
        routes: &["polyphony.analysis.v1.", MODELS],
    },
];

/// The contract of those services.
const DESCRIPTORS: [&[u8]; 11] = [
    asr::v1::FILE_DESCRIPTOR_SET,
    align::v1::FILE_DESCRIPTOR_SET,
    diar::v1::FILE_DESCRIPTOR_SET,
    llm::v1::FILE_DESCRIPTOR_SET,
    tts::v1::FILE_DESCRIPTOR_SET,
    ocr::v1::FILE_DESCRIPTOR_SET,
    rag::v1::FILE_DESCRIPTOR_SET,
    video::v1::FILE_DESCRIPTOR_SET,
    analysis::v1::FILE_DESCRIPTOR_SET,
    models::v1::FILE_DESCRIPTOR_SET,
    google::longrunning::FILE_DESCRIPTOR_SET,
];

/// Adds the clusters, endpoints and routes that the configuration does not define itself, but for services that are
/// `absent`. A cluster with endpoints keeps them, and a rule that it does route stays routed as it says.
pub(crate) fn complete(mesh: &mut MeshConfig, absent: &BTreeSet<String>) {
    let leaves_operations_to_us = mesh.routes.iter().all(|route| route.service != OPERATIONS);
    for service in SERVICES {
        if absent.contains(service.cluster) && !mesh.clusters.contains_key(service.cluster) {
            continue;
        }
        let cluster = mesh.clusters.entry(service.cluster.to_owned()).or_default();
        if cluster.endpoints.is_empty() {
            cluster.endpoints.push(EndpointConfig::new(service.endpoint));
        }
        for rule in service.routes {
            let same = |route: &RouteConfig| {
                route.service == *rule && route.method.is_none() && route.header.is_none()
            };
            if !mesh.routes.iter().any(same) {
                mesh.routes.push(RouteConfig::new(*rule, service.cluster));
            }
            if *rule == OPERATIONS && leaves_operations_to_us {
                mesh.routes.push(RouteConfig {
                    header: Some(HeaderMatch::operations_of(service.cluster)),
                    ..RouteConfig::new(*rule, service.cluster)
                });
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
        complete(&mut config, &BTreeSet::new());
        let mesh = config
            .resolve(Timeouts::default(), unary_methods())
            .expect("valid");
        for (path, cluster) in [
            ("/polyphony.asr.v1.AsrService/StreamingRecognize", "asr"),
            ("/polyphony.models.v1.ModelService/ListModels", "asr"),
            ("/google.longrunning.Operations/GetOperation", "asr"),
            ("/polyphony.align.v1.AlignService/Align", "align"),
            ("/polyphony.diar.v1.DiarService/Diarize", "diar"),
            ("/polyphony.llm.v1.LlmService/Chat", "llm-proxy"),
            ("/polyphony.tts.v1.TtsService/Synthesize", "tts"),
            ("/polyphony.ocr.v1.OcrService/StreamDocument", "ocr"),
            ("/polyphony.rag.v1.RagService/Answer", "rag"),
            ("/polyphony.video.v1.VideoService/WatchVideo", "video-gen"),
            ("/polyphony.analysis.v1.AnalysisService/Pitch", "analysis"),
        ] {
            assert_eq!(mesh.routes.find(path).expect(path).cluster, cluster);
        }
        assert!(mesh.routes.find("/google.longrunning.OperationsToo/X").is_none());
        let get = "/google.longrunning.Operations/GetOperation";
        for cluster in ["asr", "ocr", "rag", "video-gen"] {
            let value = format!("name=operations/{cluster}-0123");
            let found = mesh.routes.find_for(get, |_| Some(&value));
            assert_eq!(found.expect("a route").cluster, cluster);
        }
    }

    #[test]
    fn what_several_answer_goes_to_the_first_that_is_there() {
        let mut config = MeshConfig::default();
        let absent = ["asr", "align", "diar", "llm-proxy"].map(str::to_owned).into();
        complete(&mut config, &absent);
        let mesh = config
            .resolve(Timeouts::default(), unary_methods())
            .expect("valid");
        let cluster = |path| mesh.routes.find(path).map(|route| route.cluster.clone());
        assert!(cluster("/polyphony.asr.v1.AsrService/Recognize").is_none());
        assert_eq!(
            cluster("/polyphony.models.v1.ModelService/ListModels").as_deref(),
            Some("tts")
        );
        assert_eq!(
            cluster("/google.longrunning.Operations/GetOperation").as_deref(),
            Some("ocr")
        );
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
        complete(&mut config, &BTreeSet::new());
        let mesh = config
            .resolve(Timeouts::default(), HashSet::new())
            .expect("valid");
        let asr = mesh.clusters.iter().find(|cluster| cluster.name == "asr");
        assert_eq!(
            asr.expect("a cluster").endpoints[0].address.to_string(),
            "gpu-box:9"
        );
        let models = mesh.routes.find("/polyphony.models.v1.ModelService/ListModels");
        assert_eq!(models.expect("a route").cluster, "mine");
    }

    #[test]
    fn a_cluster_that_only_says_how_keeps_where() {
        let mut config = MeshConfig::default();
        config.clusters.insert("asr".to_owned(), ClusterConfig::default());
        complete(&mut config, &BTreeSet::new());
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
