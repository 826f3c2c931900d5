//! The descriptors of what the gateway answers itself.

use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use tonic_reflection::pb::{v1, v1alpha};

/// The services that the gateway answers itself.
pub(crate) const SERVICES: [&str; 3] = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

/// Their files.
const SETS: [&[u8]; 3] = [
    tonic_health::pb::FILE_DESCRIPTOR_SET,
    v1::FILE_DESCRIPTOR_SET,
    v1alpha::FILE_DESCRIPTOR_SET,
];

/// The encoded file of this name.
pub(super) fn file(name: &str) -> Option<Vec<u8>> {
    find(|file| file.name() == name)
}

/// The encoded file that defines a service, method, message or enum, or what is nested in one.
pub(super) fn file_of(symbol: &str) -> Option<Vec<u8>> {
    find(|file| {
        let rest = symbol
            .strip_prefix(file.package())
            .and_then(|rest| rest.strip_prefix('.'));
        let Some(outermost) = rest.and_then(|rest| rest.split('.').next()) else {
            return false;
        };
        let services = file.service.iter().map(|service| service.name());
        let messages = file.message_type.iter().map(|message| message.name());
        let enums = file.enum_type.iter().map(|kind| kind.name());
        services
            .chain(messages)
            .chain(enums)
            .any(|name| name == outermost)
    })
}

/// Reads the sets anew each time: it is rarely asked, and the decoded files would stay in memory for ever.
fn find(wanted: impl Fn(&FileDescriptorProto) -> bool) -> Option<Vec<u8>> {
    SETS.iter().find_map(|set| {
        let files = FileDescriptorSet::decode(*set).ok()?.file;
        files.iter().find(|file| wanted(file)).map(Message::encode_to_vec)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_own_service_is_described_with_its_methods_and_messages() {
        for service in SERVICES {
            let file = file_of(service).expect(service);
            let file = FileDescriptorProto::decode(file.as_slice()).expect("a file");
            assert!(service.starts_with(file.package()));
            assert!(super::file(file.name()).is_some());
        }
        assert!(file_of("grpc.health.v1.Health.Watch").is_some());
        assert!(file_of("grpc.health.v1.HealthCheckResponse.ServingStatus").is_some());
        for absent in [
            "grpc.health.v1.Nothing",
            "grpc.health.v1",
            "polyphony.asr.v1.AsrService",
            "",
        ] {
            assert!(file_of(absent).is_none(), "{absent}");
        }
    }
}
