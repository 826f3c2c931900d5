//! Voices that are stored, as resources with an owner, tenants, consent and an expiry.
//!
//! Each lies in an object store as `<id>/voice.json` ([`record`] says what is in it) with whatever else belongs to it
//! beside; deleting the voice deletes all of it. The store is a local folder or a bucket of S3 ([`storage`]). Voices that
//! are part of a model are not here: nobody owns or changes those.
//!
//! No call makes a voice here: recordings can be cloned once an engine for that exists. Until then an operator puts a
//! record into the store, which gives a model's voice another name, manner, owner and end.
//!
//! An update or deletion names the version it means. In a bucket the store itself compares it; in a folder this process
//! does, so one folder is for one process.

pub mod record;
pub mod storage;

use std::sync::Arc;
use std::time::SystemTime;

use futures_util::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, UpdateVersion};
use polyphony_chassis::Caller;
use polyphony_error::{Fault, Kind};
use tokio::sync::Mutex;

use record::Record;
use storage::Storage;

/// The stored voices. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Voices {
    storage: Storage,
    /// Held while a record is compared and replaced.
    writing: Arc<Mutex<()>>,
}

/// A voice as it is stored.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The last part of its name.
    pub id: String,
    /// What is said of it.
    pub record: Record,
    /// Names this version of it.
    pub etag: String,
    /// When the record was written, where it does not say itself.
    pub written: SystemTime,
    version: UpdateVersion,
}

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store does not answer, or not well.
    #[error("the store of voices failed ({key} says where it is)")]
    Store {
        /// The key of the configuration that says where it is.
        key: &'static str,
        /// Its own error.
        source: object_store::Error,
    },
    /// The configuration of the store cannot be used.
    #[error("{key}: {problem}")]
    Config {
        /// The key.
        key: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// A record that cannot be read.
    #[error("the record of voice \"{id}\" cannot be used: {problem}")]
    Record {
        /// The voice.
        id: String,
        /// What is wrong.
        problem: String,
    },
}

/// The record in the folder of a voice.
const RECORD: &str = "voice.json";
/// A record is read up to here.
const MOST_BYTES: u64 = 64 << 10;
/// The most characters of an id.
const LONGEST_ID: usize = 63;

/// Whether an id is 1 to 63 of a-z, 0-9 and "-", beginning with a letter.
pub fn is_id(id: &str) -> bool {
    id.len() <= LONGEST_ID
        && id.starts_with(|first: char| first.is_ascii_lowercase())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

// === impl Voices ===

impl Voices {
    /// The voices in this store.
    pub fn new(storage: Storage) -> Self {
        Self {
            storage,
            writing: Arc::default(),
        }
    }

    /// The ids of all voices, sorted.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn ids(&self) -> Result<Vec<String>, Error> {
        let Some(store) = self.storage.open()? else {
            return Ok(Vec::new());
        };
        let listed = store
            .list_with_delimiter(Some(self.storage.prefix()))
            .await
            .map_err(|source| self.storage.failed(source))?;
        let mut ids: Vec<String> = listed
            .common_prefixes
            .iter()
            .filter_map(|folder| folder.filename())
            .filter(|id| is_id(id))
            .map(str::to_owned)
            .collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// A voice; none if there is none of that id. One that has expired is still given until it is swept.
    ///
    /// # Errors
    /// When the store fails, or the record cannot be read.
    pub async fn get(&self, id: &str) -> Result<Option<Stored>, Error> {
        match self.storage.open()? {
            Some(store) if is_id(id) => self.read(&*store, id).await,
            _ => Ok(None),
        }
    }

    /// Puts `record` in the place of the version that `stored` is.
    ///
    /// # Errors
    /// ABORTED when there is another version by now; INTERNAL when the store fails.
    pub async fn update(&self, stored: &Stored, record: Record) -> Result<Stored, Fault> {
        let id = &stored.id;
        let _writing = self.writing.lock().await;
        let store = self.current(stored).await?;
        let bytes = record.to_bytes();
        let options = PutOptions {
            mode: if self.storage.compares() {
                PutMode::Update(stored.version.clone())
            } else {
                PutMode::Overwrite
            },
            ..PutOptions::default()
        };
        let put = store
            .put_opts(&self.place(id), PutPayload::from(bytes), options)
            .await;
        match put {
            Ok(_) => {}
            Err(object_store::Error::Precondition { .. }) => return Err(outdated(id)),
            Err(source) => return Err(Fault::from(self.storage.failed(source))),
        }
        let stored = self.read(&*store, id).await?;
        stored.ok_or_else(|| outdated(id))
    }

    /// Deletes the version that `stored` is, with all that was stored for it.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub async fn delete(&self, stored: &Stored) -> Result<(), Fault> {
        let _writing = self.writing.lock().await;
        let store = self.current(stored).await?;
        let failed = |source| Fault::from(self.storage.failed(source));
        // The record first: without it the rest is nobody's voice.
        store.delete(&self.place(&stored.id)).await.map_err(failed)?;
        let folder = self.folder(&stored.id);
        let rest: Vec<_> = store.list(Some(&folder)).try_collect().await.map_err(failed)?;
        for object in rest {
            store.delete(&object.location).await.map_err(failed)?;
        }
        Ok(())
    }

    /// Deletes every voice whose time is over. A record that cannot be read is left, and told in the log.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sweep(&self, now: SystemTime) -> Result<usize, Fault> {
        let mut swept = 0;
        for id in self.ids().await? {
            let stored = match self.get(&id).await {
                Ok(Some(stored)) => stored,
                Ok(None) => continue,
                Err(error @ Error::Record { .. }) => {
                    tracing::warn!(error = %polyphony_error::chain(&error), "a stored voice is left out");
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if stored.record.is_expired(now) {
                self.delete(&stored).await?;
                tracing::info!(voice = %stored.name(), "deleted a voice whose time was over");
                swept += 1;
            }
        }
        Ok(swept)
    }

    /// The store, if `stored` is still the version in it.
    async fn current(&self, stored: &Stored) -> Result<Arc<dyn ObjectStore>, Fault> {
        let store = self.storage.open()?.ok_or_else(|| outdated(&stored.id))?;
        match self.read(&*store, &stored.id).await? {
            Some(now) if now.etag == stored.etag => Ok(store),
            _ => Err(outdated(&stored.id)),
        }
    }

    async fn read(&self, store: &dyn ObjectStore, id: &str) -> Result<Option<Stored>, Error> {
        let problem = |problem: String| Error::Record {
            id: id.to_owned(),
            problem,
        };
        let found = match store.get(&self.place(id)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(source) => return Err(self.storage.failed(source)),
        };
        let meta = found.meta.clone();
        if meta.size > MOST_BYTES {
            return Err(problem(format!("it has more than {MOST_BYTES} bytes")));
        }
        let bytes = found
            .bytes()
            .await
            .map_err(|source| self.storage.failed(source))?;
        let record = Record::from_bytes(&bytes).map_err(problem)?;
        Ok(Some(Stored {
            id: id.to_owned(),
            record,
            etag: record::etag(&bytes),
            written: meta.last_modified.into(),
            version: UpdateVersion {
                e_tag: meta.e_tag,
                version: meta.version,
            },
        }))
    }

    fn folder(&self, id: &str) -> Path {
        self.storage.prefix().clone().join(id)
    }

    fn place(&self, id: &str) -> Path {
        self.folder(id).join(RECORD)
    }
}

fn outdated(id: &str) -> Fault {
    let message = format!("voices/{id} was changed or deleted meanwhile; get it anew and try again");
    Fault::new(Kind::Aborted, "VOICE_CHANGED", message)
}

// === impl Stored ===

impl Stored {
    /// As the API calls it.
    pub fn name(&self) -> String {
        format!("voices/{}", self.id)
    }

    /// Whether the caller may speak with it.
    ///
    /// # Errors
    /// As [`check_seen`](Self::check_seen), and FAILED_PRECONDITION when consent was withdrawn.
    pub fn check_spoken(&self, caller: &Caller, now: SystemTime) -> Result<(), Fault> {
        self.check_seen(caller, now)?;
        if self.record.consent_withdrawn {
            let message = format!("the consent for {} is over: it was withdrawn", self.name());
            return Err(Fault::new(Kind::FailedPrecondition, "CONSENT_WITHDRAWN", message));
        }
        Ok(())
    }

    /// Whether the caller may see it.
    ///
    /// # Errors
    /// PERMISSION_DENIED for others than the owner and the tenants, FAILED_PRECONDITION when its time is over.
    pub fn check_seen(&self, caller: &Caller, now: SystemTime) -> Result<(), Fault> {
        let name = self.name();
        if !self.is_usable_by(caller) {
            return Err(denied(&name, "it is neither yours nor shared with you"));
        }
        if self.record.is_expired(now) {
            let message = format!("the consent for {name} is over: it expired and is being deleted");
            return Err(Fault::new(Kind::FailedPrecondition, "VOICE_EXPIRED", message));
        }
        Ok(())
    }

    /// Whether the caller owns it or is one of its tenants.
    pub fn is_usable_by(&self, caller: &Caller) -> bool {
        caller.is(&self.record.owner) || self.record.allowed_tenants.iter().any(|tenant| caller.is(tenant))
    }

    /// Whether the caller may change and delete the version `etag` of it; empty: whichever.
    ///
    /// # Errors
    /// PERMISSION_DENIED for others than the owner, ABORTED when the version is another.
    pub fn check_change(&self, caller: &Caller, etag: &str) -> Result<(), Fault> {
        if !caller.is(&self.record.owner) {
            return Err(denied(&self.name(), "only its owner may change or delete it"));
        }
        if !etag.is_empty() && etag != self.etag {
            return Err(outdated(&self.id));
        }
        Ok(())
    }
}

fn denied(name: &str, why: &str) -> Fault {
    Fault::new(
        Kind::PermissionDenied,
        "VOICE_OF_ANOTHER",
        format!("{name} is not for you: {why}"),
    )
}

// === impl Error ===

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Store { .. } => {
                let message = "the store of voices does not answer; try again, or look into the log of tts";
                Self::unavailable("VOICE_STORE", message).because(error)
            }
            Error::Config { .. } => Self::internal(error),
            Error::Record { ref id, .. } => {
                let message = format!("the record of voices/{id} is damaged; the log of tts says how");
                Self::new(Kind::FailedPrecondition, "VOICE_RECORD", message).because(error)
            }
        }
    }
}
