//! The names of resources: `spaces/{space}` and `spaces/{space}/documents/{document}`.

use std::fmt;

use polyphony_error::Fault;

pub(crate) use crate::ingest::is_id as is_document_id;
pub(crate) use crate::store::{ID_RULE as SPACE_RULE, is_id as is_space_id};

/// The id in the name of a space, which stands in `field`.
pub(crate) fn space(name: &str, field: &'static str) -> Result<String, Fault> {
    let id = name.strip_prefix("spaces/").filter(|id| is_space_id(id));
    id.map(str::to_owned)
        .ok_or_else(|| Fault::invalid(field, "must be the name of a space, as \"spaces/handbooks\""))
}

/// The ids of space and document in the name of a document, which stands in `field`.
pub(crate) fn document(name: &str, field: &'static str) -> Result<(String, String), Fault> {
    split(name)
        .map(|(space, document)| (space.to_owned(), document.to_owned()))
        .ok_or_else(|| {
            Fault::invalid(
                field,
                "must be the name of a document, as \"spaces/handbooks/documents/engine.md\"",
            )
        })
}

/// The ids of space and document in the name of a document.
pub(crate) fn split(name: &str) -> Option<(&str, &str)> {
    let (space, document) = name.strip_prefix("spaces/")?.split_once("/documents/")?;
    (is_space_id(space) && is_document_id(document)).then_some((space, document))
}

/// The name of a space.
pub(crate) fn of_space(id: &str) -> String {
    format!("spaces/{id}")
}

/// The name of a document.
pub(crate) fn of_document(space: &str, id: impl fmt::Display) -> String {
    format!("spaces/{space}/documents/{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_names_are_names() {
        assert_eq!(space("spaces/a-1", "space").expect("a name"), "a-1");
        let found = document("spaces/a/documents/b_C.md", "name").expect("a name");
        assert_eq!(found, ("a".to_owned(), "b_C.md".to_owned()));
        for wrong in [
            "",
            "a",
            "spaces/",
            "spaces/A",
            "spaces/1a",
            "spaces/a/documents/b",
            "spaces/a/",
        ] {
            assert_eq!(
                space(wrong, "space").expect_err("no name").violations[0].field,
                "space"
            );
        }
        for wrong in [
            "spaces/a",
            "spaces/a/documents/",
            "spaces/a/documents/..",
            "spaces/a/documents/b/c",
            "spaces/a/documents/b%2f",
            "spaces/a/documents/b\0",
        ] {
            document(wrong, "name").expect_err("no name");
        }
    }
}
