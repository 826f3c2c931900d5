//! Server reflection that describes what answers here and nothing else.
//!
//! A descriptor set may hold the whole contract. Kept are the files of the registered services and what those import;
//! listed are the registered services, health and reflection itself. Files travel as their original bytes, for decoding
//! them would lose the options (`google.api.http`) that clients look for.

use std::collections::{HashMap, HashSet};

use prost::Message;
use prost::encoding::{WireType, decode_key, decode_varint};
use prost_types::FileDescriptorProto;
use tonic_reflection::server::{self, v1, v1alpha};

use super::methods::full_name;

/// What is wrong with a descriptor set.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not an encoded `FileDescriptorSet`.
    #[error("the descriptors given for it are not a FileDescriptorSet")]
    Malformed(#[source] prost::DecodeError),
    /// It is cut off, or something else altogether.
    #[error("the descriptors given for it are not a whole FileDescriptorSet")]
    Torn,
    /// It does not describe the service.
    #[error("the descriptors given for it do not hold it")]
    Absent,
}

/// The files that describe a server.
pub(super) struct Descriptors {
    files: Vec<File>,
    services: Vec<String>,
}

struct File {
    /// A set of this file alone, cut from the set it came in.
    set: &'static [u8],
    decoded: FileDescriptorProto,
}

/// What every server answers beside its own services, and where it is described.
const PLATFORM: [(&str, &[u8]); 3] = [
    ("grpc.health.v1.Health", tonic_health::pb::FILE_DESCRIPTOR_SET),
    (
        "grpc.reflection.v1.ServerReflection",
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
    ),
    (
        "grpc.reflection.v1alpha.ServerReflection",
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ),
];

// === impl Descriptors ===

impl Descriptors {
    /// The files of these services, each looked for in the set given with it, and of the platform's own.
    pub(super) fn of(services: &[&'static str], sets: &[&'static [u8]]) -> Result<Self, super::Error> {
        let mut all = Self {
            files: Vec::new(),
            services: Vec::new(),
        };
        let mut taken = HashSet::new();
        let mut read: HashMap<*const u8, HashMap<String, File>> = HashMap::new();
        let given = services.iter().copied().zip(sets.iter().copied());
        for (service, set) in given.chain(PLATFORM) {
            let fault = |source| super::Error::Descriptors { service, source };
            // Services of one crate share one set; it is read once.
            let files = match read.entry(set.as_ptr()) {
                std::collections::hash_map::Entry::Occupied(files) => files.into_mut(),
                std::collections::hash_map::Entry::Vacant(slot) => slot.insert(decode(set).map_err(fault)?),
            };
            let home = files.values().find(|file| file.holds(service));
            let home = home.map(|file| file.decoded.name().to_owned());
            let taken_before = all.files.iter().any(|file| file.holds(service));
            if home.is_none() && !taken_before {
                return Err(fault(Error::Absent));
            }
            let mut wanted: Vec<String> = home.into_iter().collect();
            while let Some(name) = wanted.pop() {
                if let Some(file) = files.remove(&name)
                    && taken.insert(name)
                {
                    wanted.extend(file.decoded.dependency.iter().cloned());
                    all.files.push(file);
                }
            }
            if !all.services.iter().any(|known| known == service) {
                all.services.push(service.to_owned());
            }
        }
        Ok(all)
    }

    /// The full names of what answers.
    pub(super) fn services(&self) -> impl Iterator<Item = &str> {
        self.services.iter().map(String::as_str)
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &FileDescriptorProto> {
        self.files.iter().map(|file| &file.decoded)
    }

    /// Both versions of the reflection service.
    pub(super) fn reflection(
        &self,
    ) -> Result<
        (
            v1::ServerReflectionServer<impl v1::ServerReflection + use<>>,
            v1alpha::ServerReflectionServer<impl v1alpha::ServerReflection + use<>>,
        ),
        server::Error,
    > {
        let builder = || {
            let builder = server::Builder::configure().include_reflection_service(false);
            let sets = self.files.iter().map(|file| file.set);
            let builder = sets.fold(builder, server::Builder::register_encoded_file_descriptor_set);
            self.services().fold(builder, server::Builder::with_service_name)
        };
        Ok((builder().build_v1()?, builder().build_v1alpha()?))
    }
}

// === impl File ===

impl File {
    fn holds(&self, service: &str) -> bool {
        let file = &self.decoded;
        file.service
            .iter()
            .any(|held| full_name(file.package(), held.name()) == service)
    }
}

/// The files of a set by name. The set is read as protobuf's wire format: a field 1 for each file.
fn decode(set: &'static [u8]) -> Result<HashMap<String, File>, Error> {
    let mut files = HashMap::new();
    let mut rest = set;
    while !rest.is_empty() {
        let start = rest;
        let (tag, wire) = decode_key(&mut rest).map_err(Error::Malformed)?;
        let length = decode_varint(&mut rest).map_err(Error::Malformed)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let Some((file, after)) = rest.split_at_checked(length) else {
            return Err(Error::Torn);
        };
        if (tag, wire) != (1, WireType::LengthDelimited) {
            return Err(Error::Torn);
        }
        let mut decoded = FileDescriptorProto::decode(file).map_err(Error::Malformed)?;
        // Comments are a third of a contract and of no use at run time.
        decoded.source_code_info = None;
        rest = after;
        let set = &start[..start.len() - rest.len()];
        files.insert(decoded.name().to_owned(), File { set, decoded });
    }
    Ok(files)
}
