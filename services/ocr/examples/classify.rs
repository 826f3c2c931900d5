//! Says what kind of document each is: reads one JSON object a line, `{"id": …, "lines": […], "width": …, "height": …}`,
//! and prints `{"id": …, "scores": [[label, score], …]}`, the likeliest first. For `tests/eval/doctype.py`.

use std::error::Error;
use std::io::{self, BufRead, Write};

use polyphony_ocr::classify;
use polyphony_ocr::domain::{Line, PageReading};
use polyphony_ocr::reading::Page;
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let document: Value = serde_json::from_str(&line?)?;
        let lines = document["lines"].as_array().ok_or("no lines")?;
        let side = |name: &str| document[name].as_u64().and_then(|side| u32::try_from(side).ok());
        let page = Page {
            reading: PageReading {
                width: side("width").unwrap_or(1_000),
                height: side("height").unwrap_or(1_414),
                lines: lines
                    .iter()
                    .filter_map(Value::as_str)
                    .map(|text| Line {
                        text: text.to_owned(),
                        ..Line::default()
                    })
                    .collect(),
                ..PageReading::default()
            },
            ..Page::default()
        };
        writeln!(
            out,
            "{}",
            json!({"id": document["id"], "scores": classify::scores(&[&page])})
        )?;
    }
    Ok(())
}
