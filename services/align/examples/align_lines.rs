//! Aligns recordings without a server, for benches and for choosing constants: a line of JSON in (`file`, `text`,
//! `language`), a line of JSON out (`words` as begin, end, score; `quality`; `seconds` of work). No product.
//!
//! Usage: align_lines ESPEAK_FOLDER, where the folder has libespeak-ng.so.1 and espeak-ng-data.

use std::error::Error;
use std::io::{self, BufRead as _, Write as _};
use std::path::Path;
use std::time::Instant;

use polyphony_align::domain::{Cancel, Options};
use polyphony_align::engine::{self, dtw::Dtw};
use polyphony_align::text::Text;
use polyphony_espeak::Espeak;
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("give the folder of espeak-ng")?;
    let engine = Dtw::new(Espeak::open(Path::new(&folder))?, "espeak-ng-dtw", "");
    for line in io::stdin().lock().lines() {
        let line: Value = serde_json::from_str(&line?)?;
        let field = |name: &str| line[name].as_str().unwrap_or_default();
        let bytes = std::fs::read(field("file"))?;
        let (limits, cancel) = (Default::default(), Default::default());
        let decoded =
            polyphony_wire::audio::decode(&bytes, polyphony_audio::stream::Format::Auto, &limits, &cancel)?;
        let options = Options {
            language: Some(field("language").to_owned()),
            ..Options::default()
        };
        let (text, began) = (Text::new(field("text")), Instant::now());
        let found = engine::align(
            &engine,
            decoded.pcm.samples(),
            &text,
            &options,
            &Cancel::default(),
        );
        let seconds = began.elapsed().as_secs_f64();
        let told = match found {
            Err(error) => json!({ "error": error.to_string() }),
            Ok(found) => {
                let words = found.words.iter();
                let words: Vec<_> = words
                    .map(|word| {
                        json!([
                            word.time.start.as_secs_f64(),
                            word.time.end.as_secs_f64(),
                            word.score
                        ])
                    })
                    .collect();
                json!({ "words": words, "quality": found.quality, "seconds": seconds })
            }
        };
        writeln!(io::stdout(), "{told}")?;
    }
    Ok(())
}
