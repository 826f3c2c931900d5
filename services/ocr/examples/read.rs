//! Reads images and prints what stands on them, one JSON object an image, and one about the cost at the end. For
//! `tests/eval/ocr.py` and `tests/bench/ocr.py`.
//!
//! Usage: `read [--models DIR] [--sessions N] [--pages N] [--repeat N] [--plain] [--tables] [--forms] IMAGE...`
//!
//! `--models`: a folder with the files of a model, by default the wheel of RapidOCR. `--sessions`: lines read at once.
//! `--pages`: images read at once. `--repeat`: reads all images so often, and tells the time of all but the first round.
//! `--plain`: neither turns pages nor straightens them.

use std::collections::VecDeque;
use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use image::{DynamicImage, Rgba, RgbaImage};
use polyphony_inference::{Cancel, InferenceConfig, Runtime};
use polyphony_ocr::domain::{Options, PageReading, Picture, Quad};
use polyphony_ocr::engine::Engine;
use polyphony_ocr::engine::ppocr::{Files, PpOcr};
use serde_json::{Value, json};

struct Arguments {
    models: PathBuf,
    sessions: Option<NonZeroUsize>,
    pages: usize,
    repeat: usize,
    options: Options,
    images: Vec<PathBuf>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse()?;
    let config = InferenceConfig {
        sessions: arguments.sessions,
        threads_per_session: arguments.sessions.map(|_| NonZeroUsize::MIN),
        ..InferenceConfig::default()
    };
    let names: Vec<String> = files_in(&arguments.models, "")?;
    let files = Files::find(&arguments.models, names.iter().map(String::as_str))?;
    let loading = Instant::now();
    let engine = PpOcr::load(&files, "example", "", &Runtime::new(&config), &config, None)?;
    let load_seconds = loading.elapsed().as_secs_f64();

    let mut pictures = Vec::new();
    for path in &arguments.images {
        pictures.push((path.display().to_string(), open(path)?));
    }
    let mut out = io::stdout().lock();
    let (mut wall, mut cpu) = (0.0, 0.0);
    for round in 0..arguments.repeat {
        let (began, cpu_before) = (Instant::now(), cpu_seconds()?);
        let readings = read_all(&engine, &pictures, &arguments)?;
        if round > 0 || arguments.repeat == 1 {
            wall += began.elapsed().as_secs_f64();
            cpu += cpu_seconds()? - cpu_before;
        }
        if round == 0 {
            for ((name, _), (reading, seconds)) in pictures.iter().zip(&readings) {
                writeln!(out, "{}", describe(name, reading, *seconds))?;
            }
        }
    }
    let rounds = (arguments.repeat - 1).max(1) as f64;
    let cost = json!({
        "images": pictures.len(), "wall_seconds": wall / rounds, "cpu_seconds": cpu / rounds,
        "load_seconds": load_seconds, "peak_bytes": peak_bytes()?,
    });
    writeln!(out, "{cost}")?;
    Ok(())
}

fn read_all(
    engine: &PpOcr,
    pictures: &[(String, Picture)],
    arguments: &Arguments,
) -> Result<Vec<(PageReading, f64)>, Box<dyn Error>> {
    let todo = Mutex::new((0..pictures.len()).collect::<VecDeque<_>>());
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..arguments.pages {
            scope.spawn(|| {
                loop {
                    let next = todo.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some(next) = next else { return };
                    let began = Instant::now();
                    let reading = engine.read(&pictures[next].1, &arguments.options, &Cancel::default());
                    let result = (next, reading, began.elapsed().as_secs_f64());
                    done.lock().unwrap_or_else(PoisonError::into_inner).push(result);
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(place, ..)| *place);
    done.into_iter()
        .map(|(_, reading, seconds)| Ok((reading?, seconds)))
        .collect()
}

fn describe(name: &str, reading: &PageReading, seconds: f64) -> Value {
    let outline = |quad: &Quad| {
        quad.0
            .iter()
            .map(|point| json!([point.x, point.y]))
            .collect::<Vec<_>>()
    };
    let lines: Vec<Value> = reading
        .lines
        .iter()
        .map(|line| {
            let words = line
                .words
                .iter()
                .map(|word| json!({"text": word.text, "outline": outline(&word.outline)}));
            json!({
                "text": line.text, "confidence": line.confidence, "outline": outline(&line.outline),
                "words": words.collect::<Vec<_>>(),
            })
        })
        .collect();
    let tables: Vec<Value> = reading
        .tables
        .iter()
        .map(|table| {
            let row = |row: &Vec<polyphony_ocr::domain::Cell>| {
                row.iter()
                    .map(|cell| json!([cell.column, cell.column_span, cell.text]))
                    .collect::<Vec<_>>()
            };
            json!({"header_rows": table.header_rows, "rows": table.rows.iter().map(row).collect::<Vec<_>>()})
        })
        .collect();
    let fields: Vec<Value> = reading
        .form_fields
        .iter()
        .map(|field| json!({"name": field.name.text, "value": field.value.text, "ticked": field.ticked}))
        .collect();
    let blocks: Vec<Value> = reading
        .blocks
        .iter()
        .map(|block| {
            let paragraphs = block
                .paragraphs
                .iter()
                .map(|paragraph| json!([paragraph.lines.start, paragraph.lines.end]));
            json!({"kind": format!("{:?}", block.kind), "paragraphs": paragraphs.collect::<Vec<_>>()})
        })
        .collect();
    json!({
        "file": name, "seconds": seconds, "width": reading.width, "height": reading.height,
        "rotation": reading.rotation.degrees(), "skew": reading.skew_degrees, "lines": lines, "blocks": blocks,
        "tables": tables, "fields": fields,
    })
}

/// A picture with what is transparent laid on white.
fn open(path: &Path) -> Result<Picture, Box<dyn Error>> {
    let picture = image::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    if !picture.color().has_alpha() {
        return Ok(picture.into_rgb8());
    }
    let mut page = RgbaImage::from_pixel(picture.width(), picture.height(), Rgba([255; 4]));
    image::imageops::overlay(&mut page, &picture.into_rgba8(), 0, 0);
    Ok(DynamicImage::from(page).into_rgb8())
}

fn files_in(folder: &Path, within: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let mut names = Vec::new();
    let entries =
        fs::read_dir(folder.join(within)).map_err(|error| format!("{}: {error}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = format!("{within}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            names.extend(files_in(folder, &format!("{name}/"))?);
        } else {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Processor time of this process so far.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat
        .rsplit_once(") ")
        .map(|(_, rest)| rest.split(' ').collect())
        .unwrap_or_default();
    let ticks = |field: usize| {
        fields
            .get(field)
            .and_then(|text| text.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    Ok((ticks(11) + ticks(12)) / 100.0)
}

/// The most memory this process has had.
fn peak_bytes() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .ok_or("no VmHWM")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes * 1024)
}

impl Arguments {
    fn parse() -> Result<Self, Box<dyn Error>> {
        let home = polyphony_config::data_dir(|name| std::env::var_os(name)).ok_or("set POLYPHONY_HOME")?;
        let mut arguments = Self {
            models: home.join("wheels/rapidocr_onnxruntime/models"),
            sessions: None,
            pages: 1,
            repeat: 1,
            options: Options::default(),
            images: Vec::new(),
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--models" => arguments.models = value()?.into(),
                "--sessions" => arguments.sessions = Some(value()?.parse()?),
                "--pages" => arguments.pages = value()?.parse::<NonZeroUsize>()?.get(),
                "--repeat" => arguments.repeat = value()?.parse::<NonZeroUsize>()?.get(),
                "--plain" => (arguments.options.orientation, arguments.options.deskew) = (false, false),
                "--tables" => arguments.options.tables = true,
                "--forms" => arguments.options.form_fields = true,
                image => arguments.images.push(image.into()),
            }
        }
        Ok(arguments)
    }
}
