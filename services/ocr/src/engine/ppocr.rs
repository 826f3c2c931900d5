//! PP-OCR on ONNX Runtime: a detector of lines, a classifier that tells lines on their head, and a recogniser, with the
//! steps between them as RapidOCR has them, so that upright pages read the same. Versions 2 to 5, mobile and server, as
//! long as recognition is CTC and its width is open. Source: github.com/PaddlePaddle/PaddleOCR, Apache-2.0.
//!
//! What is ours: the graphs are made cheaper at load (`graph`), the page is turned the right way up first (`turn`),
//! lines are read by several sessions of one thread each ([`crew`]), and put into reading order (`crate::layout`).

mod classify;
mod ctc;
mod detect;
mod files;
mod graph;
mod outline;
mod recognize;
mod sheet;
mod strip;
mod tensor;
mod turn;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use polyphony_inference::{
    Cancel, Device, Error as InferenceError, Graph, InferenceConfig, Loaded, Placement, Runtime, SessionPool,
    SessionSettings, TensorRt, crew,
};
use polyphony_models::Provenance;

use crate::domain::{EngineInfo, Line, Options, PageReading, Picture, Quad, Rotation};
use crate::engine::Engine;
use crate::error::Error;
use crate::layout;
use classify::Classifier;
use ctc::Reading;
use detect::{Detector, Thresholds};
pub use files::{Files, NoFile};
use recognize::Recognizer;
use sheet::{MAX_SIDE, Sheet};
use strip::Strip;

/// The engine's name, in the catalogue and in receipts.
pub const NAME: &str = "ppocr";
/// What PP-OCR's own lists of characters hold. Other languages of the Latin script are read without their accents.
const LANGUAGES: [&str; 2] = ["zh", "en"];

/// A line that was turned because of the classifier, and then read less likely than this, is doubted.
const DOUBTFUL: f32 = 0.8;

/// The engine with a model in it.
pub struct PpOcr {
    detector: Detector,
    classifier: Option<Classifier>,
    recognizer: Recognizer,
    /// Lines that are read at once.
    threads: usize,
    info: EngineInfo,
}

/// How TensorRT is used, where it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorRtChoice {
    /// Where compiled graphs are kept.
    pub cache: PathBuf,
    /// Compute in half precision.
    pub fp16: bool,
}

/// What can be said of a model before it is loaded: all but the version and the device.
pub fn foretell(model: impl Into<String>, digest: impl Into<String>) -> EngineInfo {
    let Thresholds { pixel, patch, unclip } = Thresholds::default();
    EngineInfo {
        provenance: Provenance {
            engine: NAME,
            version: String::new(),
            model: model.into(),
            digest: digest.into(),
            device: String::new(),
            degraded: None,
        },
        languages: LANGUAGES.map(str::to_owned).to_vec(),
        max_side: MAX_SIDE,
        pixel_threshold: pixel,
        box_threshold: patch,
        unclip_ratio: unclip,
    }
}

// === impl PpOcr ===

impl PpOcr {
    /// Loads a model and reads a small page once, so that the first request is not the slow one. `model` and `digest`
    /// are told in receipts.
    ///
    /// # Errors
    /// [`Error::Request`] when ONNX Runtime, the device or TensorRT is missing, with the remedy; [`Error::Engine`] when a
    /// file is broken or not what it is taken for.
    pub fn load(
        files: &Files,
        model: impl Into<String>,
        digest: impl Into<String>,
        runtime: &Runtime,
        config: &InferenceConfig,
        tensor_rt: Option<&TensorRtChoice>,
    ) -> Result<Self, Error> {
        let info = foretell(model, digest);
        Self::open(files, info, runtime, config, tensor_rt).map_err(failed)
    }

    fn open(
        files: &Files,
        mut info: EngineInfo,
        runtime: &Runtime,
        config: &InferenceConfig,
        tensor_rt: Option<&TensorRtChoice>,
    ) -> Result<Self, InferenceError> {
        let loaded = runtime.get()?;
        let Placement { device, fallback } = config.device.place(loaded)?;
        if let Some(reason) = fallback {
            tracing::info!(reason, "running on the processor");
        }
        info.provenance.version = format!("onnxruntime {}", loaded.version());
        info.provenance.device = device.to_string();
        let (sessions, each) = config.width(device.is_gpu());
        let opener = Opener {
            loaded,
            device,
            tensor_rt,
        };
        let all = sessions.saturating_mul(each);
        let one = NonZeroUsize::MIN;
        let detector = opener.open(
            &files.detection,
            one,
            all,
            ["1x3x32x32", "1x3x960x960", "1x3x2016x5888"],
        )?;
        let shapes = ["1x3x48x320", "1x3x48x320", "1x3x48x4800"];
        let recognizer = opener.open(&files.recognition, sessions, each, shapes)?;
        let classifier = match &files.classification {
            Some(path) => Some(Classifier::new(opener.open(
                path,
                sessions,
                each,
                ["1x3x48x192"; 3],
            )?)?),
            None => None,
        };
        let list = match &files.dictionary {
            Some(path) => {
                Some(std::fs::read_to_string(path).map_err(|error| InferenceError::open(path, error))?)
            }
            None => None,
        };
        let engine = Self {
            detector: Detector::new(detector)?,
            classifier,
            recognizer: Recognizer::new(recognizer, list)?,
            threads: sessions.get(),
            info,
        };
        engine.warm_up()?;
        Ok(engine)
    }

    /// Finds now, not in somebody's request, whether the shapes fit.
    fn warm_up(&self) -> Result<(), InferenceError> {
        let (page, cancel) = (
            Picture::from_pixel(64, 48, image::Rgb([255; 3])),
            Cancel::default(),
        );
        self.detector.find(&page, Thresholds::default(), &cancel)?;
        if let Some(classifier) = &self.classifier {
            classifier.upside_down(&page, &cancel)?;
        }
        self.recognizer.read(&page, 320, &cancel)?;
        Ok(())
    }

    /// The lines on a sheet, each with the probability that it stands on its head.
    fn strips(
        &self,
        sheet: &Sheet,
        thresholds: Thresholds,
        cancel: &Cancel,
    ) -> Result<Vec<Strip>, InferenceError> {
        let found = self.detector.find(&sheet.picture, thresholds, cancel)?;
        let mut strips: Vec<Strip> = found.into_iter().filter_map(Strip::of).collect();
        if let Some(classifier) = &self.classifier {
            let chances = crew::each(strips.len(), self.threads, |i| {
                classifier.upside_down(&strips[i].cut(&sheet.picture, false), cancel)
            })?;
            for (strip, chance) in strips.iter_mut().zip(chances) {
                strip.upside_down = chance;
            }
        }
        Ok(strips)
    }

    /// What the lines say, in their order, and which of them are turned by half a turn for it.
    fn readings(
        &self,
        sheet: &Sheet,
        strips: &[Strip],
        cancel: &Cancel,
    ) -> Result<Vec<(Reading, bool)>, InferenceError> {
        let sizes: Vec<_> = strips.iter().map(Strip::size).collect();
        let widths = self.recognizer.widths(&sizes);
        crew::each(strips.len(), self.threads, |i| {
            let read = |on_head: bool| {
                let line = strips[i].cut(&sheet.picture, on_head);
                self.recognizer.read(&line, widths[i], cancel)
            };
            let on_head = classify::is_sure(strips[i].upside_down);
            let reading = read(on_head)?;
            // The classifier errs on very long lines; what it turned and cannot be read is turned back.
            if on_head && reading.confidence < DOUBTFUL {
                let upright = read(false)?;
                if upright.confidence > reading.confidence {
                    return Ok((upright, false));
                }
            }
            Ok((reading, on_head))
        })
    }

    fn read_page(
        &self,
        page: &Picture,
        options: &Options,
        cancel: &Cancel,
    ) -> Result<PageReading, InferenceError> {
        let defaults = Thresholds::default();
        let thresholds = Thresholds {
            pixel: options.detection.pixel_threshold.unwrap_or(defaults.pixel),
            patch: options.detection.box_threshold.unwrap_or(defaults.patch),
            unclip: options.detection.unclip_ratio.unwrap_or(defaults.unclip),
        };
        let max_side = options.detection.max_side.unwrap_or(MAX_SIDE);
        let mut sheet = Sheet::of(page, max_side);
        let mut strips = self.strips(&sheet, thresholds, cancel)?;
        let mut rotation = Rotation::None;
        if options.orientation {
            rotation = self.judge(&sheet.picture, &strips, cancel)?;
        }
        let turned = turned(page, rotation);
        if let Some(page) = &turned {
            sheet = Sheet::of(page, max_side);
            strips = self.strips(&sheet, thresholds, cancel)?;
        }
        let page = turned.as_ref().unwrap_or(page);
        let readings = self.readings(&sheet, &strips, cancel)?;
        let lines: Vec<Line> = strips
            .iter()
            .zip(&readings)
            .filter(|(_, (reading, _))| {
                reading.confidence >= options.min_confidence && !reading.text.trim().is_empty()
            })
            .map(|(strip, (reading, on_head))| {
                line(&sheet, &strip.outline(*on_head), reading, options.symbols)
            })
            .collect();
        let reading = PageReading {
            width: page.width(),
            height: page.height(),
            rotation,
            lines,
            ..PageReading::default()
        };
        Ok(layout::arrange(reading, Some(page), options))
    }
}

impl Engine for PpOcr {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn read(&self, page: &Picture, options: &Options, cancel: &Cancel) -> Result<PageReading, Error> {
        self.read_page(page, options, cancel).map_err(failed)
    }
}

impl std::fmt::Debug for PpOcr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PpOcr")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

fn failed(error: InferenceError) -> Error {
    Error::inference(NAME, error)
}

fn line(sheet: &Sheet, outline: &Quad, reading: &Reading, symbols: bool) -> Line {
    let mut outline = *outline;
    outline.0 = outline.0.map(|corner| sheet.to_page(corner));
    let [left, right, ..] = outline.0;
    Line {
        outline,
        text: reading.text.clone(),
        confidence: reading.confidence,
        angle_degrees: (right.y - left.y).atan2(right.x - left.x).to_degrees(),
        words: outline::words(reading, &outline, symbols),
    }
}

/// The page turned, unless it stays as it is.
fn turned(page: &Picture, rotation: Rotation) -> Option<Picture> {
    match rotation {
        Rotation::None => None,
        Rotation::Quarter => Some(image::imageops::rotate90(page)),
        Rotation::Half => Some(image::imageops::rotate180(page)),
        Rotation::ThreeQuarters => Some(image::imageops::rotate270(page)),
    }
}

/// Opens the graphs of a model, improved.
struct Opener<'a> {
    loaded: &'a Loaded,
    device: Device,
    tensor_rt: Option<&'a TensorRtChoice>,
}

// === impl Opener ===

impl Opener<'_> {
    /// `shapes`: the smallest, usual and largest input, for TensorRT.
    fn open(
        &self,
        path: &Path,
        sessions: NonZeroUsize,
        threads: NonZeroUsize,
        shapes: [&str; 3],
    ) -> Result<SessionPool, InferenceError> {
        let bytes = std::fs::read(path).map_err(|error| InferenceError::open(path, error))?;
        let improved = graph::improve(&bytes);
        drop(bytes);
        let settings = SessionSettings {
            device: self.device,
            threads,
            fixed_shapes: false,
        };
        let plain = Graph {
            path,
            bytes: improved.as_deref(),
            tensor_rt: None,
        };
        let Some(choice) = self.tensor_rt else {
            return SessionPool::open_graph(self.loaded, plain, settings, sessions);
        };
        // Its shapes are told by the name of the input, which the graph has to tell first.
        let input = {
            let on_processor = SessionSettings {
                device: Device::Cpu,
                ..settings
            };
            let pool = SessionPool::open_graph(self.loaded, plain, on_processor, NonZeroUsize::MIN)?;
            pool.inputs()
                .first()
                .map(|input| input.name.clone())
                .unwrap_or_default()
        };
        let [least, usual, most] = shapes.map(|shape| format!("{input}:{shape}"));
        let tensor_rt = TensorRt {
            cache: choice.cache.clone(),
            fp16: choice.fp16,
            least,
            usual,
            most,
        };
        let graph = Graph {
            tensor_rt: Some(&tensor_rt),
            ..plain
        };
        SessionPool::open_graph(self.loaded, graph, settings, sessions)
    }
}
