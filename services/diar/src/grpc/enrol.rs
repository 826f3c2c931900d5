//! `CreateSpeaker` and `IdentifySpeakers`: recordings of one person.

use std::time::{Duration, Instant, SystemTime};

use polyphony_audio::stream::Format;
use polyphony_error::Fault;
use polyphony_proto::diar::v1 as pb;
use polyphony_wire::{Refusals, Spent, audio, media, receipt};
use tokio::task;

use super::Shared;
use crate::convert::request::Candidates;
use crate::convert::speaker::{self, MOST_SAMPLES};
use crate::diarizers::Diarizer;
use crate::domain::{Embedding, Voice};
use crate::identify::Known;
use crate::speakers::record::{Record, moment};
use crate::whole::{Abandon, Recording};

/// Speech that enrolment needs in all, and identification.
const ENROL: Duration = Duration::from_secs(3);
const IDENTIFY: Duration = Duration::from_secs(1);
/// A recording of an enrolment is not longer.
const LONGEST: Duration = Duration::from_secs(10 * 60);
/// Matches where the caller does not say, and at most.
const MATCHES: u32 = 5;
const MOST_MATCHES: u32 = 100;

/// Enrols a speaker.
pub(super) async fn create(
    shared: &Shared,
    request: pb::CreateSpeakerRequest,
    owner: String,
) -> Result<Record, Fault> {
    let pb::CreateSpeakerRequest {
        speaker,
        speaker_id,
        samples,
        request_id,
    } = request;
    let said = speaker::new(speaker, &speaker_id, &request_id)?;
    if samples.is_empty() || samples.len() > MOST_SAMPLES {
        return Err(Fault::invalid(
            "samples",
            "must be 1 to 16 recordings of the person alone",
        ));
    }
    let (speakers, whose, asked) = (shared.speakers.clone(), owner.clone(), request_id.clone());
    let before = task::spawn_blocking(move || speakers.answered(&whose, &asked));
    if let Some(before) = before.await.map_err(Fault::internal)?? {
        return Ok(before);
    }
    let diarizer = shared.diarizers.acquire("").await?;
    let abandon = Abandon::default();
    let mut heard: Vec<Voice> = Vec::new();
    let count = samples.len();
    for (at, sample) in samples.into_iter().enumerate() {
        let field = format!("samples[{at}]");
        let bytes = media::inline(sample.into(), &field, "the recording")?;
        let recording =
            Recording::open(bytes, Format::Auto, &field, LONGEST, &shared.places, &abandon).await?;
        let (voice, _) = voice(diarizer.clone(), recording, &abandon, &field).await?;
        heard.push(voice);
    }
    let voice = together(&heard)?;
    let made = diarizer.info().encoder.clone();
    let now = moment(SystemTime::now());
    let record = Record {
        id: if speaker_id.is_empty() {
            fresh()
        } else {
            speaker_id
        },
        owner,
        display_name: said.display_name.unwrap_or_default(),
        consent: said.consent.unwrap_or_default(),
        model: made.model,
        model_digest: made.digest,
        embedding: voice.values().to_vec(),
        sample_count: u32::try_from(count).unwrap_or(u32::MAX),
        expire: said.expire.flatten(),
        created: now,
        updated: now,
        request_id,
    };
    let speakers = shared.speakers.clone();
    task::spawn_blocking(move || speakers.create(record))
        .await
        .map_err(Fault::internal)?
}

/// Tells who a person may be.
pub(super) async fn identify(
    shared: &Shared,
    request: pb::IdentifySpeakersRequest,
    id: String,
    owner: String,
) -> Result<pb::IdentifySpeakersResponse, Fault> {
    let pb::IdentifySpeakersRequest {
        model,
        audio: recording,
        explicit_decoding,
        candidates,
        threshold,
        max_matches,
    } = request;
    let mut refusals = Refusals::at("");
    let format = audio::format(explicit_decoding, &mut refusals);
    let candidates = Candidates::parse(&candidates, threshold, "threshold", &mut refusals);
    let most = max_matches.unwrap_or(MATCHES);
    if !(1..=MOST_MATCHES).contains(&most) {
        refusals.add("max_matches", "must be 1 to 100");
    }
    refusals.finish()?;
    let bytes = media::inline(recording, "audio", "the recording")?;
    let abandon = Abandon::default();
    let recording = Recording::open(bytes, format, "audio", LONGEST, &shared.places, &abandon).await?;
    let (waited, began) = (recording.place.waited, recording.began);
    let diarizer = shared.diarizers.acquire(&model).await?;
    let (speakers, info) = (shared.speakers.clone(), diarizer.info().clone());
    let known = task::spawn_blocking(move || Known::of(&speakers, &owner, &candidates, &info));
    let known = known.await.map_err(Fault::internal)??;
    let load = diarizer.load;
    let info = diarizer.info().clone();
    let (voice, inference) = voice(diarizer, recording, &abandon, "audio").await?;
    if voice.speech < IDENTIFY {
        return Err(too_little("audio", voice.speech, IDENTIFY));
    }
    let threshold = threshold.unwrap_or(info.identification);
    let matches = known
        .matches(&voice.embedding, threshold)
        .into_iter()
        .take(most as usize);
    let spent = Spent {
        queue: Some(waited),
        load,
        inference: Some(inference),
        total: Some(began.elapsed()),
    };
    Ok(pb::IdentifySpeakersResponse {
        matches: matches
            .map(|(speaker, similarity)| pb::SpeakerMatch { speaker, similarity })
            .collect(),
        effective_threshold: threshold,
        receipt: Some(receipt(&id, &info.made, spent)),
    })
}

/// The voice of a recording of one person.
async fn voice(
    diarizer: Diarizer,
    recording: Recording,
    abandon: &Abandon,
    field: &str,
) -> Result<(Voice, Duration), Fault> {
    let flag = abandon.engine.clone();
    let work = task::spawn_blocking(move || {
        let Recording { samples, place, .. } = recording;
        let _place = place;
        let began = Instant::now();
        (diarizer.voice(&samples, &flag), began.elapsed())
    });
    let (voice, inference) = work.await.map_err(Fault::internal)?;
    let voice = voice?.ok_or_else(|| too_little(field, Duration::ZERO, IDENTIFY))?;
    if voice.several {
        let description = "must be of one person; several seem to speak in it";
        return Err(Fault::invalid(field.to_owned(), description).with_reason("SEVERAL_SPEAKERS"));
    }
    Ok((voice, inference))
}

/// One voice of several recordings, each counted by the speech in it.
fn together(heard: &[Voice]) -> Result<Embedding, Fault> {
    let speech: Duration = heard.iter().map(|voice| voice.speech).sum();
    if speech < ENROL {
        return Err(too_little("samples", speech, ENROL));
    }
    let length = heard.first().map_or(0, |voice| voice.embedding.values().len());
    let mut sum = vec![0.0_f32; length];
    for voice in heard {
        let weight = voice.speech.as_secs_f32();
        for (sum, value) in sum.iter_mut().zip(voice.embedding.values()) {
            *sum += weight * value;
        }
    }
    let mean = Embedding::new(sum);
    mean.ok_or_else(|| {
        Fault::invalid(
            "samples",
            "must be of one person; these voices have nothing in common",
        )
    })
}

fn too_little(field: &str, speech: Duration, needed: Duration) -> Fault {
    let description = format!("must have at least {needed:?} of speech; {speech:.1?} were heard");
    Fault::invalid(field.to_owned(), description).with_reason("TOO_LITTLE_SPEECH")
}

/// An id that nobody has.
fn fresh() -> String {
    use std::hash::{BuildHasher, RandomState};
    // Each RandomState is keyed anew; this is a name, not a secret.
    format!("s{:016x}", RandomState::new().hash_one(0))
}
