//! Enrolled speakers: a file each, in a folder of their owner, so that owners never meet.
//!
//! `<folder>/<digest of the owner>/<id>.json`. Files are written beside their place, synced and renamed, so that a
//! speaker is there whole or not at all. One process has the folder.

pub mod record;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use polyphony_error::{Fault, Kind};
use sha2::{Digest, Sha256};

use record::Record;

/// The enrolled speakers of a process. Cheap to clone. Its methods touch the disk: call them on a blocking thread.
#[derive(Debug, Clone)]
pub struct Speakers {
    folder: Arc<Path>,
    most: usize,
    /// Held while files are compared and replaced.
    writing: Arc<Mutex<()>>,
}

/// A file is read up to here: an embedding of 4,096 numbers and texts of some thousand characters.
const MOST_BYTES: u64 = 256 << 10;
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

// === impl Speakers ===

impl Speakers {
    /// The speakers in this folder, at most so many of one owner. It is made when the first is enrolled.
    pub fn new(folder: PathBuf, most: usize) -> Self {
        Self {
            folder: folder.into(),
            most,
            writing: Arc::default(),
        }
    }

    /// All of an owner, by id. One that is expired is deleted; a file that cannot be read is left out, and told in the
    /// log.
    ///
    /// # Errors
    /// INTERNAL when the folder cannot be read.
    pub fn list(&self, owner: &str) -> Result<Vec<Record>, Fault> {
        let _writing = self.lock();
        Ok(self.load(owner)?.into_values().collect())
    }

    /// One of an owner.
    ///
    /// # Errors
    /// NOT_FOUND, also for those of others.
    pub fn get(&self, owner: &str, id: &str) -> Result<Record, Fault> {
        let _writing = self.lock();
        self.load(owner)?.remove(id).ok_or_else(|| absent(id))
    }

    /// Keeps a new one. The same `request_id` again gives what the first call kept.
    ///
    /// # Errors
    /// ALREADY_EXISTS for an id that is taken, RESOURCE_EXHAUSTED when there are too many.
    pub fn create(&self, record: Record) -> Result<Record, Fault> {
        let _writing = self.lock();
        let known = self.load(&record.owner)?;
        if !record.request_id.is_empty()
            && let Some(before) = known.values().find(|known| known.request_id == record.request_id)
        {
            return Ok(before.clone());
        }
        if known.contains_key(&record.id) {
            let message = format!(
                "{} exists already; update it, or choose another id",
                record.name()
            );
            return Err(Fault::new(Kind::AlreadyExists, "SPEAKER_EXISTS", message));
        }
        if known.len() >= self.most {
            let most = self.most;
            let text = format!("there are {most} speakers already (diar.max_speakers); delete one");
            return Err(Fault::exhausted("SPEAKERS_FULL", "diar.max_speakers", text, None));
        }
        self.write(&record)?;
        Ok(record)
    }

    /// Whether a call with this `request_id` was answered before, and with what.
    ///
    /// # Errors
    /// INTERNAL when the folder cannot be read.
    pub fn answered(&self, owner: &str, request_id: &str) -> Result<Option<Record>, Fault> {
        let _writing = self.lock();
        let mut known = self.load(owner)?.into_values();
        Ok(known.find(|known| !request_id.is_empty() && known.request_id == request_id))
    }

    /// Changes one; `etag` names the version that is meant, empty: whichever.
    ///
    /// # Errors
    /// NOT_FOUND, ABORTED when it is another version by now.
    pub fn update(
        &self,
        owner: &str,
        id: &str,
        etag: &str,
        change: impl FnOnce(&mut Record),
    ) -> Result<Record, Fault> {
        let _writing = self.lock();
        let mut record = self.load(owner)?.remove(id).ok_or_else(|| absent(id))?;
        check(&record, etag)?;
        change(&mut record);
        record.updated = record::moment(SystemTime::now());
        self.write(&record)?;
        Ok(record)
    }

    /// Deletes one with its embedding.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub fn delete(&self, owner: &str, id: &str, etag: &str) -> Result<(), Fault> {
        let _writing = self.lock();
        let record = self.load(owner)?.remove(id).ok_or_else(|| absent(id))?;
        check(&record, etag)?;
        fs::remove_file(self.place(owner, id)).map_err(Fault::internal)
    }

    fn load(&self, owner: &str) -> Result<BTreeMap<String, Record>, Fault> {
        let folder = self.of(owner);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(Fault::internal(error)),
        };
        let now = SystemTime::now();
        let mut records = BTreeMap::new();
        for entry in entries {
            let path = entry.map_err(Fault::internal)?.path();
            if path.extension().is_none_or(|ending| ending != "json") {
                continue;
            }
            match read(&path) {
                Ok(record) if record.owner != owner => {}
                Ok(record) if record.is_expired(now) => {
                    fs::remove_file(&path).map_err(Fault::internal)?;
                    tracing::info!(speaker = %record.name(), "deleted a speaker whose time was over");
                }
                Ok(record) => drop(records.insert(record.id.clone(), record)),
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "a stored speaker is left out");
                }
            }
        }
        Ok(records)
    }

    fn write(&self, record: &Record) -> Result<(), Fault> {
        let (folder, place) = (self.of(&record.owner), self.place(&record.owner, &record.id));
        let part = place.with_extension("part");
        let write = || {
            fs::create_dir_all(&folder)?;
            let mut file = File::create(&part)?;
            file.write_all(&record.to_json())?;
            file.sync_all()?;
            fs::rename(&part, &place)?;
            File::open(&folder)?.sync_all()
        };
        write().map_err(Fault::internal)
    }

    fn of(&self, owner: &str) -> PathBuf {
        let digest = Sha256::digest(owner);
        let name: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        self.folder.join(name)
    }

    fn place(&self, owner: &str, id: &str) -> PathBuf {
        self.of(owner).join(format!("{id}.json"))
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(path: &Path) -> io::Result<Record> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST_BYTES).read_to_end(&mut bytes)?;
    let record: Record = serde_json::from_slice(&bytes)?;
    if !is_id(&record.id) || record.voice().is_none() {
        return Err(io::Error::other("it is not a speaker"));
    }
    Ok(record)
}

fn check(record: &Record, etag: &str) -> Result<(), Fault> {
    if etag.is_empty() || etag == record.etag() {
        return Ok(());
    }
    let message = format!(
        "{} was changed meanwhile; get it anew and try again",
        record.name()
    );
    Err(Fault::new(Kind::Aborted, "SPEAKER_CHANGED", message))
}

fn absent(id: &str) -> Fault {
    let id: String = id.chars().take(LONGEST_ID).collect();
    Fault::not_found("speaker", format!("speakers/{id}"), "ListSpeakers shows yours")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(owner: &str, id: &str) -> Record {
        Record {
            id: id.to_owned(),
            owner: owner.to_owned(),
            display_name: "Ana".to_owned(),
            consent: record::Consent::default(),
            model: "encoder".to_owned(),
            model_digest: "sha256:0".to_owned(),
            embedding: vec![1.0, 0.0],
            sample_count: 1,
            expire: None,
            created: (1, 0),
            updated: (1, 0),
            request_id: String::new(),
        }
    }

    fn speakers(folder: &Path) -> Speakers {
        Speakers::new(folder.to_owned(), 2)
    }

    #[test]
    fn a_speaker_survives_a_restart_and_is_seen_by_its_owner_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let kept = speakers(folder.path()).create(record("a", "ana")).expect("kept");
        let again = speakers(folder.path());
        assert_eq!(again.get("a", "ana").expect("there"), kept);
        assert_eq!(again.get("b", "ana").expect_err("another's").kind, Kind::NotFound);
        assert!(again.list("b").expect("listed").is_empty());
        again
            .create(record("b", "ana"))
            .expect("names of owners do not meet");
        assert_eq!(again.list("a").expect("listed").len(), 1);
    }

    #[test]
    fn an_id_is_taken_once_and_their_number_is_bounded() {
        let folder = tempfile::tempdir().expect("a folder");
        let speakers = speakers(folder.path());
        speakers.create(record("a", "ana")).expect("kept");
        let taken = speakers.create(record("a", "ana")).expect_err("taken");
        assert_eq!(taken.kind, Kind::AlreadyExists);
        speakers.create(record("a", "bo")).expect("kept");
        let full = speakers.create(record("a", "cy")).expect_err("full");
        assert_eq!(full.reason, "SPEAKERS_FULL");
    }

    #[test]
    fn the_same_request_makes_one_speaker() {
        let folder = tempfile::tempdir().expect("a folder");
        let speakers = speakers(folder.path());
        let asked = Record {
            request_id: "r".to_owned(),
            ..record("a", "ana")
        };
        speakers.create(asked.clone()).expect("kept");
        let second = speakers.create(Record {
            id: "other".to_owned(),
            ..asked
        });
        assert_eq!(second.expect("answered").id, "ana");
        assert_eq!(speakers.list("a").expect("listed").len(), 1);
    }

    #[test]
    fn an_old_version_changes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let speakers = speakers(folder.path());
        let first = speakers.create(record("a", "ana")).expect("kept").etag();
        let rename = |record: &mut Record| record.display_name = "Anna".to_owned();
        speakers.update("a", "ana", &first, rename).expect("updated");
        for refused in [
            speakers.update("a", "ana", &first, rename).map(drop),
            speakers.delete("a", "ana", &first),
        ] {
            assert_eq!(refused.expect_err("outdated").kind, Kind::Aborted);
        }
        speakers.delete("a", "ana", "").expect("deleted");
        assert_eq!(speakers.get("a", "ana").expect_err("gone").kind, Kind::NotFound);
    }

    #[test]
    fn who_is_expired_is_gone_and_a_damaged_file_harms_nobody() {
        let folder = tempfile::tempdir().expect("a folder");
        let speakers = speakers(folder.path());
        let expired = Record {
            expire: Some((2, 0)),
            ..record("a", "ana")
        };
        speakers.create(expired).expect("kept");
        speakers.create(record("a", "bo")).expect("kept");
        fs::write(speakers.place("a", "cy"), b"{").expect("written");
        let left: Vec<_> = speakers
            .list("a")
            .expect("listed")
            .into_iter()
            .map(|left| left.id)
            .collect();
        assert_eq!(left, ["bo"]);
        assert!(!speakers.place("a", "ana").exists());
    }
}
