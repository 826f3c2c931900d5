//! Enrolled speakers between the wire and their files.

use std::time::SystemTime;

use polyphony_error::{Fault, Kind};
use polyphony_proto::diar::v1 as pb;
use polyphony_proto::types::v1 as types;
use polyphony_wire::Refusals;
use prost_types::{FieldMask, Timestamp};

use crate::speakers::is_id;
use crate::speakers::record::{Consent, Moment, Record, moment};

/// Characters of a title, a statement, and a subject or reference.
const MOST_TITLE: usize = 100;
const MOST_STATEMENT: usize = 1_000;
const MOST_TEXT: usize = 200;
/// Recordings of an enrolment.
pub(crate) const MOST_SAMPLES: usize = 16;

/// What a caller says of a speaker.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Said {
    pub(crate) display_name: Option<String>,
    pub(crate) consent: Option<Consent>,
    /// Some(None): never.
    pub(crate) expire: Option<Option<Moment>>,
}

/// The id in a name, as "ana" in "speakers/ana".
pub(crate) fn id(name: &str) -> Option<&str> {
    name.strip_prefix("speakers/").filter(|id| is_id(id))
}

/// The id in the field `name` of a request.
pub(crate) fn named(name: &str, field: &'static str) -> Result<String, Fault> {
    id(name).map(str::to_owned).ok_or_else(|| {
        Fault::invalid(
            field,
            "must be the name of an enrolled speaker, as \"speakers/ana\"",
        )
    })
}

/// What a new speaker is to be. Consent is required.
pub(crate) fn new(speaker: Option<pb::Speaker>, speaker_id: &str, request_id: &str) -> Result<Said, Fault> {
    let mut refusals = Refusals::at("");
    if !speaker_id.is_empty() && !is_id(speaker_id) {
        refusals.add(
            "speaker_id",
            "must be 1 to 63 of a-z, 0-9 and \"-\", beginning with a letter",
        );
    }
    if request_id.len() > 64 {
        refusals.add("request_id", "must be a UUID");
    }
    let said = parse(speaker.unwrap_or_default(), "speaker.", &mut refusals);
    refusals.finish()?;
    let consented = said
        .consent
        .as_ref()
        .is_some_and(|consent| !consent.subject.is_empty() && !consent.statement.is_empty());
    if !consented {
        let message =
            "speaker.consent: a voice is enrolled only with the person's consent; set subject and statement";
        return Err(Fault::new(Kind::FailedPrecondition, "CONSENT_MISSING", message)
            .and_invalid("speaker.consent", "must have a subject and a statement"));
    }
    Ok(said)
}

/// What an update changes: the fields of the mask, or all.
pub(crate) fn changes(speaker: pb::Speaker, mask: Option<FieldMask>) -> Result<Said, Fault> {
    const FIELDS: [&str; 3] = ["display_name", "consent", "expire_time"];
    let mut refusals = Refusals::at("");
    let paths = mask.map(|mask| mask.paths).unwrap_or_default();
    for path in &paths {
        if path != "*" && !FIELDS.contains(&path.as_str()) {
            refusals.add("update_mask", "may have display_name, consent and expire_time");
            break;
        }
    }
    let all = paths.is_empty() || paths.iter().any(|path| path == "*");
    let named = |field: &str| all || paths.iter().any(|path| path == field);
    let has_end = speaker.expire_time.is_some();
    let said = parse(speaker, "speaker.", &mut refusals);
    if named("consent")
        && said
            .consent
            .as_ref()
            .is_none_or(|consent| consent.statement.is_empty())
    {
        refusals.add(
            "speaker.consent",
            "must stay: delete the speaker where consent is withdrawn",
        );
    }
    refusals.finish()?;
    Ok(Said {
        display_name: said.display_name.filter(|_| named("display_name")),
        consent: said.consent.filter(|_| named("consent")),
        expire: if named("expire_time") && !has_end {
            Some(None)
        } else {
            said.expire.filter(|_| named("expire_time"))
        },
    })
}

fn parse(speaker: pb::Speaker, path: &'static str, refusals: &mut Refusals) -> Said {
    let pb::Speaker {
        name: _,
        display_name,
        owner: _,
        consent,
        model: _,
        sample_count: _,
        expire_time,
        etag: _,
        create_time: _,
        update_time: _,
    } = speaker;
    let mut short = |field: &str, text: &str, most: usize| {
        if text.chars().nth(most).is_some() {
            refusals.add(
                &format!("{path}{field}"),
                format!("must have at most {most} characters"),
            );
        }
    };
    short("display_name", &display_name, MOST_TITLE);
    let consent = consent.map(|consent| {
        let types::Consent {
            subject,
            consent_time,
            statement,
            evidence,
        } = consent;
        short("consent.subject", &subject, MOST_TEXT);
        short("consent.statement", &statement, MOST_STATEMENT);
        short("consent.evidence", &evidence, MOST_TEXT);
        Consent {
            subject,
            time: consent_time.and_then(stored),
            statement,
            evidence,
        }
    });
    let expire = expire_time.map(|time| {
        let end = stored(time);
        if end.is_none_or(|end| end <= moment(SystemTime::now())) {
            refusals.add(&format!("{path}expire_time"), "must be a time to come");
        }
        end
    });
    Said {
        display_name: Some(display_name),
        consent,
        expire,
    }
}

/// A speaker as clients see it.
pub(crate) fn wire(record: Record) -> pb::Speaker {
    let (name, etag) = (record.name(), record.etag());
    let Consent {
        subject,
        time,
        statement,
        evidence,
    } = record.consent;
    pb::Speaker {
        name,
        display_name: record.display_name,
        owner: record.owner,
        consent: Some(types::Consent {
            subject,
            consent_time: time.map(timestamp),
            statement,
            evidence,
        }),
        model: record.model,
        sample_count: record.sample_count,
        expire_time: record.expire.map(timestamp),
        etag,
        create_time: Some(timestamp(record.created)),
        update_time: Some(timestamp(record.updated)),
    }
}

fn stored(time: Timestamp) -> Option<Moment> {
    let nanos = u32::try_from(time.nanos)
        .ok()
        .filter(|nanos| *nanos < 1_000_000_000)?;
    Some((time.seconds, nanos))
}

fn timestamp((seconds, nanos): Moment) -> Timestamp {
    Timestamp {
        seconds,
        nanos: i32::try_from(nanos).unwrap_or(0),
    }
}
