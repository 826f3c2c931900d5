//! Spaces between the wire and the domain.

use std::ops::RangeInclusive;

use polyphony_chassis::operations::is_uuid;
use polyphony_error::Fault;
use polyphony_proto::rag::v1 as pb;
use polyphony_wire::Refusals;

use super::data::language;
use super::names;
use crate::domain::{Chunking, NewSpace, Space, SpaceChange, rules};

const PAGES: RangeInclusive<u32> = 0..=1_000;
/// The default size of a page.
const PAGE: usize = 100;

/// What a client may change.
const CHANGEABLE: [&str; 7] = [
    "display_name",
    "embedding_model",
    "language_code",
    "chunking",
    "chunking.target_tokens",
    "chunking.max_tokens",
    "chunking.overlap_tokens",
];

/// A space to make, and what the request calls itself.
#[derive(Debug)]
pub(crate) struct Create {
    pub(crate) new: NewSpace,
    /// A UUID; empty: none.
    pub(crate) request_id: String,
}

/// Parses a request to make a space.
pub(crate) fn create(wire: pb::CreateSpaceRequest) -> Result<Create, Fault> {
    let pb::CreateSpaceRequest {
        space,
        space_id,
        request_id,
    } = wire;
    let mut refusals = Refusals::at("");
    if !space_id.is_empty() && !names::is_space_id(&space_id) {
        refusals.add("space_id", names::SPACE_RULE);
    }
    self::request_id(&request_id, "request_id", &mut refusals);
    let space = space.unwrap_or_default();
    if !space.name.is_empty() {
        refusals.add("space.name", "must be empty; set space_id");
    }
    if !space.etag.is_empty() {
        refusals.add("space.etag", "must be empty: a new space has no version yet");
    }
    let said = Said::parse(space, &mut refusals);
    let chunking = said.chunking.over(Chunking::default());
    rules::chunking(chunking, &mut refusals);
    refusals.finish()?;
    Ok(Create {
        new: NewSpace {
            id: (!space_id.is_empty()).then_some(space_id),
            display_name: said.display_name,
            embedding_model: said.embedding_model,
            language: said.language,
            chunking,
        },
        request_id,
    })
}

/// A change of a space that is well asked for.
#[derive(Debug)]
pub(crate) struct Update {
    /// The space's id.
    pub(crate) space: String,
    etag: String,
    said: Said,
    fields: Vec<&'static str>,
}

impl Update {
    /// Parses a request to change a space.
    pub(crate) fn parse(wire: pb::UpdateSpaceRequest) -> Result<Self, Fault> {
        let pb::UpdateSpaceRequest { space, update_mask } = wire;
        let space = space.ok_or_else(|| Fault::invalid("space", "must be set"))?;
        let id = names::space(&space.name, "space.name")?;
        let mut refusals = Refusals::at("");
        let fields = match update_mask {
            None => CHANGEABLE.to_vec(),
            Some(mask) => {
                let mut fields = Vec::new();
                for (at, path) in mask.paths.iter().enumerate() {
                    match CHANGEABLE.iter().find(|field| *field == path) {
                        Some(field) => fields.push(*field),
                        None => refusals.add(
                            &format!("update_mask.paths[{at}]"),
                            format!("must be one of {}", CHANGEABLE.join(", ")),
                        ),
                    }
                }
                fields
            }
        };
        let etag = space.etag.clone();
        let said = Said::parse(space, &mut refusals);
        refusals.finish()?;
        Ok(Self {
            space: id,
            etag,
            said,
            fields,
        })
    }

    /// The change of a space that is cut like this now.
    pub(crate) fn change(self, now: Chunking) -> Result<SpaceChange, Fault> {
        let Self {
            etag, said, fields, ..
        } = self;
        let has = |field: &str| fields.contains(&field);
        let all = has("chunking");
        let Chunks { target, max, overlap } = said.chunking;
        let base = if all { Chunking::default() } else { now };
        let chunks = Chunks {
            target: target.filter(|_| all || has("chunking.target_tokens")),
            max: max.filter(|_| all || has("chunking.max_tokens")),
            overlap: overlap.filter(|_| all || has("chunking.overlap_tokens")),
        };
        let chunking = chunks.over(base);
        let mut refusals = Refusals::at("");
        rules::chunking(chunking, &mut refusals);
        refusals.finish()?;
        Ok(SpaceChange {
            display_name: has("display_name").then_some(said.display_name),
            // Empty is the server's default; an update that says nothing leaves what there is.
            embedding_model: (has("embedding_model") && !said.embedding_model.is_empty())
                .then_some(said.embedding_model),
            language: has("language_code").then_some(said.language),
            chunking: fields
                .iter()
                .any(|field| field.starts_with("chunking"))
                .then_some(chunking),
            etag,
        })
    }
}

/// What a client says of a space.
#[derive(Debug)]
struct Said {
    display_name: String,
    embedding_model: String,
    language: Option<String>,
    chunking: Chunks,
}

#[derive(Debug, Default, Clone, Copy)]
struct Chunks {
    target: Option<u32>,
    max: Option<u32>,
    overlap: Option<u32>,
}

impl Said {
    fn parse(wire: pb::Space, refusals: &mut Refusals) -> Self {
        // Names and etags are the caller's of this; counts and times are the server's to say, and ignored (AIP-203).
        let pb::Space {
            name: _,
            display_name,
            owner: _,
            embedding_model,
            language_code,
            chunking,
            document_count: _,
            chunk_count: _,
            size_bytes: _,
            index_epoch: _,
            etag: _,
            create_time: _,
            update_time: _,
        } = wire;
        rules::display_name(&display_name, refusals);
        rules::embedding_model(&embedding_model, refusals);
        let pb::ChunkingConfig {
            target_tokens,
            max_tokens,
            overlap_tokens,
        } = chunking.unwrap_or_default();
        let chunking = Chunks {
            target: target_tokens,
            max: max_tokens,
            overlap: overlap_tokens,
        };
        Self {
            display_name,
            embedding_model,
            language: language(language_code, "space.language_code", refusals),
            chunking,
        }
    }
}

impl Chunks {
    /// With what is not said taken from `base`. A target alone takes the limit along.
    fn over(self, base: Chunking) -> Chunking {
        let target_tokens = self.target.unwrap_or(base.target_tokens);
        let max_tokens = self.max.unwrap_or_else(|| base.max_tokens.max(target_tokens));
        Chunking {
            target_tokens: if self.target.is_none() {
                target_tokens.min(max_tokens)
            } else {
                target_tokens
            },
            max_tokens,
            overlap_tokens: self
                .overlap
                .unwrap_or_else(|| base.overlap_tokens.min(target_tokens / 2)),
        }
    }
}

/// Refuses a `request_id` that is no UUID.
pub(crate) fn request_id(id: &str, field: &str, refusals: &mut Refusals) {
    if !id.is_empty() && !is_uuid(id) {
        refusals.add(
            field,
            "must be a UUID, as \"7f0c1f9e-3d3a-4a35-9df5-0b8f5a6d7c11\"",
        );
    }
}

/// The size of a page of a list.
pub(crate) fn page_size(size: u32) -> Result<usize, Fault> {
    if !PAGES.contains(&size) {
        return Err(Fault::invalid("page_size", "must be 1 to 1000; 0 is 100"));
    }
    Ok(if size == 0 { PAGE } else { size as usize })
}

/// A space as its owner sees it.
pub(crate) fn wire(space: Space) -> pb::Space {
    let Space {
        id,
        display_name,
        owner,
        embedding_model,
        language,
        chunking,
        documents,
        passages,
        size_bytes,
        epoch,
        etag,
        created,
        updated,
    } = space;
    pb::Space {
        name: names::of_space(&id),
        display_name,
        owner,
        embedding_model,
        language_code: language.unwrap_or_default(),
        chunking: Some(pb::ChunkingConfig {
            target_tokens: Some(chunking.target_tokens),
            max_tokens: Some(chunking.max_tokens),
            overlap_tokens: Some(chunking.overlap_tokens),
        }),
        document_count: documents,
        chunk_count: passages,
        size_bytes,
        index_epoch: epoch,
        etag,
        create_time: Some(created.into()),
        update_time: Some(updated.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunked(target: Option<u32>, max: Option<u32>, overlap: Option<u32>) -> pb::Space {
        pb::Space {
            name: "spaces/a".to_owned(),
            chunking: Some(pb::ChunkingConfig {
                target_tokens: target,
                max_tokens: max,
                overlap_tokens: overlap,
            }),
            ..pb::Space::default()
        }
    }

    fn update(space: pb::Space, paths: &[&str]) -> Result<SpaceChange, Fault> {
        update_of(Chunking::default(), space, paths)
    }

    fn update_of(now: Chunking, space: pb::Space, paths: &[&str]) -> Result<SpaceChange, Fault> {
        let update_mask = (!paths.is_empty()).then(|| prost_types::FieldMask {
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        });
        let space = Some(space);
        Update::parse(pb::UpdateSpaceRequest { space, update_mask })?.change(now)
    }

    #[test]
    fn a_part_of_chunking_is_held_against_what_the_space_has() {
        let long = Chunking {
            target_tokens: 1_500,
            max_tokens: 8_000,
            overlap_tokens: 100,
        };
        let space = chunked(None, None, Some(450));
        let change = update_of(long, space.clone(), &["chunking.overlap_tokens"]).expect("it fits");
        let expected = Chunking {
            overlap_tokens: 450,
            ..long
        };
        assert_eq!(change.chunking, Some(expected));
        let fault = update(space, &["chunking.overlap_tokens"]).expect_err("more than the target");
        assert_eq!(fault.violations[0].field, "space.chunking.overlap_tokens");
    }

    #[test]
    fn a_mask_changes_what_it_names_and_nothing_else() {
        let mut space = chunked(Some(100), None, Some(10));
        space.display_name = "A".to_owned();
        let change = update(space.clone(), &["chunking.overlap_tokens"]).expect("a change");
        assert_eq!(change.display_name, None);
        let expected = Chunking {
            overlap_tokens: 10,
            ..Chunking::default()
        };
        assert_eq!(change.chunking, Some(expected));
        let all = update(space, &[]).expect("a change");
        assert_eq!(all.display_name.as_deref(), Some("A"));
        assert_eq!(all.language, Some(None));
        assert_eq!(all.chunking.map(|chunking| chunking.target_tokens), Some(100));
        let fault = update(chunked(None, None, None), &["owner"]).expect_err("not to be changed");
        assert_eq!(fault.violations[0].field, "update_mask.paths[0]");
    }

    #[test]
    fn chunking_that_cannot_be_is_refused_by_its_path() {
        for (space, field) in [
            (chunked(Some(49), None, None), "space.chunking.target_tokens"),
            (chunked(Some(400), Some(300), None), "space.chunking.max_tokens"),
            (
                chunked(Some(100), None, Some(100)),
                "space.chunking.overlap_tokens",
            ),
            (chunked(None, None, Some(501)), "space.chunking.overlap_tokens"),
        ] {
            let fault = update(space, &[]).expect_err("refused");
            assert_eq!(fault.violations[0].field, field);
        }
        let small = update(chunked(Some(60), None, None), &[]).expect("a change");
        assert_eq!(small.chunking.map(|chunking| chunking.overlap_tokens), Some(30));
        let tight = update(chunked(None, Some(200), None), &[]).expect("a change");
        assert_eq!(tight.chunking.map(|chunking| chunking.target_tokens), Some(200));
    }
}
