//! Voices as resources: the models' own, which nobody changes, and the stored ones, by owner and tenant.

use std::convert::Infallible;
use std::time::SystemTime;

use polyphony_audio::limits::Cancel;
use polyphony_chassis::Caller;
use polyphony_chassis::places::Patience;
use polyphony_error::{Fault, Kind};
use polyphony_proto::tts::v1 as pb;
use tokio::task;

use super::Shared;
use crate::casting::find;
use crate::convert::voice::{self, Change};
use crate::synthesizers::{ModelVoice, PREFIX};
use crate::voices::{Error, Stored};

/// A page has at most so many voices.
const LONGEST_PAGE: u32 = 1_000;
/// And so many where the caller does not say.
const PAGE: u32 = 100;

/// A page of the voices that the caller may use, by name.
pub(super) async fn list(
    shared: &Shared,
    caller: &Caller,
    request: pb::ListVoicesRequest,
) -> Result<pb::ListVoicesResponse, Fault> {
    let pb::ListVoicesRequest {
        language_code,
        model,
        page_size,
        page_token,
    } = request;
    let size = match page_size {
        0 => PAGE,
        1..=LONGEST_PAGE => page_size,
        _ => {
            let problem = "is over 1000; ask for less and go on with page_token";
            return Err(Fault::invalid("page_size", problem));
        }
    };
    let present = shared.synthesizers.voices().await?;
    let mut voices: Vec<pb::Voice> = present.iter().map(voice::of_model).collect();
    let now = SystemTime::now();
    for id in shared.voices.ids().await? {
        let stored = match shared.voices.get(&id).await {
            Ok(Some(stored)) => stored,
            Ok(None) => continue,
            Err(error @ Error::Record { .. }) => {
                tracing::warn!(error = %polyphony_error::chain(&error), "a stored voice is left out");
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        // A model's own voice of that name goes first.
        let hidden = voices.iter().any(|own| own.name == stored.name());
        if !hidden && stored.is_usable_by(caller) && !stored.record.is_expired(now) {
            voices.push(voice::of_stored(&stored, base(&present, &stored)));
        }
    }
    voices.sort_by(|one, other| one.name.cmp(&other.name));
    // The token is the last name of the page before, so a page is right also when voices come and go.
    let mut wanted = voices.into_iter().filter(|voice| {
        voice.name > page_token
            && (model.is_empty() || voice.model == model)
            && (language_code.is_empty()
                || voice.language_codes.iter().any(|own| serves(own, &language_code)))
    });
    let page: Vec<pb::Voice> = wanted.by_ref().take(size as usize).collect();
    let next_page_token = match (wanted.next(), page.last()) {
        (Some(_), Some(last)) => last.name.clone(),
        _ => String::new(),
    };
    Ok(pb::ListVoicesResponse {
        voices: page,
        next_page_token,
    })
}

/// A voice of a name.
pub(super) async fn get(shared: &Shared, caller: &Caller, name: &str) -> Result<pb::Voice, Fault> {
    let present = shared.synthesizers.voices().await?;
    if let Some(own) = find(&present, name, "") {
        return Ok(voice::of_model(own));
    }
    let stored = stored(shared, name).await?;
    stored.check_seen(caller, SystemTime::now())?;
    Ok(voice::of_stored(&stored, base(&present, &stored)))
}

/// Checks a request to make a voice; nothing here can make one.
pub(super) async fn create(shared: &Shared, request: pb::CreateVoiceRequest) -> Result<Infallible, Fault> {
    let wanted = voice::create(request, SystemTime::now())?;
    let place = shared.places.worker(Patience::Queue).await?;
    let cancel = Cancel::new();
    let _guard = StopOnDrop(cancel.clone());
    let model = wanted.model.clone();
    let checked = task::spawn_blocking(move || (wanted.check_samples(&cancel), place)).await;
    checked.map_err(Fault::internal)?.0?;
    let which = if model.is_empty() {
        "no model here".to_owned()
    } else {
        format!("model \"{model}\" cannot, and no other model here")
    };
    let message = format!("CreateVoice: {which} clones voices; nothing was stored");
    Err(Fault::unimplemented("CLONING_ENGINE_ABSENT", message))
}

/// Changes what may be changed of a stored voice.
pub(super) async fn update(
    shared: &Shared,
    caller: &Caller,
    request: pb::UpdateVoiceRequest,
) -> Result<pb::Voice, Fault> {
    let change = Change::parse(request)?;
    let (present, stored) = changeable(shared, &change.name, "voice.name").await?;
    stored.check_change(caller, &change.etag)?;
    let now = SystemTime::now();
    stored.check_seen(caller, now)?;
    let record = change.apply(stored.record.clone(), now)?;
    let stored = shared.voices.update(&stored, record).await?;
    Ok(voice::of_stored(&stored, base(&present, &stored)))
}

/// Deletes a stored voice.
pub(super) async fn delete(
    shared: &Shared,
    caller: &Caller,
    request: pb::DeleteVoiceRequest,
) -> Result<(), Fault> {
    let pb::DeleteVoiceRequest { name, etag } = request;
    let (_, stored) = changeable(shared, &name, "name").await?;
    stored.check_change(caller, &etag)?;
    shared.voices.delete(&stored).await
}

/// The stored voice of a name, which is not a model's own.
async fn changeable(shared: &Shared, name: &str, field: &str) -> Result<(Vec<ModelVoice>, Stored), Fault> {
    let present = shared.synthesizers.voices().await?;
    if find(&present, name, "").is_some() {
        let message = format!("{field}: {name} is a model's own voice, which cannot be changed or deleted");
        return Err(Fault::new(Kind::FailedPrecondition, "VOICE_OF_MODEL", message));
    }
    let stored = stored(shared, name).await?;
    Ok((present, stored))
}

async fn stored(shared: &Shared, name: &str) -> Result<Stored, Fault> {
    // What is said back of a caller's text.
    let said: String = name.chars().take(128).collect();
    let unknown = || Fault::not_found("voice", said, "ListVoices shows what there is");
    let Some(id) = name.strip_prefix(PREFIX) else {
        return Err(unknown());
    };
    shared.voices.get(id).await?.ok_or_else(unknown)
}

/// The model's voice that a stored one speaks with.
fn base<'a>(present: &'a [ModelVoice], stored: &Stored) -> Option<&'a ModelVoice> {
    find(present, &stored.record.voice, &stored.record.model)
}

/// Whether a voice of one language is among those of another: "en" has "en-GB", "en-GB" only itself.
fn serves(own: &str, asked: &str) -> bool {
    let asked = asked.replace('_', "-");
    own.eq_ignore_ascii_case(&asked)
        || own
            .get(..asked.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(&asked) && own[asked.len()..].starts_with('-'))
}

/// Stops the decoding of recordings when nobody waits any more.
struct StopOnDrop(Cancel);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
