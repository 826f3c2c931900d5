//! What became of the files of an ingestion.

use polyphony_proto::rag::v1 as pb;
use serde_json::json;

use super::walk::Found;
use crate::output;

/// What became of all files.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) ready: usize,
    pub(super) unchanged: usize,
    pub(super) failed: usize,
    pub(super) skipped: usize,
}

// === impl Tally ===

impl Tally {
    /// What became of the files of one call.
    pub(super) fn take(
        &mut self,
        json: bool,
        files: &[Found],
        response: pb::IngestResponse,
    ) -> anyhow::Result<()> {
        for (found, result) in files.iter().zip(response.results) {
            if let Some(error) = &result.error {
                self.fail(json, found, &error.message)?;
                continue;
            }
            let state = if result.unchanged {
                self.unchanged += 1;
                "unchanged"
            } else {
                self.ready += 1;
                "ready"
            };
            if json {
                let document = result.document.unwrap_or_default();
                output::object(&json!({
                    "path": found.path,
                    "document": result.name,
                    "state": state,
                    "title": document.title,
                    "docType": document.doc_type.map(|kind| kind.doc_type),
                    "chunks": document.chunk_count,
                }))?;
            }
        }
        Ok(())
    }

    pub(super) fn fail(&mut self, json: bool, found: &Found, why: &str) -> anyhow::Result<()> {
        self.failed += 1;
        if json {
            return output::object(&json!({ "path": found.path, "state": "failed", "error": why }));
        }
        output::remark(&format!("failed {}: {why}", found.path.display()));
        Ok(())
    }

    pub(super) fn tell(&self, json: bool, space: &str) -> anyhow::Result<()> {
        let Self {
            ready,
            unchanged,
            failed,
            skipped,
        } = self;
        if json {
            return Ok(());
        }
        output::line(&format!(
            "{ready} taken into \"{space}\", {unchanged} there already, {failed} failed, {skipped} skipped"
        ))
    }
}
