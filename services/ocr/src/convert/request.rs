//! `OcrConfig`: what is asked for, then whether an engine can do it.

use std::ops::RangeInclusive;

use polyphony_error::Fault;
use polyphony_proto::ocr::v1 as pb;
use polyphony_wire::{Expected, Refusals};

use crate::document::Ask;
use crate::domain::{Detection, EngineInfo, Options};
use crate::render::Format;

/// A config that is well formed.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The model's name; empty: the default.
    pub(crate) model: String,
    /// Languages to expect, by their first subtag.
    pub(crate) languages: Vec<String>,
    path: String,
    wire: pb::OcrConfig,
    native: bool,
    dpi: u32,
    options: Options,
    formats: Vec<Format>,
    expected: Expected,
}

/// A config that an engine can honour, all of it.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) options: Options,
    /// How pages are wanted.
    pub(crate) ask: Ask,
    pub(crate) formats: Vec<Format>,
    /// With every default filled in.
    pub(crate) effective: pb::OcrConfig,
}

/// The resolution of pages that are drawn, in dots an inch.
const DPI: u32 = 200;
const DPIS: RangeInclusive<u32> = 72..=600;
const SIDES: RangeInclusive<u32> = 320..=8_192;
const SHARES: RangeInclusive<f32> = 0.0..=1.0;
const RATIOS: RangeInclusive<f32> = 1.0..=4.0;
/// Formats asked for at once, and languages.
const MOST_FORMATS: usize = 5;
const MOST_LANGUAGES: usize = 16;

/// The paths that are honoured, for `GetCapabilities`.
pub(crate) fn supported_fields() -> Vec<String> {
    [
        "config.model",
        "config.language_hints",
        "config.enable_native_pdf_parsing",
        "config.enable_orientation_detection",
        "config.enable_deskew",
        "config.enable_symbol",
        "config.enable_tables",
        "config.enable_form_fields",
        "config.enable_image_quality_scores",
        "config.min_confidence",
        "config.render_dpi",
        "config.detection",
        "config.output_formats",
        "config.expected_model_digest",
    ]
    .map(str::to_owned)
    .to_vec()
}

// === impl Asked ===

impl Asked {
    /// Parses a config; `path` is where it stands in the request, as "config.".
    pub(crate) fn parse(config: Option<pb::OcrConfig>, path: &str) -> Result<Self, Fault> {
        let wire = config.unwrap_or_default();
        let mut refusals = Refusals::at(path.to_owned());
        let pb::OcrConfig {
            model,
            language_hints,
            enable_native_pdf_parsing,
            enable_orientation_detection,
            enable_deskew,
            enable_symbol,
            enable_tables,
            enable_form_fields,
            enable_image_quality_scores,
            enable_barcodes,
            enable_math_ocr,
            min_confidence,
            render_dpi,
            detection,
            output_formats,
            expected_model_digest,
        } = &wire;
        if language_hints.len() > MOST_LANGUAGES {
            refusals.add("language_hints", "must have at most 16 languages");
        }
        let mut languages = Vec::new();
        for (at, hint) in language_hints.iter().take(MOST_LANGUAGES).enumerate() {
            match primary(hint) {
                Some(language) => languages.push(language),
                None => refusals.add(
                    &format!("language_hints[{at}]"),
                    "must be a BCP-47 tag, as \"en\" or \"zh-Hant\"",
                ),
            }
        }
        if *enable_barcodes == Some(true) {
            refusals.add(
                "enable_barcodes",
                "is not supported: no engine here reads bar codes",
            );
        }
        if *enable_math_ocr == Some(true) {
            refusals.add(
                "enable_math_ocr",
                "is not supported: no engine here reads formulas",
            );
        }
        let defaults = Options::default();
        let options = Options {
            orientation: enable_orientation_detection.unwrap_or(defaults.orientation),
            deskew: enable_deskew.unwrap_or(defaults.deskew),
            symbols: enable_symbol.unwrap_or(false),
            tables: enable_tables.unwrap_or(false),
            form_fields: enable_form_fields.unwrap_or(false),
            quality: enable_image_quality_scores.unwrap_or(false),
            min_confidence: min_confidence.unwrap_or(defaults.min_confidence),
            detection: parse_detection(detection.as_ref(), &mut refusals),
        };
        within(
            "min_confidence",
            Some(options.min_confidence),
            SHARES,
            "must be 0 to 1",
            &mut refusals,
        );
        let dpi = render_dpi.unwrap_or(DPI);
        within("render_dpi", Some(dpi), DPIS, "must be 72 to 600", &mut refusals);
        let formats = parse_formats(output_formats, &mut refusals);
        let expected = Expected::parse(expected_model_digest, &mut refusals);
        refusals.finish()?;
        Ok(Self {
            model: model.clone(),
            languages,
            path: path.to_owned(),
            native: enable_native_pdf_parsing.unwrap_or(true),
            dpi,
            options,
            formats,
            expected,
            wire,
        })
    }

    /// Whether a model can be the default for this: it knows the languages.
    pub(crate) fn suits(&self) -> impl Fn(&EngineInfo) -> bool + Send + use<> {
        let languages = self.languages.clone();
        move |info| languages.iter().all(|language| info.languages.contains(language))
    }

    /// Whether this engine can do all of it.
    pub(crate) fn fit(&self, info: &EngineInfo) -> Result<Plan, Fault> {
        let mut refusals = Refusals::at(self.path.clone());
        let made = &info.provenance;
        for (at, language) in self.languages.iter().enumerate() {
            if !info.languages.contains(language) {
                let known = info.languages.join(", ");
                let text = format!(
                    "is not known to {} ({}): it knows {known}",
                    made.engine, made.model
                );
                refusals.add(&format!("language_hints[{at}]"), text);
            }
        }
        refusals.finish()?;
        self.expected.check(&made.digest, &self.path)?;
        let options = self.options.clone();
        let mut effective = self.wire.clone();
        effective.model.clone_from(&made.model);
        effective.enable_native_pdf_parsing = Some(self.native);
        effective.enable_orientation_detection = Some(options.orientation);
        effective.enable_deskew = Some(options.deskew);
        effective.enable_symbol = Some(options.symbols);
        effective.enable_tables = Some(options.tables);
        effective.enable_form_fields = Some(options.form_fields);
        effective.enable_image_quality_scores = Some(options.quality);
        effective.enable_barcodes = Some(false);
        effective.enable_math_ocr = Some(false);
        effective.min_confidence = Some(options.min_confidence);
        effective.render_dpi = Some(self.dpi);
        let Detection {
            max_side,
            pixel_threshold,
            box_threshold,
            unclip_ratio,
        } = options.detection;
        effective.detection = Some(pb::TextDetection {
            max_side_pixels: Some(max_side.unwrap_or(info.max_side)),
            pixel_threshold: Some(pixel_threshold.unwrap_or(info.pixel_threshold)),
            box_threshold: Some(box_threshold.unwrap_or(info.box_threshold)),
            unclip_ratio: Some(unclip_ratio.unwrap_or(info.unclip_ratio)),
        });
        let ask = Ask {
            dpi: self.dpi,
            native: self.native,
            // Rules and boxes are looked for in the picture.
            picture: options.tables || options.form_fields || options.quality,
        };
        Ok(Plan {
            options,
            ask,
            formats: self.formats.clone(),
            effective,
        })
    }
}

fn parse_detection(wire: Option<&pb::TextDetection>, refusals: &mut Refusals) -> Detection {
    let Some(wire) = wire else {
        return Detection::default();
    };
    let pb::TextDetection {
        max_side_pixels,
        pixel_threshold,
        box_threshold,
        unclip_ratio,
    } = *wire;
    within(
        "detection.max_side_pixels",
        max_side_pixels,
        SIDES,
        "must be 320 to 8192",
        refusals,
    );
    for (field, value) in [
        ("detection.pixel_threshold", pixel_threshold),
        ("detection.box_threshold", box_threshold),
    ] {
        within(field, value, SHARES, "must be 0 to 1", refusals);
    }
    within(
        "detection.unclip_ratio",
        unclip_ratio,
        RATIOS,
        "must be 1 to 4",
        refusals,
    );
    Detection {
        max_side: max_side_pixels,
        pixel_threshold,
        box_threshold,
        unclip_ratio,
    }
}

fn parse_formats(wire: &[i32], refusals: &mut Refusals) -> Vec<Format> {
    if wire.len() > MOST_FORMATS {
        refusals.add("output_formats", "must be at most 5");
    }
    let mut formats = Vec::new();
    for (at, format) in wire.iter().take(MOST_FORMATS).enumerate() {
        let format = match pb::OutputFormat::try_from(*format) {
            Ok(pb::OutputFormat::Text) => Format::Text,
            Ok(pb::OutputFormat::Markdown) => Format::Markdown,
            Ok(pb::OutputFormat::Html) => Format::Html,
            Ok(pb::OutputFormat::Hocr) => Format::Hocr,
            Ok(pb::OutputFormat::Alto) => Format::Alto,
            Ok(pb::OutputFormat::Unspecified) | Err(_) => {
                refusals.add(&format!("output_formats[{at}]"), "must be one of OutputFormat");
                continue;
            }
        };
        formats.push(format);
    }
    formats
}

/// A number outside of its range, or none at all, is refused.
fn within<T: PartialOrd>(
    field: &str,
    value: Option<T>,
    range: RangeInclusive<T>,
    rule: &'static str,
    refusals: &mut Refusals,
) {
    if value.is_some_and(|value| !range.contains(&value)) {
        refusals.add(field, rule);
    }
}

/// The language of a BCP-47 tag, in lower case.
fn primary(tag: &str) -> Option<String> {
    let language = tag.split('-').next().unwrap_or_default();
    let is_tag = (2..=8).contains(&language.len())
        && tag.len() <= 35
        && tag
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && language.bytes().all(|byte| byte.is_ascii_alphabetic());
    is_tag.then(|| language.to_ascii_lowercase())
}
