//! What may be said of a space, a document and a query: each rule once, for requests and for who uses the store itself.
//!
//! A rule adds what breaks it to the refusals, under the name that the field has in requests.

use std::ops::RangeInclusive;

use polyphony_wire::Refusals;

use super::{Chunking, Filter, Fusion, Head, Query, Retrieval};

/// The most hits of a search.
pub(crate) const MOST_HITS: u32 = 1_000;
/// The most characters of a query.
const MOST_QUERY: usize = 4_000;
/// The most documents and kinds of a filter.
pub(crate) const MOST_NAMES: usize = 1_000;
/// Characters of a document's title, of its address, of its media type or kind, of a tag, and of a model's id.
const MOST_TITLE: usize = 500;
const MOST_ADDRESS: usize = 2_000;
const MOST_WORD: usize = 100;
const MOST_MODEL: usize = 200;
/// The most tags.
const MOST_TAGS: usize = 64;
/// Bytes of a client's data as JSON: of the 16 KiB that a request may bring each may take six there.
const MOST_METADATA: usize = 96 << 10;
/// Characters of a space's title.
const MOST_NAME: usize = 100;
/// Bytes of a language's tag.
const MOST_LANGUAGE: usize = 35;

const SHARES: RangeInclusive<f32> = 0.0..=1.0;
const RRF: RangeInclusive<u32> = 1..=1_000;
const CANDIDATES: RangeInclusive<u32> = 1..=10_000;
const TARGETS: RangeInclusive<u32> = 50..=2_000;
/// The longest passage that any embedding model reads.
const MOST_TOKENS: u32 = 8_192;
const MOST_OVERLAP: u32 = 500;

/// A whole query.
pub(crate) fn query(query: &Query, refusals: &mut Refusals) {
    let Query {
        text,
        filter,
        retrieval,
        page_size,
        page: _,
    } = query;
    self::text(text, refusals);
    if !(1..=MOST_HITS as usize).contains(page_size) {
        refusals.add("page_size", format!("must be 1 to {MOST_HITS}"));
    }
    self::filter(filter, refusals);
    self::retrieval(retrieval, refusals);
}

/// What is looked for, or asked.
pub(crate) fn text(query: &str, refusals: &mut Refusals) {
    if query.trim().is_empty() {
        refusals.add("query", "must say what is looked for");
    } else if longer(query, MOST_QUERY) {
        refusals.add("query", format!("must have at most {MOST_QUERY} characters"));
    }
}

/// Which passages may be found; the documents that it names are looked for in the ledger.
pub(crate) fn filter(filter: &Filter, refusals: &mut Refusals) {
    let Filter {
        doc_types,
        tags,
        documents,
        from,
        until,
        metadata: _,
    } = filter;
    let is_wrong = |kind: &String| kind.is_empty() || longer(kind, MOST_WORD);
    if doc_types.len() > MOST_NAMES || doc_types.iter().any(is_wrong) {
        let problem = format!("must be at most {MOST_NAMES} kinds of 1 to {MOST_WORD} characters");
        refusals.add("filter.doc_types", problem);
    }
    if documents.len() > MOST_NAMES {
        refusals.add("filter.documents", format!("must be at most {MOST_NAMES} names"));
    }
    self::tags(tags, "filter.tags", refusals);
    if let (Some(from), Some(until)) = (from, until)
        && from >= until
    {
        refusals.add("filter.document_time_until", "must be after document_time_from");
    }
}

/// How to retrieve.
pub(crate) fn retrieval(retrieval: &Retrieval, refusals: &mut Refusals) {
    let Retrieval {
        fusion,
        dense_weight,
        rrf_k,
        candidates,
        score_threshold,
        diversity,
        rerank,
        rerank_model,
        max_per_document,
        exact: _,
    } = retrieval;
    let mut refuse = |field: &str, problem: String| refusals.add(&format!("retrieval.{field}"), problem);
    let share = "must be 0 to 1";
    if dense_weight.is_some_and(|weight| !SHARES.contains(&weight)) {
        refuse("dense_weight", share.to_owned());
    }
    if dense_weight.is_some() && *fusion != Fusion::RelativeScore {
        refuse("dense_weight", "is only for RELATIVE_SCORE".to_owned());
    }
    if rrf_k.is_some_and(|k| !RRF.contains(&k)) {
        refuse("rrf_k", format!("must be {} to {}", RRF.start(), RRF.end()));
    }
    if rrf_k.is_some() && *fusion != Fusion::Rrf {
        refuse("rrf_k", "is only for RRF".to_owned());
    }
    if candidates.is_some_and(|candidates| !CANDIDATES.contains(&candidates)) {
        let problem = format!("must be {} to {}", CANDIDATES.start(), CANDIDATES.end());
        refuse("candidates", problem);
    }
    if score_threshold.is_some_and(|threshold| !threshold.is_finite()) {
        refuse("score_threshold", "must be a number".to_owned());
    }
    if diversity.is_some_and(|diversity| !SHARES.contains(&diversity)) {
        refuse("diversity", share.to_owned());
    }
    if longer(rerank_model, MOST_MODEL) {
        refuse(
            "rerank_model",
            format!("must have at most {MOST_MODEL} characters"),
        );
    }
    if !rerank_model.is_empty() && *rerank == Some(false) {
        refuse("rerank_model", "must be empty where rerank is false".to_owned());
    }
    if *max_per_document == Some(0) {
        refuse("max_per_document", "must be at least 1".to_owned());
    }
}

/// What a client says of a document.
pub(crate) fn head(head: &Head, refusals: &mut Refusals) {
    let Head {
        id,
        source_uri,
        title,
        media_type,
        doc_type,
        tags,
        metadata,
        time: _,
        language,
    } = head;
    if id.as_ref().is_some_and(|id| !crate::ingest::is_id(id)) {
        refusals.add("document_id", crate::ingest::ID_RULE);
    }
    words(source_uri, MOST_ADDRESS, "source_uri", refusals);
    words(media_type, MOST_WORD, "media_type", refusals);
    for (field, text, most) in [("title", title, MOST_TITLE), ("doc_type", doc_type, MOST_WORD)] {
        if let Some(text) = text {
            words(text, most, field, refusals);
        }
    }
    self::tags(tags, "tags", refusals);
    if let Some(language) = language {
        self::language(language, "language_code", refusals);
    }
    let written = serde_json::to_string(metadata).map_or(usize::MAX, |text| text.len());
    if written > MOST_METADATA {
        let problem = format!("must have at most {MOST_METADATA} bytes as JSON");
        refusals.add("metadata", problem);
    }
}

/// Tags of a document, or those that it must have.
pub(crate) fn tags(tags: &[String], field: &str, refusals: &mut Refusals) {
    let is_wrong = |tag: &String| tag.is_empty() || longer(tag, MOST_WORD) || has_control(tag);
    if tags.len() > MOST_TAGS || tags.iter().any(is_wrong) {
        let problem = format!(
            "must be at most {MOST_TAGS} words of 1 to {MOST_WORD} characters each, without control characters"
        );
        refusals.add(field, problem);
    }
}

/// A language.
pub(crate) fn language(tag: &str, field: &str, refusals: &mut Refusals) {
    let is_within = |part: &str, sizes: RangeInclusive<usize>, of: fn(&u8) -> bool| {
        sizes.contains(&part.len()) && part.bytes().all(|byte| of(&byte))
    };
    let mut parts = tag.split('-');
    let is_tag = tag.len() <= MOST_LANGUAGE
        && parts
            .next()
            .is_some_and(|language| is_within(language, 2..=8, u8::is_ascii_alphabetic))
        && parts.all(|part| is_within(part, 1..=8, u8::is_ascii_alphanumeric));
    if !is_tag {
        refusals.add(field, "must be a BCP-47 tag, as \"en\" or \"pt-BR\"");
    }
}

/// A title of a space.
pub(crate) fn display_name(title: &str, refusals: &mut Refusals) {
    words(title, MOST_NAME, "space.display_name", refusals);
}

/// The id of an embedding model of a space.
pub(crate) fn embedding_model(id: &str, refusals: &mut Refusals) {
    words(id, MOST_MODEL, "space.embedding_model", refusals);
}

/// How documents are cut.
pub(crate) fn chunking(chunking: Chunking, refusals: &mut Refusals) {
    let Chunking {
        target_tokens: target,
        max_tokens,
        overlap_tokens,
    } = chunking;
    if !TARGETS.contains(&target) {
        let problem = format!("must be {} to {}", TARGETS.start(), TARGETS.end());
        refusals.add("space.chunking.target_tokens", problem);
    }
    if !(target..=MOST_TOKENS).contains(&max_tokens) {
        let problem = format!("must be {MOST_TOKENS} at most, and at least target_tokens ({target})");
        refusals.add("space.chunking.max_tokens", problem);
    }
    if overlap_tokens > MOST_OVERLAP || overlap_tokens >= target {
        let problem = format!("must be {MOST_OVERLAP} at most, and below target_tokens ({target})");
        refusals.add("space.chunking.overlap_tokens", problem);
    }
}

/// Words for a person, in a line.
fn words(text: &str, most: usize, field: &str, refusals: &mut Refusals) {
    if longer(text, most) || has_control(text) {
        let problem = format!("must have at most {most} characters, and no control characters");
        refusals.add(field, problem);
    }
}

fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

/// Whether a text has more than so many characters.
pub(crate) fn longer(text: &str, most: usize) -> bool {
    text.len() > most && text.chars().nth(most).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(rule: impl FnOnce(&mut Refusals)) -> Vec<String> {
        let mut refusals = Refusals::at("");
        rule(&mut refusals);
        let fault = refusals.finish().err();
        let violations = fault.into_iter().flat_map(|fault| fault.violations);
        violations.map(|violation| violation.field.into_owned()).collect()
    }

    #[test]
    fn what_is_too_much_of_a_document_is_refused_by_its_field() {
        let wrong = Head {
            id: Some("a/b".to_owned()),
            source_uri: "x".repeat(MOST_ADDRESS + 1),
            title: Some("a\u{1f}".to_owned()),
            media_type: "text/\n".to_owned(),
            doc_type: Some("ä".repeat(MOST_WORD + 1)),
            tags: vec![String::new()],
            metadata: serde_json::Map::from_iter([("a".to_owned(), "x".repeat(100_000).into())]),
            time: None,
            language: Some("e".to_owned()),
        };
        assert_eq!(
            broken(|refusals| head(&wrong, refusals)),
            [
                "document_id",
                "source_uri",
                "media_type",
                "title",
                "doc_type",
                "tags",
                "language_code",
                "metadata"
            ]
        );
        let most = Head {
            title: Some("ä".repeat(MOST_TITLE)),
            tags: vec!["ä".repeat(MOST_WORD); MOST_TAGS],
            language: Some("zh-Hant-TW".to_owned()),
            ..Head::default()
        };
        assert!(broken(|refusals| head(&most, refusals)).is_empty());
        let too_many = vec!["a".to_owned(); MOST_TAGS + 1];
        assert_eq!(broken(|refusals| tags(&too_many, "tags", refusals)), ["tags"]);
    }

    #[test]
    fn chunks_have_room_for_their_overlap_and_for_long_models() {
        let of = |target_tokens, max_tokens, overlap_tokens| {
            let chunking = Chunking {
                target_tokens,
                max_tokens,
                overlap_tokens,
            };
            broken(|refusals| self::chunking(chunking, refusals))
        };
        assert!(of(400, 600, 50).is_empty());
        assert!(of(2_000, 8_192, 500).is_empty());
        assert_eq!(of(49, 600, 10), ["space.chunking.target_tokens"]);
        assert_eq!(of(400, 399, 50), ["space.chunking.max_tokens"]);
        assert_eq!(of(400, 8_193, 50), ["space.chunking.max_tokens"]);
        assert_eq!(of(100, 600, 100), ["space.chunking.overlap_tokens"]);
        assert_eq!(of(2_000, 2_000, 501), ["space.chunking.overlap_tokens"]);
    }

    #[test]
    fn a_time_ends_after_it_begins() {
        let at = |seconds| Some(std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds));
        let between = |from, until| Filter {
            from: at(from),
            until: at(until),
            ..Filter::default()
        };
        let refused = broken(|refusals| filter(&between(2, 2), refusals));
        assert_eq!(refused, ["filter.document_time_until"]);
        assert!(broken(|refusals| filter(&between(2, 3), refusals)).is_empty());
    }
}
