//! `BatchRecognizeRequest`, parsed once.

use std::collections::HashSet;
use std::time::Duration;

use polyphony_chassis::operations;
use polyphony_chassis::places::Patience;
use polyphony_error::Fault;
use polyphony_proto::asr::v1 as pb;
use polyphony_wire::{Refusals, media};

use crate::convert::request::Asked;
use crate::whole::Recording;

const MOST_FILES: usize = 64;
const MOST_NAME: usize = 256;

/// A batch that is well formed.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(super) request_id: String,
    pub(super) files: Vec<WantedFile>,
    pub(super) formats: Vec<pb::OutputFormat>,
}

#[derive(Debug)]
pub(super) struct WantedFile {
    pub(super) name: String,
    pub(super) recording: Recording,
}

// === impl Wanted ===

impl Wanted {
    pub(crate) fn parse(request: pb::BatchRecognizeRequest, longest: Duration) -> Result<Self, Fault> {
        let pb::BatchRecognizeRequest {
            request_id,
            config,
            files,
            output_formats,
        } = request;
        let mut refusals = Refusals::at("");
        if !request_id.is_empty() && !operations::is_uuid(&request_id) {
            refusals.add(
                "request_id",
                "must be a UUID, as \"7f0c1f9e-3d3a-4a35-9df5-0b8f5a6d7c11\"",
            );
        }
        if files.is_empty() || files.len() > MOST_FILES {
            refusals.add("files", "must be 1 to 64");
        }
        let mut formats = Vec::new();
        for (at, format) in output_formats.into_iter().enumerate() {
            match pb::OutputFormat::try_from(format) {
                Ok(format @ (pb::OutputFormat::Srt | pb::OutputFormat::Vtt)) => formats.push(format),
                Ok(pb::OutputFormat::Unspecified) | Err(_) => {
                    refusals.add(
                        &format!("output_formats[{at}]"),
                        "must be OUTPUT_FORMAT_SRT or OUTPUT_FORMAT_VTT",
                    );
                }
            }
        }
        let mut names = HashSet::new();
        for (at, file) in files.iter().enumerate() {
            if file.name.len() > MOST_NAME {
                refusals.add(&format!("files[{at}].name"), "must have at most 256 bytes");
            }
            if !names.insert(&file.name) {
                refusals.add(&format!("files[{at}].name"), "must be unique in the batch");
            }
        }
        refusals.finish()?;
        let mut parsed = Vec::with_capacity(files.len());
        for (at, file) in files.into_iter().enumerate() {
            let pb::BatchRecognizeFile {
                name,
                audio,
                config: own,
            } = file;
            let field = format!("files[{at}].audio");
            let asked = match own {
                Some(own) => Asked::parse(Some(own), &format!("files[{at}].config."))?,
                None => Asked::parse(config.clone(), "config.")?,
            };
            let bytes = media::inline(audio, &field, "the recording")?;
            parsed.push(WantedFile {
                name,
                recording: Recording {
                    bytes,
                    asked,
                    field,
                    longest,
                    patience: Patience::Endless,
                },
            });
        }
        Ok(Self {
            request_id,
            files: parsed,
            formats,
        })
    }
}
