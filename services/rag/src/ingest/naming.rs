//! The ids of documents.

use sha2::{Digest, Sha256};

use crate::domain::Head;

/// The longest id.
const LONGEST_ID: usize = 128;
/// So many characters of an address are readable in an id that is made from it.
const READABLE: usize = 64;

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
}
