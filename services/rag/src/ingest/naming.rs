//! The ids of documents, and the rules of what a client says of one.

use polyphony_error::Fault;
use sha2::{Digest, Sha256};

use crate::Error;
use crate::domain::Head;

/// The longest id.
const LONGEST_ID: usize = 128;
/// So many characters of an address are readable in an id that is made from it.
const READABLE: usize = 64;
/// The most tags, and characters of one.
const MOST_TAGS: usize = 64;
const LONGEST_TAG: usize = 128;
/// Characters of a title, an address, a kind.
const LONGEST_TEXT: usize = 2_048;
const LONGEST_KIND: usize = 64;
/// Bytes of the client's data.
const MOST_METADATA: usize = 16 << 10;

/// What an id of a document is, for who chose another.
pub(crate) const ID_RULE: &str = "must be 1 to 128 of letters, digits, \".\", \"_\" and \"-\"";

/// Whether an id is 1 to 128 of letters, digits, ".", "_" and "-". "." and ".." are none.
pub(crate) fn is_id(id: &str) -> bool {
    (1..=LONGEST_ID).contains(&id.len())
        && !matches!(id, "." | "..")
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// The id of a document: its own, else made from its address, else from its bytes.
pub(crate) fn id_for(head: &Head, digest: &str) -> String {
    if let Some(id) = &head.id {
        return id.clone();
    }
    if head.source_uri.is_empty() {
        let hexadecimal = digest.strip_prefix("sha256:").unwrap_or(digest);
        return format!("doc-{}", hexadecimal.get(..24).unwrap_or(hexadecimal));
    }
    let name = head.source_uri.rsplit(['/', '\\']).find(|part| !part.is_empty());
    let readable: String = name
        .unwrap_or_default()
        .chars()
        .take(READABLE)
        .map(|c| {
            if c.is_ascii_alphanumeric() || "._-".contains(c) {
                c
            } else {
                '-'
            }
        })
        .collect();
    // The name alone is not the address: two folders may have the same.
    let digest = Sha256::digest(head.source_uri.as_bytes());
    let [a, b, c, d, e, f, ..] = digest[..] else {
        return readable;
    };
    format!("{readable}-{a:02x}{b:02x}{c:02x}{d:02x}{e:02x}{f:02x}")
}

/// Rules of what a client says of a document. `field` is its path in the request.
pub(crate) fn check_head(head: &Head, field: &str) -> Result<(), Error> {
    let refused = |part: &str, why: String| Err(Fault::invalid(format!("{field}.{part}"), why).into());
    if let Some(id) = &head.id
        && !is_id(id)
    {
        return refused("document_id", ID_RULE.to_owned());
    }
    for (part, text, most) in [
        ("source_uri", Some(&head.source_uri), LONGEST_TEXT),
        ("title", head.title.as_ref(), LONGEST_TEXT),
        ("media_type", Some(&head.media_type), LONGEST_KIND * 2),
        ("doc_type", head.doc_type.as_ref(), LONGEST_KIND),
        ("language_code", head.language.as_ref(), LONGEST_KIND),
    ] {
        let Some(text) = text else { continue };
        if text.chars().count() > most {
            return refused(part, format!("must be at most {most} characters"));
        }
        if text.chars().any(char::is_control) {
            return refused(part, "must not have control characters".to_owned());
        }
    }
    if head.tags.len() > MOST_TAGS {
        return refused("tags", format!("must be at most {MOST_TAGS}"));
    }
    for tag in &head.tags {
        let length = tag.chars().count();
        if !(1..=LONGEST_TAG).contains(&length) || tag.chars().any(char::is_control) {
            let why = format!("must be 1 to {LONGEST_TAG} characters each, without control characters");
            return refused("tags", why);
        }
    }
    let written = serde_json::to_string(&head.metadata).map_or(usize::MAX, |text| text.len());
    if written > MOST_METADATA {
        return refused(
            "metadata",
            format!("must be at most {MOST_METADATA} bytes as JSON"),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_made_from_the_address_and_two_addresses_never_share_one() {
        let at = |uri: &str| {
            let head = Head {
                source_uri: uri.to_owned(),
                ..Head::default()
            };
            id_for(&head, "sha256:abc")
        };
        let made = at("/docs/a/read me.md");
        assert!(made.starts_with("read-me.md-") && is_id(&made), "{made}");
        assert_ne!(made, at("/docs/b/read me.md"));
        assert_eq!(made, at("/docs/a/read me.md"));
        assert!(is_id(&at("///")) && is_id(&at("文書.md")));
        assert_eq!(at(""), "doc-abc");
    }

    #[test]
    fn what_is_too_much_is_refused_by_its_field() {
        let refused = |head: Head| check_head(&head, "document").unwrap_err().to_string();
        let head = Head::default;
        assert!(
            refused(Head {
                id: Some("a/b".to_owned()),
                ..head()
            })
            .starts_with("document.document_id")
        );
        assert!(
            refused(Head {
                tags: vec![String::new()],
                ..head()
            })
            .starts_with("document.tags")
        );
        assert!(
            refused(Head {
                title: Some("a\u{1f}".to_owned()),
                ..head()
            })
            .starts_with("document.title")
        );
        let large = serde_json::Map::from_iter([("a".to_owned(), "x".repeat(20_000).into())]);
        assert!(
            refused(Head {
                metadata: large,
                ..head()
            })
            .starts_with("document.metadata")
        );
        check_head(&head(), "document").unwrap();
    }
}
