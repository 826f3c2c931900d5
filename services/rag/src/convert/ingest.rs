//! Ingestions on the wire: what documents are announced with, and how far they are.

use polyphony_error::{Fault, Kind};
use polyphony_proto::rag::v1 as pb;
use polyphony_proto::types::v1 as types;
use polyphony_wire::Refusals;
use prost::bytes::Bytes;

use super::{data, names, space};
use crate::domain::{Head, rules};
use crate::engine::Step;
use crate::ingest::ConflictPolicy;

/// Where documents go.
#[derive(Debug)]
pub(crate) struct Config {
    /// The space's id.
    pub(crate) space: String,
    /// A UUID; empty: none.
    pub(crate) request_id: String,
    /// For every document.
    pub(crate) tags: Vec<String>,
    pub(crate) policy: ConflictPolicy,
}

/// A document before its bytes.
#[derive(Debug)]
pub(crate) struct Announced {
    pub(crate) head: Head,
    /// Where its bytes are, if not in the messages that follow.
    pub(crate) media: Option<Media>,
}

/// A document's bytes, or where they are.
#[derive(Debug)]
pub(crate) enum Media {
    Inline(Bytes),
    /// An address that nobody has looked at yet.
    Uri(String),
}

/// Parses the first message of an ingestion.
pub(crate) fn config(wire: pb::IngestConfig) -> Result<Config, Fault> {
    let pb::IngestConfig {
        space,
        request_id,
        tags,
        conflict_policy,
    } = wire;
    let id = names::space(&space, "config.space")?;
    let mut refusals = Refusals::at("config.");
    space::request_id(&request_id, "request_id", &mut refusals);
    let tags = data::once(tags);
    rules::tags(&tags, "tags", &mut refusals);
    let policy = match pb::ConflictPolicy::try_from(conflict_policy) {
        Ok(pb::ConflictPolicy::Unspecified | pb::ConflictPolicy::Replace) => ConflictPolicy::Replace,
        Ok(pb::ConflictPolicy::Skip) => ConflictPolicy::Skip,
        Ok(pb::ConflictPolicy::Fail) => ConflictPolicy::Fail,
        Err(_) => {
            refusals.add("conflict_policy", "must be one of ConflictPolicy");
            ConflictPolicy::Replace
        }
    };
    refusals.finish()?;
    Ok(Config {
        space: id,
        request_id,
        tags,
        policy,
    })
}

/// Parses what announces a document, and puts the tags of all documents on it. `is_known` says whether documents of a media
/// type can be taken in.
pub(crate) fn document(
    wire: pb::DocumentHead,
    tags: &[String],
    is_known: impl FnOnce(&str) -> bool,
) -> Result<Announced, Fault> {
    let pb::DocumentHead {
        document_id,
        source_uri,
        title,
        media_type,
        doc_type,
        tags: own,
        metadata,
        document_time,
        language_code,
        media,
    } = wire;
    let mut refusals = Refusals::at("document.");
    let media_type = media_type.trim().to_owned();
    if !media_type.is_empty() && !is_known(&media_type) {
        let problem = "is not known here; GetCapabilities lists those that are, and it may be left empty";
        refusals.add("media_type", problem);
    }
    let mut all = tags.to_vec();
    all.extend(own);
    let head = Head {
        id: given(document_id),
        source_uri,
        title: given(title),
        media_type,
        doc_type: given(doc_type),
        tags: data::once(all),
        metadata: data::map(metadata, "metadata", &mut refusals),
        time: data::time(document_time, "document_time", &mut refusals),
        language: given(language_code),
    };
    rules::head(&head, &mut refusals);
    refusals.finish()?;
    let media = media.map(self::media).transpose()?;
    Ok(Announced { head, media })
}

fn given(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn media(wire: types::Media) -> Result<Media, Fault> {
    use types::media::Source;

    let types::Media { source } = wire;
    match source {
        None => Err(Fault::invalid(
            "document.media",
            "must have a source; leave it out where content messages follow",
        )),
        Some(Source::Inline(bytes)) if bytes.is_empty() => {
            let problem = "is empty; put the bytes of the document into it, or send content messages";
            Err(Fault::invalid("document.media.inline", problem).with_reason("EMPTY_MEDIA"))
        }
        Some(Source::Inline(bytes)) => Ok(Media::Inline(bytes)),
        Some(Source::Uri(uri)) => Ok(Media::Uri(uri)),
        Some(Source::BlobDigest(_)) => {
            let message = "document.media.blob_digest: there is no blob store here; send the bytes";
            let fault = Fault::new(Kind::Unimplemented, "BLOB_STORE_ABSENT", message);
            Err(fault.and_invalid("document.media.blob_digest", "is not supported"))
        }
    }
}

/// A step of an ingestion.
pub(crate) const fn stage(step: Step) -> pb::IngestStage {
    match step {
        Step::Parsing => pb::IngestStage::Parsing,
        Step::Recognizing => pb::IngestStage::Recognizing,
        Step::Chunking => pb::IngestStage::Chunking,
        Step::Embedding => pb::IngestStage::Embedding,
        Step::Indexing => pb::IngestStage::Indexing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announced(head: pb::DocumentHead) -> Result<Announced, Fault> {
        document(head, &["all".to_owned()], |media_type| media_type == "text/plain")
    }

    #[test]
    fn a_document_has_the_tags_of_all_and_its_own() {
        let head = pb::DocumentHead {
            tags: vec!["own".to_owned(), "all".to_owned()],
            media_type: "text/plain".to_owned(),
            ..pb::DocumentHead::default()
        };
        let announced = announced(head).expect("a document");
        assert_eq!(announced.head.tags, ["all", "own"]);
        assert!(announced.head.id.is_none() && announced.media.is_none());
    }

    #[test]
    fn what_cannot_be_is_refused_by_its_path() {
        let head = pb::DocumentHead {
            document_id: "../x".to_owned(),
            title: "x".repeat(501),
            media_type: "video/mp4".to_owned(),
            language_code: "x".to_owned(),
            document_time: Some(prost_types::Timestamp {
                seconds: i64::MAX,
                nanos: 0,
            }),
            ..pb::DocumentHead::default()
        };
        let fault = announced(head).expect_err("refused");
        let fields: Vec<&str> = fault
            .violations
            .iter()
            .map(|violation| &*violation.field)
            .collect();
        assert_eq!(
            fields,
            [
                "document.media_type",
                "document.document_time",
                "document.document_id",
                "document.title",
                "document.language_code",
            ]
        );
        let blob = pb::DocumentHead {
            media: Some(types::Media {
                source: Some(types::media::Source::BlobDigest("sha256:00".to_owned())),
            }),
            ..pb::DocumentHead::default()
        };
        assert_eq!(announced(blob).expect_err("refused").kind, Kind::Unimplemented);
    }

    #[test]
    fn the_first_message_is_checked() {
        let good = pb::IngestConfig {
            space: "spaces/a".to_owned(),
            conflict_policy: pb::ConflictPolicy::Skip.into(),
            ..pb::IngestConfig::default()
        };
        assert_eq!(
            config(good.clone()).expect("a config").policy,
            ConflictPolicy::Skip
        );
        let bad = pb::IngestConfig {
            request_id: "1".to_owned(),
            conflict_policy: 7,
            ..good.clone()
        };
        assert_eq!(config(bad).expect_err("refused").violations.len(), 2);
        let elsewhere = pb::IngestConfig {
            space: "a".to_owned(),
            ..good
        };
        assert_eq!(
            config(elsewhere).expect_err("refused").violations[0].field,
            "config.space"
        );
    }
}
