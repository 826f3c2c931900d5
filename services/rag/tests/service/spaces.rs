//! Spaces: made once, changed by version, listed in pages, deleted.

use polyphony_proto::rag::v1 as pb;
use prost_types::FieldMask;
use tonic::Code;

use super::support::{WINGS, assert_field, assert_status, served};

const UUID: &str = "7f0c1f9e-3d3a-4a35-9df5-0b8f5a6d7c11";

#[tokio::test]
async fn a_space_is_made_once_for_a_request() {
    let mut served = served(&[]).await;
    let request = pb::CreateSpaceRequest {
        space: Some(pb::Space {
            display_name: "Handbooks".to_owned(),
            ..pb::Space::default()
        }),
        space_id: "handbooks".to_owned(),
        request_id: UUID.to_owned(),
    };
    let made = served
        .rag
        .create_space(request.clone())
        .await
        .expect("made")
        .into_inner();
    assert_eq!(made.name, "spaces/handbooks");
    assert_eq!(made.owner, "anonymous");
    assert!(made.embedding_model.starts_with("all-MiniLM-L6-v2"), "{made:?}");
    let chunking = made.chunking.expect("filled in");
    assert_eq!(
        (chunking.target_tokens, chunking.overlap_tokens),
        (Some(400), Some(50))
    );
    let again = served
        .rag
        .create_space(request.clone())
        .await
        .expect("the same")
        .into_inner();
    assert_eq!(again, made);
    let other = pb::CreateSpaceRequest {
        request_id: String::new(),
        ..request
    };
    let status = served.rag.create_space(other).await.expect_err("there already");
    assert_status(&status, Code::AlreadyExists, "SPACE_EXISTS");
    let chosen = served.rag.create_space(pb::CreateSpaceRequest::default()).await;
    assert!(chosen.expect("made").into_inner().name.len() > "spaces/".len());
}

#[tokio::test]
async fn a_change_names_its_fields_and_its_version() {
    let mut served = served(&[]).await;
    let made = served.make("a").await;
    let mask = |paths: &[&str]| {
        Some(FieldMask {
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        })
    };
    let change = pb::UpdateSpaceRequest {
        space: Some(pb::Space {
            display_name: "A".to_owned(),
            language_code: "de".to_owned(),
            ..made.clone()
        }),
        update_mask: mask(&["display_name"]),
    };
    let changed = served
        .rag
        .update_space(change.clone())
        .await
        .expect("changed")
        .into_inner();
    assert_eq!(
        (changed.display_name.as_str(), changed.language_code.as_str()),
        ("A", "")
    );
    assert_ne!(changed.etag, made.etag);
    let status = served
        .rag
        .update_space(change.clone())
        .await
        .expect_err("an older version");
    assert_status(&status, Code::Aborted, "SPACE_CHANGED");
    let wrong = pb::UpdateSpaceRequest {
        update_mask: mask(&["owner"]),
        ..change
    };
    let status = served
        .rag
        .update_space(wrong)
        .await
        .expect_err("not to be changed");
    assert_field(&status, "update_mask.paths[0]");
}

#[tokio::test]
async fn spaces_are_listed_in_pages_by_name() {
    let mut served = served(&[]).await;
    for space in ["c", "a", "b"] {
        served.make(space).await;
    }
    let mut names = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = pb::ListSpacesRequest {
            page_size: 2,
            page_token,
        };
        let page = served
            .rag
            .list_spaces(request)
            .await
            .expect("a page")
            .into_inner();
        names.push(
            page.spaces
                .into_iter()
                .map(|space| space.name)
                .collect::<Vec<_>>(),
        );
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(names, [vec!["spaces/a", "spaces/b"], vec!["spaces/c"]]);
}

#[tokio::test]
async fn a_space_with_documents_is_deleted_only_by_force() {
    let mut served = served(&[]).await;
    served.fill("a", &[("wings.md", WINGS)]).await;
    let gone = |force, etag: &str| pb::DeleteSpaceRequest {
        name: "spaces/a".to_owned(),
        force,
        etag: etag.to_owned(),
    };
    let status = served
        .rag
        .delete_space(gone(false, ""))
        .await
        .expect_err("not empty");
    assert_status(&status, Code::FailedPrecondition, "SPACE_NOT_EMPTY");
    let status = served
        .rag
        .delete_space(gone(true, "old"))
        .await
        .expect_err("another version");
    assert_status(&status, Code::Aborted, "SPACE_CHANGED");
    served.rag.delete_space(gone(true, "")).await.expect("deleted");
    let get = pb::GetSpaceRequest {
        name: "spaces/a".to_owned(),
    };
    let status = served.rag.get_space(get).await.expect_err("gone");
    assert_status(&status, Code::NotFound, "NOT_FOUND");
    served.make("a").await;
    assert!(
        served.found("a", "wing").await.is_empty(),
        "nothing of the old one is in the new"
    );
}
