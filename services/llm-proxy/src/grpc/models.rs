//! What there is to ask for, where it would go, and what is honoured.

use polyphony_error::Fault;
use polyphony_proto::llm::v1 as pb;
use polyphony_proto::types::v1 as types;
use polyphony_wire::Refusals;

use crate::convert::request::preference;
use crate::convert::status;
use crate::dialect;
use crate::fleet::Prefix;
use crate::proxy::Proxy;
use crate::upstream::ModelKind;

const DEFAULT_PAGE: usize = 100;
const MOST_PAGE: usize = 1_000;

/// A page of models. A page token is the name after which it begins, so that models may come and go between pages.
pub(super) async fn list(
    proxy: &Proxy,
    request: pb::ListModelsRequest,
) -> Result<pb::ListModelsResponse, Fault> {
    let pb::ListModelsRequest {
        page_size,
        page_token,
    } = request;
    let size = match page_size as usize {
        0 => DEFAULT_PAGE,
        size if size <= MOST_PAGE => size,
        _ => return Err(Fault::invalid("page_size", format!("must be 1 to {MOST_PAGE}"))),
    };
    let mut all: Vec<pb::LanguageModel> = proxy.fleet.listed().into_iter().map(status::model).collect();
    for local in proxy.local.present().await? {
        // What an upstream has under this name is what is meant by it.
        if !all.iter().any(|model| model.model == local.name) {
            all.push(status::local(local));
        }
    }
    all.sort_by(|one, other| one.model.cmp(&other.model));
    let mut rest = all
        .into_iter()
        .filter(|model| model.model > page_token || page_token.is_empty());
    let page: Vec<pb::LanguageModel> = rest.by_ref().take(size).collect();
    let is_last = rest.next().is_none();
    let last = page.last().map(|model| model.model.clone());
    Ok(pb::ListModelsResponse {
        models: page,
        next_page_token: last.filter(|_| !is_last).unwrap_or_default(),
    })
}

/// Where a request would go now.
pub(super) fn route(proxy: &Proxy, request: pb::GetRouteRequest) -> Result<pb::GetRouteResponse, Fault> {
    let pb::GetRouteRequest { model, prompt, route } = request;
    let mut refusals = Refusals::at("");
    let preference = preference(route.unwrap_or_default(), &mut refusals);
    refusals.finish()?;
    let meant = proxy.fleet.meant(&model, ModelKind::Chat)?;
    let prefix = (!prompt.is_empty()).then(|| Prefix::of(&meant.model, prompt.as_bytes()));
    let choice = proxy.fleet.choose(&meant, &preference, prefix.as_ref(), &[])?;
    let others = meant.candidates.iter().map(|(upstream, _)| upstream);
    let others = others.filter(|upstream| upstream.name != choice.upstream.name);
    Ok(pb::GetRouteResponse {
        candidates: std::iter::once(&choice.upstream)
            .chain(others)
            .map(|one| status::status(one))
            .collect(),
        route: Some(status::would(&choice)),
        model: meant.model.clone(),
    })
}

/// What this server can do now.
pub(super) async fn capabilities(proxy: &Proxy) -> Result<pb::GetCapabilitiesResponse, Fault> {
    let default = proxy
        .fleet
        .meant("", ModelKind::Chat)
        .ok()
        .map(|meant| meant.model);
    let mut listed = proxy.fleet.listed();
    listed.sort_by_key(|listed| Some(&listed.name) != default.as_ref());
    let models = listed.iter().filter_map(|listed| {
        let upstream = listed.upstreams.first()?;
        Some(types::ModelCapabilities {
            model: listed.name.clone(),
            engine: upstream.kind.name().to_owned(),
            language_codes: Vec::new(),
            supported_fields: dialect::supported_fields(upstream),
            degraded: None,
        })
    });
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let local = proxy
        .local
        .present()
        .await?
        .into_iter()
        .map(|local| types::ModelCapabilities {
            model: local.name,
            engine: polyphony_encoders::ENGINE.to_owned(),
            ..types::ModelCapabilities::default()
        });
    Ok(pb::GetCapabilitiesResponse {
        models: models.chain(local).collect(),
        max_streams: number(proxy.config.max_streams),
        max_queued: number(
            proxy
                .fleet
                .all()
                .iter()
                .map(|upstream| upstream.config.max_queue)
                .sum(),
        ),
        max_message_bytes: proxy.config.server.limits.receive().bytes(),
    })
}
