//! Says what kind of document each is: reads one JSON object a line, `{"id": …, "lines": […]}`, and prints
//! `{"id": …, "scores": [[label, score], …]}`, the likeliest first. For `tests/eval/doctype.py`.

use std::error::Error;
use std::io::{self, BufRead, Write};

use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let document: Value = serde_json::from_str(&line?)?;
        let lines = document["lines"].as_array().ok_or("no lines")?;
        let scores = polyphony_doctype::scores(lines.iter().filter_map(Value::as_str), None);
        writeln!(out, "{}", json!({"id": document["id"], "scores": scores}))?;
    }
    Ok(())
}
