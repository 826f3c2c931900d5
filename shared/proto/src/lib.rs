//! Generated wire types, clients, servers and descriptor sets of the contract in `proto/`; no logic.
//!
//! Every package is a module, `asr::v1` for `polyphony.asr.v1`, with its messages, its `…_client` and `…_server`
//! modules, and `FILE_DESCRIPTOR_SET`: the package and all it imports, encoded for gRPC reflection.
//! `bytes` fields are [`bytes::Bytes`]; `google.protobuf` is [`prost_types`]; `google.rpc` is [`tonic_types::pb`].

pub use polyphony::{asr, models, r#type as types};

/// Includes what was generated for a package; `as` where the generator escapes a word of Rust in the file's name.
macro_rules! package {
    ($package:literal) => {
        package!($package as $package);
    };
    ($package:literal as $file:literal) => {
        tonic::include_proto!($file);

        /// This package and all it imports, encoded, for reflection.
        pub const FILE_DESCRIPTOR_SET: &[u8] =
            include_bytes!(concat!(env!("OUT_DIR"), "/", $package, ".bin"));
    };
}

/// Google's published interfaces that the contract uses.
pub mod google {
    pub use tonic_types::pb as rpc;

    /// Work that outlives its call (AIP-151).
    #[allow(missing_docs, clippy::all, reason = "generated")]
    pub mod longrunning {
        package!("google.longrunning");
    }
}

// The tree mirrors the packages, because generated code names other packages by their place in it.
mod polyphony {
    /// Speech recognition.
    pub mod asr {
        /// `polyphony.asr.v1`
        #[allow(missing_docs, clippy::all, reason = "generated")]
        pub mod v1 {
            package!("polyphony.asr.v1");
        }
    }

    /// The model store of a process.
    pub mod models {
        /// `polyphony.models.v1`
        #[allow(missing_docs, clippy::all, reason = "generated")]
        pub mod v1 {
            package!("polyphony.models.v1");
        }
    }

    /// What every service shares: media, anchors, receipts.
    pub mod r#type {
        /// `polyphony.type.v1`
        #[allow(missing_docs, clippy::all, reason = "generated")]
        pub mod v1 {
            package!("polyphony.type.v1" as "polyphony.r#type.v1");
        }
    }
}
