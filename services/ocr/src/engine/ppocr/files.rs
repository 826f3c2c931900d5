//! Which file of a model is which: a detector, a recogniser, mostly a classifier of lines, sometimes a list of
//! characters. Told by name, as the wheel of RapidOCR and the hub name them.

use std::path::{Path, PathBuf};

/// The files of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// Finds lines.
    pub detection: PathBuf,
    /// Tells lines that stand on their head. None: no line is turned, and pages only by how well they read.
    pub classification: Option<PathBuf>,
    /// Reads lines.
    pub recognition: PathBuf,
    /// The characters, one a line. None: the recogniser's metadata has them.
    pub dictionary: Option<PathBuf>,
}

/// A model without a file that it needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the model has no {0} file (looked among {1})")]
pub struct NoFile(&'static str, String);

// === impl Files ===

impl Files {
    /// Picks the files of a model in `folder` by their names, which may have folders of their own in them.
    ///
    /// # Errors
    /// [`NoFile`] when there is no detector or no recogniser.
    pub fn find<'a>(folder: &Path, names: impl IntoIterator<Item = &'a str>) -> Result<Self, NoFile> {
        let names: Vec<&str> = names.into_iter().collect();
        let with = |extension: &str, marks: &[&str]| {
            let fits = |name: &&&str| {
                let name = name.to_lowercase();
                let words: Vec<&str> = name.split(|c: char| !c.is_alphanumeric()).collect();
                name.ends_with(extension) && words.iter().any(|word| marks.contains(word))
            };
            names.iter().find(fits).map(|name| folder.join(name))
        };
        let all = || names.join(", ");
        Ok(Self {
            detection: with(".onnx", &["det", "detection"]).ok_or_else(|| NoFile("detection", all()))?,
            classification: with(".onnx", &["cls", "classification", "ori", "textline"]),
            recognition: with(".onnx", &["rec", "recognition"])
                .ok_or_else(|| NoFile("recognition", all()))?,
            dictionary: with(".txt", &["dict", "keys"]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_the_names_that_are_in_use() {
        let wheel = [
            "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx",
            "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx",
            "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx",
        ];
        let files = Files::find(Path::new("/w"), wheel).expect("files");
        assert_eq!(files.detection, Path::new("/w").join(wheel[0]));
        assert_eq!(files.recognition, Path::new("/w").join(wheel[1]));
        assert_eq!(files.classification, Some(Path::new("/w").join(wheel[2])));
        assert_eq!(files.dictionary, None);
        let hub = [
            "detection/v5/det.onnx",
            "languages/chinese/rec.onnx",
            "languages/chinese/dict.txt",
        ];
        let files = Files::find(Path::new("/h"), hub).expect("files");
        assert_eq!(files.dictionary, Some("/h/languages/chinese/dict.txt".into()));
        assert_eq!(files.classification, None);
    }

    #[test]
    fn a_model_without_a_recogniser_is_refused_by_what_it_lacks() {
        let error = Files::find(Path::new("/h"), ["det.onnx", "record.onnx"]).expect_err("none reads");
        assert!(error.to_string().contains("no recognition file"), "{error}");
    }
}
