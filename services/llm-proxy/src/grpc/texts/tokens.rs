//! The tokens of texts: by the models that run here, or by an upstream that has a tokenizer.

use polyphony_encoders::Embedder;
use polyphony_error::Fault;
use polyphony_models::Chosen;
use polyphony_proto::llm::v1 as pb;
use polyphony_proto::types::v1::TextRange;

use super::{local_embedder, question, spans};
use crate::dialect::texts as dialect;
use crate::domain::Usage;
use crate::grpc::Call;
use crate::proxy::Proxy;
use crate::texts::ask;
use crate::upstream::ModelKind;

/// Cuts a text into tokens.
pub(in crate::grpc) async fn tokenize(
    proxy: &Proxy,
    call: Call,
    request: pb::TokenizeRequest,
) -> Result<pb::TokenizeResponse, Fault> {
    let pb::TokenizeRequest {
        model,
        text,
        add_special_tokens,
    } = request;
    let special = add_special_tokens.unwrap_or(true);
    if let Some(chosen) = local_tokenizer(proxy, &model).await? {
        let cut = proxy
            .local
            .tokens(chosen, move |tokenizer| tokenizer.tokens(&text, special));
        let tokens = cut.await?.into_iter().map(|token| pb::Token {
            id: token.id,
            text: token.text,
            source_text_range: token.range.map(|range| TextRange {
                start_byte: range.start as u64,
                end_byte: range.end as u64,
            }),
        });
        return Ok(pb::TokenizeResponse {
            tokens: tokens.collect(),
        });
    }
    let (tokens, ..) = ask(
        proxy,
        question(&call, &model, ModelKind::Chat),
        |upstream, there| dialect::tokenize(upstream, there, &text, special),
        |upstream, answer| Ok((dialect::tokens(upstream.kind, answer)?, Usage::default())),
    )
    .await?;
    Ok(pb::TokenizeResponse {
        tokens: spans::placed(&text, tokens),
    })
}

/// The model here whose tokens are meant: only by its name, for without one a language model is meant.
async fn local_tokenizer(proxy: &Proxy, model: &str) -> Result<Option<Chosen<Embedder>>, Fault> {
    match model {
        "" => Ok(None),
        model => local_embedder(proxy, model).await,
    }
}

/// Joins tokens to a text.
pub(in crate::grpc) async fn detokenize(
    proxy: &Proxy,
    call: Call,
    request: pb::DetokenizeRequest,
) -> Result<pb::DetokenizeResponse, Fault> {
    let pb::DetokenizeRequest {
        model,
        token_ids,
        skip_special_tokens,
    } = request;
    if let Some(chosen) = local_tokenizer(proxy, &model).await? {
        let special = !skip_special_tokens.unwrap_or(true);
        let joined = proxy
            .local
            .tokens(chosen, move |tokenizer| tokenizer.join(&token_ids, special));
        return Ok(pb::DetokenizeResponse { text: joined.await? });
    }
    let (text, ..) = ask(
        proxy,
        question(&call, &model, ModelKind::Chat),
        |upstream, there| {
            let name = &upstream.name;
            // What is unset is what the upstream does.
            if skip_special_tokens.is_some() && !dialect::may_skip_special(upstream.kind) {
                let text = format!(
                    "is not honoured by upstream {name} ({}); leave it unset",
                    upstream.kind
                );
                return Err(Fault::invalid("skip_special_tokens", text));
            }
            dialect::detokenize(upstream, there, &token_ids, skip_special_tokens.unwrap_or(true))
        },
        |_, answer| Ok((dialect::detokenized(answer)?, Usage::default())),
    )
    .await?;
    Ok(pb::DetokenizeResponse { text })
}
