//! `polyphony rag train-classifier`: from folders of examples to the file by which rag tells kinds of documents.
//!
//! Documents are read here and embedded by the mesh; the classifier is trained here. How well it tells kinds that it has
//! not seen is measured first, on five parts of the examples in turn.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use polyphony_proto::llm::v1 as llm;
use polyphony_proto::llm::v1::llm_service_client::LlmServiceClient;
use polyphony_rag::doctype::Classifier;
use polyphony_rag::parse::{self, Format, Limits, Reader};
use serde_json::json;

use super::walk::walk;
use crate::args::Mesh;
use crate::whole_file::WholeFile;
use crate::{client, output};

/// Texts in one call.
const CALL: usize = 64;
/// The examples are parted into so many.
const PARTS: usize = 5;

pub(super) async fn run(
    mesh: &Mesh,
    json: bool,
    folder: &Path,
    output: Option<PathBuf>,
    model: Option<String>,
) -> anyhow::Result<ExitCode> {
    let place = match output {
        Some(place) => place,
        None => default_place()?,
    };
    let examples = examples(folder)?;
    let (model, examples) = embed(mesh, model.unwrap_or_default(), examples).await?;
    let classifier = Classifier::train(&model, &examples)?;
    let accuracy = accuracy(&model, &examples);
    let parent = place.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    let mut file = WholeFile::create(&place)?;
    file.write_all(&serde_json::to_vec(&classifier)?)?;
    file.keep()?;
    let labels = classifier.labels();
    if json {
        output::object(&json!({
            "file": place,
            "model": model,
            "labels": labels,
            "documents": examples.len(),
            "accuracy": accuracy,
        }))?;
    } else {
        let well = accuracy.map_or_else(String::new, |share| {
            format!(
                "; {:.0} of 100 that it had not seen were told right",
                share * 100.0
            )
        });
        output::line(&format!(
            "{}: {} kinds from {} documents{well}",
            place.display(),
            labels.len(),
            examples.len(),
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Where rag looks for a classifier on this machine.
fn default_place() -> anyhow::Result<PathBuf> {
    let data = polyphony_config::data_dir(|name| std::env::var_os(name));
    let data = data.context("no home says where rag keeps its files; name one with --output")?;
    Ok(data.join("rag").join("classifier.json"))
}

/// The beginnings of documents, by the folder that they are in.
fn examples(folder: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let cannot = || format!("cannot read {}", folder.display());
    let mut kinds: Vec<PathBuf> = fs::read_dir(folder)
        .with_context(cannot)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .with_context(cannot)?;
    kinds.retain(|path| path.is_dir());
    kinds.sort();
    let mut examples = Vec::new();
    for kind in kinds {
        let Some(label) = kind.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        if label.starts_with('.') {
            continue;
        }
        let walk = walk(std::slice::from_ref(&kind))?;
        for found in walk.files {
            match text(&found.path) {
                Ok(text) => examples.push((label.to_owned(), text)),
                Err(why) => output::remark(&format!("skipped {}: {why}", found.path.display())),
            }
        }
    }
    ensure!(
        !examples.is_empty(),
        "{} has no folders with documents; make one for each kind, named for it",
        folder.display()
    );
    Ok(examples)
}

/// The beginning of a document's text, or why there is none.
fn text(path: &Path) -> Result<String, String> {
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    let name = path.to_string_lossy();
    let (_, format) = Format::find("", &name, &bytes).map_err(|error| error.to_string())?;
    if format.reader() != Reader::Here {
        return Err("pages and recordings are not read here; give their text".to_owned());
    }
    let parsed = parse::parse(format, &bytes, Limits::default()).map_err(|error| error.to_string())?;
    Ok(polyphony_rag::beginning(&parsed.text).to_owned())
}

/// The vectors of texts, and the model that made them.
async fn embed(
    mesh: &Mesh,
    model: String,
    examples: Vec<(String, String)>,
) -> anyhow::Result<(String, Vec<(String, Vec<f32>)>)> {
    let mut llm = LlmServiceClient::new(client::connect(mesh).await?);
    let mut made_by = String::new();
    let mut embedded = Vec::with_capacity(examples.len());
    for group in examples.chunks(CALL) {
        let request = llm::EmbedRequest {
            model: model.clone(),
            inputs: group.iter().map(|(_, text)| text.clone()).collect(),
            task: llm::EmbeddingTask::Document.into(),
            truncation: llm::Truncation::Right.into(),
            ..llm::EmbedRequest::default()
        };
        let response = llm.embed(request).await?.into_inner();
        if response.embeddings.len() != group.len() {
            bail!(
                "the mesh gave {} vectors for {} texts",
                response.embeddings.len(),
                group.len()
            );
        }
        made_by = response.receipt.unwrap_or_default().model;
        let vectors = response.embeddings.into_iter().map(|embedding| embedding.values);
        embedded.extend(group.iter().map(|(label, _)| label.clone()).zip(vectors));
    }
    Ok((made_by, embedded))
}

/// The share of examples that a classifier tells right that was trained on the others; none where there are too few.
fn accuracy(model: &str, examples: &[(String, Vec<f32>)]) -> Option<f64> {
    let (mut right, mut all) = (0_usize, 0_usize);
    for part in 0..PARTS {
        let is_test = |at: usize| at % PARTS == part;
        let train: Vec<(String, Vec<f32>)> = examples
            .iter()
            .enumerate()
            .filter(|(at, _)| !is_test(*at))
            .map(|(_, example)| example.clone())
            .collect();
        let classifier = Classifier::train(model, &train).ok()?;
        for (_, (label, vector)) in examples.iter().enumerate().filter(|(at, _)| is_test(*at)) {
            all += 1;
            right += usize::from(
                classifier
                    .classify(vector)
                    .is_some_and(|(found, _)| found == label),
            );
        }
    }
    (all > 0).then(|| right as f64 / all as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_named_for_their_folders() {
        let folder = tempfile::tempdir().expect("a folder");
        for (kind, name, text) in [
            ("invoice", "a.txt", "Invoice 1"),
            ("letter", "b.md", "Dear Ana"),
            ("letter", "scan.png", "\u{89}PNG"),
        ] {
            fs::create_dir_all(folder.path().join(kind)).expect("a folder");
            fs::write(folder.path().join(kind).join(name), text).expect("written");
        }
        let found = examples(folder.path()).expect("examples");
        let expected = [("invoice", "Invoice 1"), ("letter", "Dear Ana")];
        assert!(
            found.iter().map(|(a, b)| (a.as_str(), b.as_str())).eq(expected),
            "{found:?}"
        );
        let empty = tempfile::tempdir().expect("a folder");
        assert!(examples(empty.path()).is_err());
    }

    #[test]
    fn what_was_not_seen_is_told_right_where_kinds_lie_apart() {
        let examples: Vec<(String, Vec<f32>)> = (0..20)
            .map(|at| {
                let (label, x) = if at % 2 == 0 { ("a", 1.0) } else { ("b", -1.0) };
                (label.to_owned(), vec![x, at as f32 / 100.0])
            })
            .collect();
        assert_eq!(accuracy("m", &examples), Some(1.0));
        assert_eq!(accuracy("m", &examples[..1]), None);
    }
}
