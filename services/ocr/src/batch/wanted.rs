//! `BatchProcessRequest`, parsed once.

use std::collections::HashSet;

use polyphony_chassis::operations;
use polyphony_error::Fault;
use polyphony_proto::ocr::v1 as pb;
use polyphony_wire::{Refusals, media};

use crate::convert::pages::Ranges;
use crate::convert::request::Asked;
use crate::job::Job;

const MOST_DOCUMENTS: usize = 64;
const MOST_NAME: usize = 256;

/// A batch that is well formed.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(super) request_id: String,
    pub(super) documents: Vec<WantedDocument>,
}

#[derive(Debug)]
pub(super) struct WantedDocument {
    pub(super) name: String,
    pub(super) job: Job,
}

// === impl Wanted ===

impl Wanted {
    pub(crate) fn parse(request: pb::BatchProcessRequest, call: &str) -> Result<Self, Fault> {
        let pb::BatchProcessRequest {
            request_id,
            config,
            documents,
        } = request;
        let mut refusals = Refusals::at("");
        if !request_id.is_empty() && !operations::is_uuid(&request_id) {
            refusals.add(
                "request_id",
                "must be a UUID, as \"7f0c1f9e-3d3a-4a35-9df5-0b8f5a6d7c11\"",
            );
        }
        if documents.is_empty() || documents.len() > MOST_DOCUMENTS {
            refusals.add("documents", "must be 1 to 64");
        }
        let mut names = HashSet::new();
        for (at, document) in documents.iter().enumerate() {
            if document.name.len() > MOST_NAME {
                refusals.add(&format!("documents[{at}].name"), "must have at most 256 bytes");
            }
            if !names.insert(&document.name) {
                refusals.add(&format!("documents[{at}].name"), "must be unique in the batch");
            }
        }
        refusals.finish()?;
        // Told even where every document has a config of its own.
        let shared = Asked::parse(config, "config.")?;
        let mut parsed = Vec::with_capacity(documents.len());
        for (at, document) in documents.into_iter().enumerate() {
            let pb::BatchDocument {
                name,
                media,
                config: own,
            } = document;
            let field = format!("documents[{at}].media");
            let asked = match own {
                Some(own) => Asked::parse(Some(own), &format!("documents[{at}].config."))?,
                None => shared.clone(),
            };
            let job = Job {
                bytes: media::inline(media, &field, "the document")?,
                asked,
                ranges: Ranges::default(),
                field,
                call: call.to_owned(),
            };
            parsed.push(WantedDocument { name, job });
        }
        Ok(Self {
            request_id,
            documents: parsed,
        })
    }
}
