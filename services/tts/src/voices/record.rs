//! What is stored of a voice: `voice.json`, read strictly, so that a slip of the pen is told and not ignored.
//!
//! ```json
//! {
//!   "voice": "voices/en-gb",
//!   "display_name": "The narrator",
//!   "speaking_rate": 0.9,
//!   "owner": "spiffe://example.org/books",
//!   "allowed_tenants": ["spiffe://example.org/radio"],
//!   "consent": { "subject": "J. Doe", "consent_time": "2026-01-01T00:00:00Z", "statement": "…", "evidence": "…" },
//!   "expire_time": "2027-01-01T00:00:00Z"
//! }
//! ```

use std::fmt;
use std::str::FromStr as _;
use std::time::SystemTime;

use polyphony_chassis::ANONYMOUS;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// A voice of a model, given another name and manner, an owner and an end.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The model's voice that it speaks with, as "voices/en-gb".
    pub voice: String,
    /// The model that has that voice; empty: the one that is asked for, else the default of that voice.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// A title for a person.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub display_name: String,
    /// How fast, where a request does not say, 0.25 to 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speaking_rate: Option<f32>,
    /// How much higher in semitones, where a request does not say, -20 to 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pitch: Option<f32>,
    /// How much louder in decibel, where a request does not say, -96 to 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_gain_db: Option<f32>,
    /// Whose it is: a name in the certificate of a caller, or "anonymous" where callers have none.
    pub owner: String,
    /// Who may use it besides, by the same names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_tenants: Vec<String>,
    /// The consent of the person whose voice it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<Consent>,
    /// There was consent, and it was taken back: nobody may speak with the voice.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub consent_withdrawn: bool,
    /// When it is deleted by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire_time: Option<Time>,
    /// When it was made. None: when the record was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create_time: Option<Time>,
    /// When it was last changed through the API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_time: Option<Time>,
}

/// A person's consent, as the one who stores it declares it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// Who consented.
    pub subject: String,
    /// When.
    pub consent_time: Time,
    /// To what.
    pub statement: String,
    /// A reference to the record of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub evidence: String,
}

/// A time of day, written as RFC 3339 has it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub SystemTime);

/// The most characters of a title, of a statement of consent, and of the other texts.
pub const MOST_TITLE: usize = 100;
/// See [`MOST_TITLE`].
pub const MOST_STATEMENT: usize = 1_000;
/// See [`MOST_TITLE`].
pub const MOST_NAME: usize = 256;
/// The most tenants.
pub const MOST_TENANTS: usize = 100;

/// Names a version by its content.
pub fn etag(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

// === impl Record ===

impl Record {
    /// Reads and checks a record.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let record: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        record.check().map(|()| record)
    }

    /// As it is stored.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Neither a map with keys that are no text nor anything else that JSON cannot say.
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }

    /// Whether its time is over.
    pub fn is_expired(&self, now: SystemTime) -> bool {
        self.expire_time.is_some_and(|Time(end)| end <= now)
    }

    fn check(&self) -> Result<(), String> {
        let said = |field: &str, problem: &str| Err(format!("{field} {problem}"));
        if self.voice.strip_prefix("voices/").is_none_or(str::is_empty) {
            return said("voice", "must name a voice of a model, as \"voices/en-gb\"");
        }
        if self.owner.is_empty() {
            return said(
                "owner",
                &format!("must be set; where callers have no names it is {ANONYMOUS:?}"),
            );
        }
        for (field, value, range) in [
            ("speaking_rate", self.speaking_rate, 0.25..=4.0),
            ("pitch", self.pitch, -20.0..=20.0),
            ("volume_gain_db", self.volume_gain_db, -96.0..=16.0),
        ] {
            if value.is_some_and(|value| !range.contains(&value)) {
                return said(field, &format!("must be {} to {}", range.start(), range.end()));
            }
        }
        if longer(&self.display_name, MOST_TITLE) {
            return said("display_name", "must have at most 100 characters");
        }
        if self.allowed_tenants.len() > MOST_TENANTS {
            return said("allowed_tenants", "must be at most 100");
        }
        Ok(())
    }
}

/// Whether a text has more than so many characters.
pub fn longer(text: &str, most: usize) -> bool {
    text.chars().nth(most).is_some()
}

// === impl Time ===

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        prost_types::Timestamp::from(self.0).fmt(f)
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || {
            D::Error::custom(format!(
                "{text:?} is no time; write it as \"2027-01-01T00:00:00Z\""
            ))
        };
        let time = prost_types::Timestamp::from_str(&text).map_err(|_| wrong())?;
        SystemTime::try_from(time).map(Self).map_err(|_| wrong())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const WHOLE: &str = r#"{
        "voice": "voices/en-gb", "display_name": "The narrator", "speaking_rate": 0.9, "owner": "anonymous",
        "consent": { "subject": "J", "consent_time": "2026-01-01T00:00:00Z", "statement": "all" },
        "expire_time": "2027-01-01T00:00:00.500Z"
    }"#;

    #[test]
    fn a_record_survives_its_store() {
        let record = Record::from_bytes(WHOLE.as_bytes()).expect("reads");
        let Some(Time(end)) = record.expire_time else {
            panic!("it ends")
        };
        assert!(!record.is_expired(end - Duration::from_nanos(1)) && record.is_expired(end));
        assert_eq!(
            record.expire_time.map(|end| end.to_string()).as_deref(),
            Some("2027-01-01T00:00:00.500Z")
        );
        let bytes = record.to_bytes();
        assert_eq!(Record::from_bytes(&bytes).as_ref(), Ok(&record));
        assert_ne!(etag(&bytes), etag(WHOLE.as_bytes()));
    }

    #[test]
    fn a_slip_of_the_pen_is_told() {
        for (record, told) in [
            ("{", "EOF"),
            (r#"{"voice":"voices/a"}"#, "missing field `owner`"),
            (r#"{"voice":"a","owner":"b"}"#, "voice must name"),
            (r#"{"voice":"voices/a","owner":""}"#, "owner must be set"),
            (
                r#"{"voice":"voices/a","owner":"b","onwer":"c"}"#,
                "unknown field `onwer`",
            ),
            (
                r#"{"voice":"voices/a","owner":"b","pitch":21}"#,
                "pitch must be -20 to 20",
            ),
            (
                r#"{"voice":"voices/a","owner":"b","expire_time":"soon"}"#,
                "\"soon\" is no time",
            ),
        ] {
            let problem = Record::from_bytes(record.as_bytes()).expect_err(record);
            assert!(problem.contains(told), "{problem}");
        }
    }
}
