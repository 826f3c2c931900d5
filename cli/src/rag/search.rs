//! `polyphony rag search`: the passages that fit, the best first.

use std::process::ExitCode;

use polyphony_proto::rag::v1 as pb;
use serde_json::{Value, json};

use super::place::Places;
use super::{connect, filter};
use crate::args::{Fusion, Mesh, Search};
use crate::{client, output, wire};

/// Characters of a passage that are shown.
const SHOWN: usize = 320;

pub(super) async fn run(mesh: &Mesh, json: bool, space: String, args: Search) -> anyhow::Result<ExitCode> {
    let Search {
        query,
        top,
        fusion,
        rerank,
        only,
        explain,
        timeout,
    } = args;
    client::within(timeout, async {
        let mut rag = connect(mesh).await?;
        let fusion = fusion.map_or(pb::Fusion::Unspecified, fusion_of);
        let request = pb::SearchRequest {
            space,
            query,
            filter: filter(only),
            retrieval: Some(pb::RetrievalConfig {
                fusion: fusion.into(),
                rerank: rerank.then_some(true),
                ..pb::RetrievalConfig::default()
            }),
            page_size: top,
            page_token: String::new(),
        };
        let found = rag.search(client::request(request, timeout)).await?.into_inner();
        if let Some(remark) = found.receipt.clone().and_then(wire::degraded) {
            output::remark(&remark);
        }
        let mut places = Places::default();
        for (number, hit) in (1..).zip(&found.hits) {
            if json {
                output::object(&object(hit))?;
                continue;
            }
            let place = places.tell(&mut rag, &hit.document, hit.anchor.as_ref()).await;
            output::line(&format!("{number}. {place}  ({:.3})", hit.score))?;
            if !hit.headings.is_empty() {
                output::line(&format!("   {}", hit.headings.join(" > ")))?;
            }
            output::line(&format!("   {}", shown(&hit.text)))?;
            if explain {
                output::line(&format!("   {}", explained(hit)))?;
            }
        }
        if found.hits.is_empty() && !json {
            output::remark("nothing was found");
        }
        Ok(ExitCode::SUCCESS)
    })
    .await
}

fn fusion_of(fusion: Fusion) -> pb::Fusion {
    match fusion {
        Fusion::RelativeScore => pb::Fusion::RelativeScore,
        Fusion::Rrf => pb::Fusion::Rrf,
        Fusion::Dbsf => pb::Fusion::Dbsf,
        Fusion::Dense => pb::Fusion::DenseOnly,
        Fusion::Lexical => pb::Fusion::LexicalOnly,
    }
}

/// The beginning of a passage, on one line.
fn shown(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn explained(hit: &pb::Hit) -> String {
    let part = |part: &pb::ScoreComponent| {
        let rank = match part.rank {
            0 => "-".to_owned(),
            rank => rank.to_string(),
        };
        format!(
            "{} raw {:.3} normalized {:.3} rank {rank} weight {:.2} adds {:.3}",
            source(part),
            part.raw_score,
            part.normalized_score,
            part.weight,
            part.contribution
        )
    };
    hit.score_components
        .iter()
        .map(part)
        .collect::<Vec<_>>()
        .join("; ")
}

/// "dense" for SCORE_SOURCE_DENSE.
fn source(part: &pb::ScoreComponent) -> String {
    part.source()
        .as_str_name()
        .trim_start_matches("SCORE_SOURCE_")
        .to_ascii_lowercase()
}

pub(super) fn object(hit: &pb::Hit) -> Value {
    let part = |part: &pb::ScoreComponent| {
        json!({
            "source": source(part),
            "rawScore": part.raw_score,
            "normalizedScore": part.normalized_score,
            "rank": part.rank,
            "weight": part.weight,
            "contribution": part.contribution,
        })
    };
    json!({
        "chunkId": hit.chunk_id,
        "document": hit.document,
        "title": hit.title,
        "docType": hit.doc_type.as_ref().map(|kind| &kind.doc_type),
        "headings": hit.headings,
        "text": hit.text,
        "score": hit.score,
        "scoreComponents": hit.score_components.iter().map(part).collect::<Vec<_>>(),
        "anchor": hit.anchor.as_ref().map(anchor),
    })
}

/// Where something stands, in the words of the contract.
pub(super) fn anchor(anchor: &polyphony_proto::types::v1::Anchor) -> Value {
    use polyphony_proto::types::v1::anchor::Place;

    match &anchor.place {
        None => Value::Null,
        Some(Place::Text(range)) => json!({ "startByte": range.start_byte, "endByte": range.end_byte }),
        Some(Place::Time(span)) => json!({
            "startSeconds": wire::duration(span.start_offset).as_secs_f64(),
            "endSeconds": wire::duration(span.end_offset).as_secs_f64(),
        }),
        Some(Place::Page(region)) => {
            let polygon: Vec<[f32; 2]> = region.polygon.iter().map(|point| [point.x, point.y]).collect();
            json!({ "page": region.page + 1, "polygon": polygon })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passage_is_shown_on_one_line_and_cut_between_characters() {
        assert_eq!(shown("a\n  b\tc"), "a b c");
        let long = shown(&"ä".repeat(400));
        assert_eq!(long.chars().count(), SHOWN + 1);
    }
}
