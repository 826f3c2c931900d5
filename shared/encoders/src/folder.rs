//! Which file of a model is which. Names are as sentence-transformers, optimum and transformers.js have them; a graph may
//! lie in a folder `onnx`, with the other files above it or beside it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::Error;

/// The files of one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    dir: PathBuf,
    /// Relative to `dir`, parted by `/`.
    files: BTreeSet<String>,
    /// The graph, one of `files`.
    graph: String,
}

/// A model without its graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the model has no graph, a file that ends with .onnx (looked among {0})")]
pub struct NoGraph(String);

/// The largest description that is read. A tokenizer's file has up to 20 MB.
const LARGEST: u64 = 1 << 20;
/// The largest tokenizer's file.
const LARGEST_TOKENIZER: u64 = 128 << 20;

// === impl Folder ===

impl Folder {
    /// The files of a model, by their names below `dir`. Nothing else in the folder is opened.
    ///
    /// # Errors
    /// `NoGraph`.
    pub fn new<'a>(
        dir: impl Into<PathBuf>,
        files: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, NoGraph> {
        let files: BTreeSet<String> = files.into_iter().map(str::to_owned).collect();
        let mut graphs: Vec<&String> = files.iter().filter(|file| file.ends_with(".onnx")).collect();
        // Several: the plain one.
        graphs.sort_by_key(|file| (!file.ends_with("model.onnx"), file.len()));
        let graph = graphs.first().map(|file| (*file).clone()).ok_or_else(|| {
            let names: Vec<&str> = files.iter().map(String::as_str).collect();
            NoGraph(names.join(", "))
        })?;
        Ok(Self {
            dir: dir.into(),
            files,
            graph,
        })
    }

    /// The graph.
    pub fn graph(&self) -> PathBuf {
        self.dir.join(&self.graph)
    }

    /// What the graph and its weights beside it take on disk, in bytes.
    pub(crate) fn weight_bytes(&self) -> u64 {
        let length = |file: &String| std::fs::metadata(self.dir.join(file)).map_or(0, |file| file.len());
        let stem = self.graph.as_str();
        self.files
            .iter()
            .filter(|file| file.starts_with(stem))
            .map(length)
            .sum()
    }

    /// A file by its name, above the graph's folder `onnx` or beside the graph.
    pub(crate) fn find(&self, name: &str) -> Option<PathBuf> {
        let beside = self.graph.rsplit_once('/').map_or("", |(folder, _)| folder);
        let above = match beside.rsplit_once('/') {
            Some((above, "onnx")) => above,
            None if beside == "onnx" => "",
            _ => beside,
        };
        [above, beside]
            .into_iter()
            .map(|folder| match folder {
                "" => name.to_owned(),
                folder => format!("{folder}/{name}"),
            })
            .find(|file| self.files.contains(file))
            .map(|file| self.dir.join(file))
    }

    /// What a description says; its default where there is none.
    pub(crate) fn read<T: DeserializeOwned + Default>(&self, name: &str) -> Result<T, Error> {
        let Some(path) = self.find(name) else {
            return Ok(T::default());
        };
        let bytes = read(&path, LARGEST)?;
        serde_json::from_slice(&bytes).map_err(|error| Error::file(path, error))
    }

    pub(crate) fn tokenizer(&self) -> Result<(PathBuf, Vec<u8>), Error> {
        let path = self.find("tokenizer.json").ok_or_else(|| {
            polyphony_inference::Error::unfit(
                self.graph(),
                "there is no tokenizer.json beside it or above it",
            )
        })?;
        let bytes = read(&path, LARGEST_TOKENIZER)?;
        Ok((path, bytes))
    }
}

fn read(path: &Path, most: u64) -> Result<Vec<u8>, Error> {
    let length = std::fs::metadata(path)
        .map_err(|error| Error::file(path, error))?
        .len();
    if length > most {
        let problem = format!("it has {length} bytes, and such a file has at most {most}");
        return Err(Error::file(path, problem));
    }
    std::fs::read(path).map_err(|error| Error::file(path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_in_each_layout() {
        for (files, config) in [
            (
                &["w/model/model.onnx", "w/model/config.json"][..],
                Some("/m/w/model/config.json"),
            ),
            (&["onnx/model.onnx", "config.json"], Some("/m/config.json")),
            (
                &["onnx/model.onnx", "onnx/config.json"],
                Some("/m/onnx/config.json"),
            ),
            (&["model_quantized.onnx", "config.json"], Some("/m/config.json")),
            (&["a/onnx/model.onnx", "config.json"], None),
        ] {
            let folder = Folder::new("/m", files.iter().copied()).expect("a graph");
            assert_eq!(folder.find("config.json"), config.map(PathBuf::from), "{files:?}");
        }
    }

    #[test]
    fn the_plain_graph_is_taken_and_none_is_an_error() {
        let several = ["onnx/model_fp16.onnx", "onnx/model.onnx", "onnx/model.onnx_data"];
        let folder = Folder::new("/m", several).expect("a graph");
        assert_eq!(folder.graph(), Path::new("/m/onnx/model.onnx"));
        let none = Folder::new("/m", ["model.safetensors"]).expect_err("no graph");
        assert!(none.to_string().contains("model.safetensors"), "{none}");
    }
}
