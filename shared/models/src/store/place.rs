//! Where a model lies, and what should lie there. Says nothing about whether it does.

use std::path::PathBuf;

use super::{Layout, Listing, Presence, refuse};
use crate::manifest::{FORMAT, Manifest, digest, read_json};
use crate::names::MANIFEST;
use crate::source::root_of;
use crate::{
    Availability, Catalogue, Entry, Error, FileEntry, FileRecord, ModelId, ModelRef, Revision, Source,
    Variant,
};

/// A model on disk, not verified.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) model: ModelRef,
    pub(crate) task: String,
    pub(crate) engine: String,
    pub(crate) description: String,
    pub(crate) licence: String,
    pub(crate) memory_bytes: u64,
    pub(crate) source: Source,
    pub(crate) revision: Option<Revision>,
    pub(crate) root: PathBuf,
    pub(crate) files: Vec<FileEntry>,
    /// Whether the store put the files there itself: then there are no links among them.
    pub(crate) ours: bool,
}

// === impl Place ===

impl Place {
    /// The newest pulled revision of a model.
    pub(crate) fn pulled(
        layout: &Layout,
        catalogue: &Catalogue,
        id: &ModelId,
        variant: &Variant,
    ) -> Result<Option<Self>, Error> {
        let model = ModelRef::exact(id.clone(), variant.clone());
        let mut newest: Option<(Manifest, PathBuf)> = None;
        for revision in layout.revisions(id, variant)? {
            let root = layout.installed(id, variant).join(revision.as_str());
            let path = root.join(MANIFEST);
            let broken = |problem: String| {
                refuse(
                    &model,
                    &path,
                    format!("{problem}; `polyphony models pull {model}` replaces it"),
                )
            };
            let manifest: Option<Manifest> = read_json(&path).map_err(|error| broken(error.to_string()))?;
            let manifest = manifest.ok_or_else(|| broken("it is missing".to_owned()))?;
            if manifest.format != FORMAT {
                return Err(broken(format!(
                    "it has the format {}, not {FORMAT}",
                    manifest.format
                )));
            }
            if (&manifest.model, &manifest.variant, &manifest.revision) != (id, variant, &revision) {
                return Err(broken("it tells about another model".to_owned()));
            }
            let key = |m: &Manifest| (m.pulled_at_millis, m.revision.clone());
            if newest
                .as_ref()
                .is_none_or(|(other, _)| key(other) < key(&manifest))
            {
                newest = Some((manifest, root));
            }
        }
        let Some((manifest, root)) = newest else {
            return Ok(None);
        };
        if let Ok((_, source, known)) = catalogue.select(&model)
            && *source == manifest.source
        {
            // A catalogue that pins bytes is believed above what lies beside the files.
            check_pins(&model, &root, &manifest, &known.files)?;
        }
        let entry = |file: FileRecord| FileEntry {
            path: file.path,
            bytes: Some(file.bytes),
            sha256: Some(file.sha256),
            optional: false,
        };
        Ok(Some(Self {
            model,
            task: manifest.task,
            engine: manifest.engine,
            description: manifest.description,
            licence: manifest.licence,
            memory_bytes: manifest.memory_bytes,
            source: manifest.source,
            revision: Some(manifest.revision),
            root,
            files: manifest.files.into_iter().map(entry).collect(),
            ours: true,
        }))
    }

    /// A model that pip, apt or a person put on this machine.
    pub(crate) fn elsewhere(
        entry: &Entry,
        variant: &Variant,
        wheel_dirs: &[PathBuf],
    ) -> Result<Option<Self>, Error> {
        let Availability::Available { source, variants } = &entry.availability else {
            return Ok(None);
        };
        let Some(known) = variants.iter().find(|known| known.name == *variant) else {
            return Ok(None);
        };
        let model = ModelRef::exact(entry.id.clone(), variant.clone());
        let Some((root, files)) = root_of(&model, source, known, wheel_dirs)? else {
            return Ok(None);
        };
        let revision = match source {
            Source::Wheel { version, .. } | Source::Debian { version, .. } => Some(version.clone()),
            Source::Hub { .. } | Source::Folder { .. } => None,
        };
        Ok(Some(Self {
            model,
            task: entry.task.clone(),
            engine: entry.engine.clone(),
            description: entry.description.clone(),
            licence: entry.licence.clone(),
            memory_bytes: known.memory_bytes,
            source: source.clone(),
            revision,
            root,
            files,
            ours: false,
        }))
    }

    pub(crate) fn into_listing(self) -> Listing {
        let record = |file: &FileEntry| {
            Some(FileRecord {
                path: file.path.clone(),
                bytes: file.bytes?,
                sha256: file.sha256?,
            })
        };
        let pinned: Option<Vec<_>> = self.files.iter().map(record).collect();
        let mut bytes = 0;
        let mut problem = None;
        for file in &self.files {
            let path = self.root.join(file.path.native());
            match path.metadata() {
                Ok(found) if file.bytes.is_none_or(|expected| expected == found.len()) => {
                    bytes += found.len()
                }
                Ok(found) => problem = Some(format!("{} has {} bytes", path.display(), found.len())),
                Err(error) => problem = Some(format!("{}: {error}", path.display())),
            }
        }
        Listing {
            model: self.model,
            task: self.task,
            engine: self.engine,
            description: self.description,
            licence: self.licence,
            memory_bytes: self.memory_bytes,
            presence: match problem {
                Some(problem) => Presence::Damaged(problem),
                None => Presence::OnDisk {
                    dir: self.root,
                    revision: self.revision,
                    bytes,
                    digest: pinned.map(|files| digest(&files)),
                },
            },
        }
    }
}

fn check_pins(
    model: &ModelRef,
    root: &std::path::Path,
    manifest: &Manifest,
    known: &[FileEntry],
) -> Result<(), Error> {
    for file in known {
        let Some(pinned) = file.sha256 else { continue };
        let found = manifest.files.iter().find(|record| record.path == file.path);
        if found.is_some_and(|record| record.sha256 != pinned) || found.is_none() && !file.optional {
            let problem =
                format!("the manifest does not say {pinned} as the catalogue does; pull the model again");
            return Err(refuse(model, &root.join(file.path.native()), problem));
        }
    }
    Ok(())
}
