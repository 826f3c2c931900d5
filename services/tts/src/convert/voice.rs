//! `Voice` as a resource: to the wire, and what a caller may ask to make or change of one.

use std::time::{Duration, SystemTime};

use polyphony_audio::limits::{Cancel, Limits};
use polyphony_error::{Fault, Kind};
use polyphony_proto::tts::v1 as pb;
use polyphony_proto::types::v1 as types;
use polyphony_wire::{Refusals, audio as wire_audio, media};
use prost::bytes::Bytes;

use crate::domain::Gender;
use crate::synthesizers::ModelVoice;
use crate::voices::record::{
    Consent, MOST_NAME, MOST_STATEMENT, MOST_TENANTS, MOST_TITLE, Record, Time, longer,
};
use crate::voices::{Stored, is_id};

/// Recordings of one voice, and how long they are together.
const MOST_SAMPLES: usize = 16;
const LEAST_SOUND: Duration = Duration::from_secs(3);
const MOST_SOUND: Duration = Duration::from_secs(300);
/// The fields that an update may change.
const CHANGEABLE: [&str; 4] = ["allowed_tenants", "consent", "display_name", "expire_time"];

/// A model's own voice.
pub(crate) fn of_model(own: &ModelVoice) -> pb::Voice {
    pb::Voice {
        name: own.name.clone(),
        display_name: own.voice.title.clone(),
        language_codes: own.voice.languages.clone(),
        gender: gender(own.voice.gender).into(),
        model: own.model.id.to_string(),
        natural_sample_rate_hertz: own.sample_rate,
        origin: pb::VoiceOrigin::Model.into(),
        ..pb::Voice::default()
    }
}

/// A stored voice, and the model's voice that it speaks with, if some model on disk has that.
pub(crate) fn of_stored(stored: &Stored, own: Option<&ModelVoice>) -> pb::Voice {
    let record = &stored.record;
    let wire = |time: SystemTime| Some(prost_types::Timestamp::from(time));
    let created = record.create_time.map_or(stored.written, |Time(time)| time);
    pb::Voice {
        name: stored.name(),
        display_name: record.display_name.clone(),
        owner: record.owner.clone(),
        allowed_tenants: record.allowed_tenants.clone(),
        consent: record.consent.as_ref().map(|consent| types::Consent {
            subject: consent.subject.clone(),
            consent_time: wire(consent.consent_time.0),
            statement: consent.statement.clone(),
            evidence: consent.evidence.clone(),
        }),
        expire_time: record.expire_time.and_then(|Time(time)| wire(time)),
        etag: stored.etag.clone(),
        create_time: wire(created),
        update_time: wire(record.update_time.map_or(stored.written, |Time(time)| time)),
        ..own.map(of_model).unwrap_or_default()
    }
}

fn gender(gender: Gender) -> pb::VoiceGender {
    match gender {
        Gender::Unknown => pb::VoiceGender::Unspecified,
        Gender::Male => pb::VoiceGender::Male,
        Gender::Female => pb::VoiceGender::Female,
    }
}

/// A voice that is asked for from recordings: well formed, with consent.
#[derive(Debug)]
pub(crate) struct NewVoice {
    /// The cloning model; empty: the best.
    pub(crate) model: String,
    samples: Vec<Bytes>,
}

/// Parses a request to make a voice.
pub(crate) fn create(wire: pb::CreateVoiceRequest, now: SystemTime) -> Result<NewVoice, Fault> {
    let pb::CreateVoiceRequest {
        voice,
        voice_id,
        samples,
        model,
        request_id,
    } = wire;
    let mut refusals = Refusals::at("");
    if !voice_id.is_empty() && !is_id(&voice_id) {
        refusals.add(
            "voice_id",
            "must be 1 to 63 of a-z, 0-9 and \"-\", beginning with a letter",
        );
    }
    if !request_id.is_empty() && !is_uuid(&request_id) {
        refusals.add("request_id", "must be a UUID");
    }
    if samples.is_empty() || samples.len() > MOST_SAMPLES {
        refusals.add("samples", "must be 1 to 16 recordings");
    }
    let voice = voice.unwrap_or_default();
    let consent = voice.consent.clone();
    if !voice.name.is_empty() {
        refusals.add("voice.name", "must be empty; set voice_id");
    }
    if voice.watermark {
        refusals.add("voice.watermark", NO_WATERMARK);
    }
    let mut record = Record::default();
    apply(&mut record, voice, &CHANGEABLE, now, &mut refusals);
    refusals.finish()?;
    if consent.is_none() {
        let message =
            "voice.consent is missing: a voice is made only with the consent of the person whose it is";
        return Err(Fault::new(Kind::FailedPrecondition, "CONSENT_MISSING", message));
    }
    let mut recordings = Vec::with_capacity(samples.len());
    for (at, sample) in samples.into_iter().enumerate() {
        let pb::VoiceSample { audio, transcript: _ } = sample;
        recordings.push(media::inline(
            audio,
            &format!("samples[{at}].audio"),
            "the recording",
        )?);
    }
    Ok(NewVoice {
        model,
        samples: recordings,
    })
}

impl NewVoice {
    /// Whether the recordings are sound of the right length. Blocks while they are decoded.
    pub(crate) fn check_samples(&self, cancel: &Cancel) -> Result<(), Fault> {
        let mut length = Duration::ZERO;
        for (at, bytes) in self.samples.iter().enumerate() {
            let limits: Limits = wire_audio::limits(bytes, MOST_SOUND);
            let decoded = wire_audio::decode(bytes, polyphony_audio::stream::Format::Auto, &limits, cancel)
                .map_err(|error| wire_audio::fault(error, &format!("samples[{at}].audio")))?;
            length += decoded.pcm.duration();
        }
        if !(LEAST_SOUND..=MOST_SOUND).contains(&length) {
            let problem = format!("last {length:.1?} together; 3 s to 5 min are needed");
            return Err(Fault::invalid("samples", problem));
        }
        Ok(())
    }
}

/// A change of a voice that is stored.
#[derive(Debug)]
pub(crate) struct Change {
    /// Its name, "voices/" and an id.
    pub(crate) name: String,
    /// Only this version of it; empty: whichever.
    pub(crate) etag: String,
    voice: pb::Voice,
    fields: Vec<&'static str>,
}

impl Change {
    /// Parses a request to change a voice.
    pub(crate) fn parse(wire: pb::UpdateVoiceRequest) -> Result<Self, Fault> {
        let pb::UpdateVoiceRequest { voice, update_mask } = wire;
        let voice = voice.ok_or_else(|| Fault::invalid("voice", "must be set"))?;
        let mut refusals = Refusals::at("");
        let fields = match update_mask {
            None => CHANGEABLE.to_vec(),
            Some(mask) => {
                let mut fields = Vec::new();
                for (at, path) in mask.paths.iter().enumerate() {
                    match CHANGEABLE.iter().find(|field| *field == path) {
                        Some(field) => fields.push(*field),
                        None => refusals.add(
                            &format!("update_mask.paths[{at}]"),
                            "must be one of allowed_tenants, consent, display_name and expire_time",
                        ),
                    }
                }
                fields
            }
        };
        if voice.watermark {
            refusals.add("voice.watermark", NO_WATERMARK);
        }
        refusals.finish()?;
        Ok(Self {
            name: voice.name.clone(),
            etag: voice.etag.clone(),
            voice,
            fields,
        })
    }

    /// The record with the change in it.
    pub(crate) fn apply(self, mut record: Record, now: SystemTime) -> Result<Record, Fault> {
        let mut refusals = Refusals::at("");
        apply(&mut record, self.voice, &self.fields, now, &mut refusals);
        refusals.finish()?;
        record.update_time = Some(Time(now));
        Ok(record)
    }
}

const NO_WATERMARK: &str = "is not supported: no watermark can be put into audio here";

/// Puts what a caller may say of a voice into its record.
fn apply(record: &mut Record, voice: pb::Voice, fields: &[&str], now: SystemTime, refusals: &mut Refusals) {
    // What is not in `CHANGEABLE` is the server's to say, or the etag, which the caller of this has dealt with.
    let pb::Voice {
        name: _,
        display_name,
        language_codes: _,
        gender: _,
        model: _,
        natural_sample_rate_hertz: _,
        origin: _,
        owner: _,
        allowed_tenants,
        consent,
        expire_time,
        watermark: _,
        etag: _,
        create_time: _,
        update_time: _,
    } = voice;
    let has = |field: &str| fields.contains(&field);
    if has("display_name") {
        if longer(&display_name, MOST_TITLE) {
            refusals.add("voice.display_name", "must have at most 100 characters");
        }
        record.display_name = display_name;
    }
    if has("allowed_tenants") {
        let wrong = |tenant: &String| tenant.is_empty() || longer(tenant, MOST_NAME);
        if allowed_tenants.len() > MOST_TENANTS || allowed_tenants.iter().any(wrong) {
            let problem = "must be at most 100 names of 1 to 256 characters";
            refusals.add("voice.allowed_tenants", problem);
        }
        record.allowed_tenants = allowed_tenants;
    }
    if has("consent") {
        let had = record.consent.is_some() || record.consent_withdrawn;
        record.consent_withdrawn = had && consent.is_none();
        record.consent = consent.and_then(|consent| parse_consent(consent, now, refusals));
    }
    if has("expire_time") {
        record.expire_time = expire_time.and_then(|time| {
            let parsed = SystemTime::try_from(time).ok().filter(|time| *time > now);
            if parsed.is_none() {
                refusals.add(
                    "voice.expire_time",
                    "must be a time to come; DeleteVoice deletes a voice now",
                );
            }
            parsed.map(Time)
        });
    }
}

fn parse_consent(wire: types::Consent, now: SystemTime, refusals: &mut Refusals) -> Option<Consent> {
    let types::Consent {
        subject,
        consent_time,
        statement,
        evidence,
    } = wire;
    let mut refuse =
        |field: &str, problem: &'static str| refusals.add(&format!("voice.consent.{field}"), problem);
    if subject.is_empty() || longer(&subject, MOST_NAME) {
        refuse("subject", "must name who consented, in at most 256 characters");
    }
    if statement.is_empty() || longer(&statement, MOST_STATEMENT) {
        refuse("statement", "must say to what, in at most 1000 characters");
    }
    if longer(&evidence, MOST_NAME) {
        refuse("evidence", "must have at most 256 characters");
    }
    let given = consent_time.and_then(|time| SystemTime::try_from(time).ok());
    let Some(given) = given.filter(|given| *given <= now) else {
        refuse(
            "consent_time",
            "must be the time when consent was given, which has passed",
        );
        return None;
    };
    Some(Consent {
        subject,
        consent_time: Time(given),
        statement,
        evidence,
    })
}

/// 8-4-4-4-12 hexadecimal digits.
fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let hexadecimal = |group: &&str| group.bytes().all(|byte| byte.is_ascii_hexdigit());
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12]) && groups.iter().all(hexadecimal)
}
