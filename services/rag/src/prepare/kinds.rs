//! What kind a document is, with the deciders that there are: a classifier that somebody trained, and a zero-shot model.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use polyphony_encoders::roster::ChosenZeroShot;
use polyphony_error::{Fault, chain};
use polyphony_inference::Cancel;

use super::{beginning, blocking};
use crate::doctype::{self, Classifier, Deciders, ZeroShot};
use crate::domain::DocType;
use crate::encoders::{Embedding, Encoders};
use crate::engine::{Embed, Side};

/// Decides kinds of documents.
#[derive(Debug)]
pub(crate) struct Kinds {
    classifiers: Classifiers,
    /// The kinds that a zero-shot model chooses from.
    labels: Vec<String>,
}

/// The classifier in a file, read again when the file changes.
#[derive(Debug)]
pub(crate) struct Classifiers {
    path: PathBuf,
    read: Mutex<Option<(SystemTime, Option<Arc<Classifier>>)>>,
}

/// A model that weighs labels, as the decision wants it.
#[derive(Debug)]
struct Weighing(ChosenZeroShot);

/// What a zero-shot model is asked about each kind.
const SENTENCE: &str = "This text is a {}.";
/// The largest file of a classifier.
const MOST_BYTES: u64 = 64 << 20;

// === impl Kinds ===

impl Kinds {
    pub(crate) fn new(classifiers: Classifiers, labels: Vec<String>) -> Self {
        Self { classifiers, labels }
    }

    /// The kind of a document, [`UNKNOWN`](doctype::UNKNOWN) where nobody is sure. `given` is what the client says; empty:
    /// nothing.
    pub(crate) async fn decide(
        &self,
        given: &str,
        text: &str,
        embedding: &Embedding,
        encoders: &Encoders,
    ) -> Result<DocType, Fault> {
        let classifier = self
            .classifiers
            .current()
            // Vectors of another model mean nothing to it.
            .filter(|classifier| classifier.model == embedding.model());
        let weighing = match self.labels.is_empty() || !given.is_empty() {
            true => None,
            false => encoders.zero_shot().await.map(Weighing),
        };
        let (given, text, labels) = (given.to_owned(), text.to_owned(), self.labels.clone());
        let embedding = embedding.clone();
        blocking(move || {
            let vector = match &classifier {
                Some(_) if given.is_empty() => embedding
                    .embed(&[beginning(&text)], Side::Passage)?
                    .into_iter()
                    .next(),
                _ => None,
            };
            let deciders = Deciders {
                classifier: classifier.as_deref().zip(vector.as_deref()),
                zero_shot: weighing
                    .as_ref()
                    .map(|weighing| (weighing as &dyn ZeroShot, labels.as_slice())),
            };
            doctype::decide(&given, &text, &deciders).map_err(Fault::internal)
        })
        .await
    }
}

// === impl Classifiers ===

impl Classifiers {
    /// The classifier in this file, which need not be there.
    pub(crate) fn at(path: PathBuf) -> Self {
        Self {
            path,
            read: Mutex::new(None),
        }
    }

    /// The classifier as it is now; none where there is no file, or none that can be read.
    pub(crate) fn current(&self) -> Option<Arc<Classifier>> {
        let changed = fs::metadata(&self.path).and_then(|about| about.modified()).ok()?;
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, classifier)) = &*read
            && *at == changed
        {
            return classifier.clone();
        }
        let classifier = match load(&self.path) {
            Ok(classifier) => Some(Arc::new(classifier)),
            Err(error) => {
                // Told once for each version of the file.
                let path = self.path.display();
                tracing::warn!(error = %chain(&error), %path, "the classifier cannot be read and is left out");
                None
            }
        };
        *read = Some((changed, classifier.clone()));
        classifier
    }
}

fn load(path: &Path) -> io::Result<Classifier> {
    if fs::metadata(path)?.len() > MOST_BYTES {
        return Err(io::Error::other("it is larger than 64 MiB"));
    }
    Classifier::from_json(&fs::read(path)?).map_err(io::Error::other)
}

impl ZeroShot for Weighing {
    fn weigh(&self, text: &str, labels: &[String]) -> Result<Vec<f32>, String> {
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        let fits = self
            .0
            .classify(beginning(text), &labels, SENTENCE, &Cancel::default());
        let fits = fits.map_err(|error| chain(&error).to_string())?;
        Ok(fits.into_iter().map(|fit| fit.share).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_classifier_is_read_again_when_its_file_changes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("classifier.json");
        let classifiers = Classifiers::at(path.clone());
        assert!(classifiers.current().is_none());
        let examples: Vec<(String, Vec<f32>)> = [
            ("a", [1.0, 0.0]),
            ("a", [0.9, 0.1]),
            ("b", [0.0, 1.0]),
            ("b", [0.1, 0.9]),
        ]
        .into_iter()
        .map(|(label, vector)| (label.to_owned(), vector.to_vec()))
        .collect();
        let trained = Classifier::train("m", &examples).expect("a classifier");
        fs::write(&path, serde_json::to_vec(&trained).expect("JSON")).expect("written");
        assert_eq!(classifiers.current().as_deref(), Some(&trained));
        fs::write(&path, b"{}").expect("written");
        let later = SystemTime::now() + std::time::Duration::from_secs(5);
        fs::File::options()
            .write(true)
            .open(&path)
            .expect("a file")
            .set_modified(later)
            .expect("a time");
        assert!(classifiers.current().is_none());
    }
}
