//! What to download: the commit, and for each file its length and what its bytes must be.

use std::path::Path;
use std::sync::Arc;

use super::fetch::patiently;
use super::locked;
use crate::digest::GitBlob;
use crate::source::{Etag, Hub, Remote};
use crate::store::{Lock, Pin};
use crate::{Error, FileEntry, FilePath, ModelId, Revision, Sha256, VariantEntry};

/// What to download.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) commit: Revision,
    pub(super) files: Vec<PlannedFile>,
}

/// A file to download.
#[derive(Debug, Clone)]
pub(super) struct PlannedFile {
    pub(super) path: FilePath,
    pub(super) bytes: u64,
    pub(super) expected: Expected,
}

/// What the bytes of a file must be; at least one of the two is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    pub(super) sha256: Option<Sha256>,
    pub(super) blob: Option<GitBlob>,
}

/// Room that is left for others when space is reckoned.
const RESERVE: u64 = 64 << 20;

// === impl Plan ===

impl Plan {
    /// Asks the hub about every file.
    pub(super) async fn make(
        hub: &Hub,
        repo: &ModelId,
        wanted: &Revision,
        variant: &VariantEntry,
        pin: Option<&Pin>,
    ) -> Result<Self, Error> {
        // After the first answer everything is asked of one commit, so that no push comes between two files.
        let mut commit: Option<Revision> = None;
        let mut files = Vec::with_capacity(variant.files.len());
        for file in &variant.files {
            let revision = commit.as_ref().unwrap_or(wanted);
            let remote = match patiently(|| hub.head(repo, revision, &file.path)).await {
                Err(Error::Missing { .. }) if file.optional && commit.is_some() => continue,
                answer => answer?,
            };
            let found = commit_of(hub, &remote, wanted)?;
            if *commit.get_or_insert_with(|| found.clone()) != found {
                return Err(nonsense(
                    hub,
                    format!("for {} at {found}, which is another commit", file.path),
                ));
            }
            files.push(PlannedFile::new(
                hub,
                file,
                &remote,
                pin.and_then(|pin| pin.sha256(&file.path)),
            )?);
        }
        let commit = commit.ok_or_else(|| nonsense(hub, "about no file".to_owned()))?;
        Ok(Self { commit, files })
    }

    /// Makes the staging folder, throws away what earlier pulls of other commits left, and sees that there is room.
    pub(super) async fn prepare(&self, lock: &Arc<Lock>, staging: &Path) -> Result<(), Error> {
        let staging = staging.to_owned();
        let total: u64 = self
            .files
            .iter()
            .map(|file| file.bytes)
            .fold(0, u64::saturating_add);
        let paths: Vec<_> = self
            .files
            .iter()
            .map(|file| staging.join(file.path.native()))
            .collect();
        locked(lock, move || {
            let doing = || format!("prepare {}", staging.display());
            std::fs::create_dir_all(&staging).map_err(Error::io(doing()))?;
            let siblings = staging
                .parent()
                .map(std::fs::read_dir)
                .transpose()
                .map_err(Error::io(doing()))?;
            for sibling in siblings.into_iter().flatten() {
                let path = sibling.map_err(Error::io(doing()))?.path();
                if path != staging {
                    std::fs::remove_dir_all(&path).map_err(Error::io(doing()))?;
                }
            }
            let mut here = 0;
            for path in &paths {
                if let Some(folder) = path.parent() {
                    std::fs::create_dir_all(folder).map_err(Error::io(doing()))?;
                }
                let partial = super::fetch::partial_of(path);
                here += path
                    .metadata()
                    .or_else(|_| partial.metadata())
                    .map_or(0, |found| found.len());
            }
            let disk = rustix::fs::statvfs(&staging).map_err(|errno| Error::io(doing())(errno.into()))?;
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let need = total.saturating_sub(here).saturating_add(RESERVE);
            if need > free {
                return Err(Error::NoSpace {
                    need,
                    free,
                    dir: staging,
                });
            }
            Ok(())
        })
        .await
    }
}

/// The commit that the hub answered for; a folder is named after it, so it must be one.
fn commit_of(hub: &Hub, remote: &Remote, wanted: &Revision) -> Result<Revision, Error> {
    let is_commit = |revision: &&Revision| {
        let text = revision.as_str();
        text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit())
    };
    let Some(commit) = remote.commit.as_ref().or(Some(wanted)).filter(is_commit) else {
        let problem =
            "without X-Repo-Commit, so nothing can be pinned; ask for a revision that is a commit".to_owned();
        return Err(nonsense(hub, problem));
    };
    if is_commit(&wanted) && commit != wanted {
        return Err(nonsense(
            hub,
            format!("for commit {commit} when asked for {wanted}"),
        ));
    }
    Ok(commit.clone())
}

fn nonsense(hub: &Hub, problem: String) -> Error {
    Error::Hub {
        endpoint: hub.name(),
        problem,
    }
}

// === impl PlannedFile ===

impl PlannedFile {
    /// Brings together what the catalogue pins, what an earlier pull got, and what the hub announces.
    fn new(hub: &Hub, file: &FileEntry, remote: &Remote, pinned: Option<Sha256>) -> Result<Self, Error> {
        let not_as_pinned = |pinned: String, found: String| Error::NotAsPinned {
            file: file.path.clone(),
            pinned,
            found,
        };
        if let Some(bytes) = file.bytes.filter(|bytes| *bytes != remote.bytes) {
            return Err(not_as_pinned(
                format!("{bytes} bytes"),
                format!("{} bytes", remote.bytes),
            ));
        }
        let mut sha256 = None;
        let announced = match remote.etag {
            Etag::Sha256(announced) => Some(announced),
            Etag::GitBlob(_) | Etag::Opaque => None,
        };
        for known in [file.sha256, pinned, announced].into_iter().flatten() {
            if *sha256.get_or_insert(known) != known {
                let first = sha256.unwrap_or(known);
                return Err(not_as_pinned(first.to_string(), known.to_string()));
            }
        }
        let blob = match remote.etag {
            Etag::GitBlob(blob) => Some(blob),
            Etag::Sha256(_) | Etag::Opaque => None,
        };
        if sha256.is_none() && blob.is_none() {
            let problem = format!(
                "without a digest of {}, and none is pinned; it cannot be verified",
                file.path
            );
            return Err(nonsense(hub, problem));
        }
        Ok(Self {
            path: file.path.clone(),
            bytes: remote.bytes,
            expected: Expected { sha256, blob },
        })
    }
}
