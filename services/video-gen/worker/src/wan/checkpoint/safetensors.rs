//! The weights of a folder: one `.safetensors` file, or several with an index. Files are mapped, not read, and nothing that
//! they say is believed: headers are bounded and checked, an index names files of its own folder only.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use tch::Kind;

use crate::error::{Error, Result};
use crate::ffi::{self, Mapped};

/// How files of weights are called, with ".safetensors" or ".safetensors.index.json" behind: by diffusers, by transformers.
const STEMS: [&str; 2] = ["diffusion_pytorch_model", "model"];
/// The largest index, in bytes; that of a model of 14 billion numbers has 100 KB.
const MAX_INDEX: u64 = 16 << 20;
/// The most files of a model.
const MAX_FILES: usize = 256;

/// The weights of a folder.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    tensors: BTreeMap<String, Place>,
}

/// Where a tensor is.
#[derive(Debug)]
struct Place {
    map: Arc<Mmap>,
    bytes: std::ops::Range<usize>,
    shape: Vec<i64>,
    kind: Kind,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

// === impl Files ===

impl Files {
    pub(super) fn open(folder: PathBuf) -> Result<Self> {
        let mut files = Self {
            folder,
            tensors: BTreeMap::new(),
        };
        for stem in STEMS {
            let whole = files.folder.join(format!("{stem}.safetensors"));
            if whole.is_file() {
                files.add(&whole)?;
                return Ok(files);
            }
            let index = files.folder.join(format!("{stem}.safetensors.index.json"));
            if index.is_file() {
                files.add_all(&index)?;
                return Ok(files);
            }
        }
        Err(Error::weights(
            files.folder,
            "has no weights; there must be a file \"diffusion_pytorch_model.safetensors\" or \"model.safetensors\", or \
             the index of several",
        ))
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// A tensor of this shape, where it lies in its file.
    pub(super) fn tensor(&self, name: &str, shape: &[i64]) -> Result<Mapped> {
        let refuse = |problem| Err(Error::weights(&self.folder, problem));
        let Some(place) = self.tensors.get(name) else {
            return refuse(format!("lacks the tensor \"{name}\""));
        };
        if place.shape != shape {
            return refuse(format!(
                "\"{name}\" has the shape {:?}; it must be {shape:?}",
                place.shape
            ));
        }
        match Mapped::new(place.map.clone(), place.bytes.clone(), shape, place.kind) {
            Some(mapped) => Ok(mapped),
            None => refuse(format!(
                "\"{name}\" does not lie at a multiple of its numbers' size"
            )),
        }
    }

    /// All files that an index names, and no tensor that it does not place where it is.
    fn add_all(&mut self, index: &Path) -> Result<()> {
        let length = fs::metadata(index).map_or(0, |metadata| metadata.len());
        if length > MAX_INDEX {
            return Err(Error::weights(index, format!("has more than {MAX_INDEX} bytes")));
        }
        let text =
            fs::read(index).map_err(|error| Error::weights(index, format!("cannot be read: {error}")))?;
        let parsed: Index = serde_json::from_slice(&text)
            .map_err(|error| Error::weights(index, format!("is no index of weights: {error}")))?;
        let mut names: Vec<&String> = parsed.weight_map.values().collect();
        names.sort();
        names.dedup();
        if names.len() > MAX_FILES {
            return Err(Error::weights(
                index,
                format!("names more than {MAX_FILES} files"),
            ));
        }
        for name in names {
            if Path::new(name).file_name() != Some(name.as_ref()) || !name.ends_with(".safetensors") {
                return Err(Error::weights(
                    index,
                    format!("names \"{name}\", which is no file beside it"),
                ));
            }
            self.add(&self.folder.join(name))?;
        }
        for name in parsed.weight_map.keys() {
            if !self.tensors.contains_key(name) {
                return Err(Error::weights(
                    index,
                    format!("names the tensor \"{name}\", which is in none of its files"),
                ));
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &Path) -> Result<()> {
        let refuse = |problem: String| Error::weights(path, problem);
        let file = File::open(path).map_err(|error| refuse(format!("cannot be opened: {error}")))?;
        let map = ffi::map(&file).map_err(|error| refuse(format!("cannot be mapped: {error}")))?;
        // It bounds the header, and checks that tensors are within the file, as long as their shapes say, and apart.
        let (header, metadata) =
            SafeTensors::read_metadata(&map).map_err(|error| refuse(format!("is damaged: {error}")))?;
        // The header's own length comes before it, in 8 bytes.
        let begin = header + 8;
        for (name, info) in metadata.tensors() {
            let kind = match info.dtype {
                Dtype::F32 => Kind::Float,
                Dtype::BF16 => Kind::BFloat16,
                Dtype::F16 => Kind::Half,
                other => {
                    return Err(refuse(format!(
                        "\"{name}\" is in {other:?}; F32, BF16 and F16 can be read"
                    )));
                }
            };
            let shape = info
                .shape
                .iter()
                .map(|side| i64::try_from(*side).ok())
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| refuse(format!("\"{name}\" has a shape beyond measure")))?;
            let place = Place {
                map: map.clone(),
                bytes: begin + info.data_offsets.0..begin + info.data_offsets.1,
                shape,
                kind,
            };
            if self.tensors.insert(name.clone(), place).is_some() {
                return Err(refuse(format!("\"{name}\" is in another file too")));
            }
        }
        Ok(())
    }
}
