//! An enrolled speaker as a file: what is said of them, and the embedding. Not the audio it was made of.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::Embedding;

/// An enrolled speaker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The last part of the name.
    pub id: String,
    /// Whose it is.
    pub owner: String,
    /// A title for a person.
    pub display_name: String,
    /// The person's consent.
    pub consent: Consent,
    /// The encoder that made the embedding, by its id and digest: others cannot use it.
    pub model: String,
    /// Its digest.
    pub model_digest: String,
    /// The voice.
    pub embedding: Vec<f32>,
    /// How many recordings it was made of.
    pub sample_count: u32,
    /// When it is deleted by itself, in seconds and nanoseconds since 1970. None: never.
    pub expire: Option<Moment>,
    /// When it was enrolled.
    pub created: Moment,
    /// When it was last changed.
    pub updated: Moment,
    /// What made its creation idempotent; empty: nothing.
    pub request_id: String,
}

/// A person's consent, as it was declared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// Who consented.
    pub subject: String,
    /// When.
    pub time: Option<Moment>,
    /// To what.
    pub statement: String,
    /// A reference to the record of it.
    pub evidence: String,
}

/// Seconds and nanoseconds since 1970.
pub type Moment = (i64, u32);

// === impl Record ===

impl Record {
    /// As the API calls it.
    pub fn name(&self) -> String {
        format!("speakers/{}", self.id)
    }

    /// Names this version: 16 hexadecimal digits of the SHA-256 of what is stored.
    pub fn etag(&self) -> String {
        let digest = Sha256::digest(self.to_json());
        digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether its time is over.
    pub fn is_expired(&self, now: SystemTime) -> bool {
        self.expire.is_some_and(|expire| expire <= moment(now))
    }

    /// The voice; none in a file that somebody damaged.
    pub fn voice(&self) -> Option<Embedding> {
        Embedding::new(self.embedding.clone())
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        // Plain strings and numbers: this cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// A time as it is stored.
pub fn moment(time: SystemTime) -> Moment {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => (
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            since.subsec_nanos(),
        ),
        Err(before) => {
            let before = before.duration() + Duration::from_secs(1);
            (-i64::try_from(before.as_secs()).unwrap_or(i64::MAX), 0)
        }
    }
}
