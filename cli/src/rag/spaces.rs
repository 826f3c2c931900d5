//! `polyphony rag spaces`: which there are, and how they are made and deleted.

use std::process::ExitCode;

use polyphony_proto::rag::v1 as pb;
use serde_json::{Value, json};

use super::{connect, id};
use crate::args::{Mesh, Spaces, SpacesCommand};
use crate::output;

pub(super) async fn run(mesh: &Mesh, json: bool, args: Spaces) -> anyhow::Result<ExitCode> {
    let mut rag = connect(mesh).await?;
    match args.command.unwrap_or(SpacesCommand::List) {
        SpacesCommand::List => {
            let mut page_token = String::new();
            loop {
                let request = pb::ListSpacesRequest {
                    page_size: 1_000,
                    page_token,
                };
                let page = rag.list_spaces(request).await?.into_inner();
                page.spaces.iter().try_for_each(|space| tell(space, json))?;
                page_token = page.next_page_token;
                if page_token.is_empty() {
                    break;
                }
            }
        }
        SpacesCommand::Create {
            id,
            title,
            embedding_model,
            language,
        } => {
            let request = pb::CreateSpaceRequest {
                space: Some(pb::Space {
                    display_name: title.unwrap_or_default(),
                    embedding_model: embedding_model.unwrap_or_default(),
                    language_code: language.unwrap_or_default(),
                    ..pb::Space::default()
                }),
                space_id: id,
                request_id: String::new(),
            };
            tell(&rag.create_space(request).await?.into_inner(), json)?;
        }
        SpacesCommand::Delete { id, force } => {
            let name = format!("spaces/{id}");
            let request = pb::DeleteSpaceRequest {
                name: name.clone(),
                force,
                etag: String::new(),
            };
            rag.delete_space(request).await?;
            if json {
                output::object(&json!({ "deleted": name }))?;
            } else {
                output::line(&format!("deleted {id}"))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn tell(space: &pb::Space, json: bool) -> anyhow::Result<()> {
    if json {
        return output::object(&object(space));
    }
    output::line(&format!(
        "{:20}  {:>7} documents  {:>8} passages  {}  {}",
        id(&space.name),
        space.document_count,
        space.chunk_count,
        space.embedding_model,
        space.display_name,
    ))
}

fn object(space: &pb::Space) -> Value {
    json!({
        "name": space.name,
        "displayName": space.display_name,
        "owner": space.owner,
        "embeddingModel": space.embedding_model,
        "languageCode": space.language_code,
        "documentCount": space.document_count,
        "chunkCount": space.chunk_count,
        "sizeBytes": space.size_bytes,
        "indexEpoch": space.index_epoch,
        "etag": space.etag,
    })
}
