//! Generated wire types, clients, servers and descriptor sets of the contract in `proto/`; no logic but [`time`],
//! which keeps a hostile duration from every service at once.
//!
//! Every package is a module, `asr::v1` for `polyphony.asr.v1`, with its messages, its `…_client` and `…_server`
//! modules, and `FILE_DESCRIPTOR_SET`: the package and all it imports, encoded for gRPC reflection.
//! `bytes` fields are [`prost::bytes::Bytes`]; `google.protobuf` is [`prost_types`]; `google.rpc` is [`tonic_types::pb`].

pub mod time;

pub use polyphony::{
    accel, align, analysis, asr, diar, flow, llm, models, ocr, rag, tts, r#type as types, video,
};

/// A module `v1` of what was generated for a package, in a module of the package's name.
///
/// `file` names the generated file where the generator escapes a word of Rust in it.
macro_rules! package {
    ($(#[$doc:meta])* $name:ident, $package:literal) => {
        package!($(#[$doc])* $name, $package, file $package);
    };
    ($(#[$doc:meta])* $name:ident, $package:literal, file $file:literal) => {
        $(#[$doc])*
        pub mod $name {
            #[doc = concat!("The package `", $package, "`.")]
            #[allow(
                missing_docs,
                clippy::all,
                clippy::allow_attributes_without_reason,
                reason = "generated code"
            )]
            pub mod v1 {
                tonic::include_proto!($file);

                /// This package and all it imports, encoded, for reflection.
                pub const FILE_DESCRIPTOR_SET: &[u8] =
                    include_bytes!(concat!(env!("OUT_DIR"), "/", $package, ".bin"));
            }
        }
    };
}

/// Google's published interfaces that the contract uses.
pub mod google {
    pub use tonic_types::pb as rpc;

    /// Work that outlives its call (AIP-151): the package `google.longrunning`.
    #[allow(
        missing_docs,
        clippy::all,
        clippy::allow_attributes_without_reason,
        reason = "generated code"
    )]
    pub mod longrunning {
        tonic::include_proto!("google.longrunning");

        /// This package and all it imports, encoded, for reflection.
        pub const FILE_DESCRIPTOR_SET: &[u8] =
            include_bytes!(concat!(env!("OUT_DIR"), "/google.longrunning.bin"));
    }
}

// The tree mirrors the packages, because generated code names other packages by their place in it.
mod polyphony {
    package!(
        /// The accelerators of a machine: devices, leases, tuning.
        accel, "polyphony.accel.v1"
    );
    package!(
        /// Forced alignment: when each word of a known text is said.
        align, "polyphony.align.v1"
    );
    package!(
        /// Pitch, stems, loudness, tempo, key and spectral features.
        analysis, "polyphony.analysis.v1"
    );
    package!(
        /// Speech recognition.
        asr, "polyphony.asr.v1"
    );
    package!(
        /// Speaker diarization: who speaks when.
        diar, "polyphony.diar.v1"
    );
    package!(
        /// Work of several services as one call.
        flow, "polyphony.flow.v1"
    );
    package!(
        /// One door to every language model.
        llm, "polyphony.llm.v1"
    );
    package!(
        /// The model store of a process.
        models, "polyphony.models.v1"
    );
    package!(
        /// Text recognition on images and documents.
        ocr, "polyphony.ocr.v1"
    );
    package!(
        /// Retrieval and answers with citations.
        rag, "polyphony.rag.v1"
    );
    package!(
        /// Speech synthesis.
        tts, "polyphony.tts.v1"
    );
    package!(
        /// What every service shares: media, anchors, receipts.
        r#type, "polyphony.type.v1", file "polyphony.r#type.v1"
    );
    package!(
        /// Video generation.
        video, "polyphony.video.v1"
    );
}
