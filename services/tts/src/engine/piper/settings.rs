//! What a voice says of itself: its `.onnx.json`, checked.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use polyphony_inference::Error;
use serde::Deserialize;

/// A voice's settings.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Settings {
    /// Samples a second.
    pub(super) sample_rate: u32,
    /// Where its phones come from.
    pub(super) phones: Phones,
    /// The language, as BCP-47.
    pub(super) language: String,
    /// Ids of each symbol.
    pub(super) ids: BTreeMap<String, Vec<i64>>,
    /// Symbols that are one when they follow one another, the longest first.
    pub(super) clusters: Vec<Vec<String>>,
    /// Names and numbers of its speakers, by number; empty for one.
    pub(super) speakers: Vec<(String, i64)>,
    pub(super) noise: f32,
    pub(super) length: f32,
    pub(super) duration_noise: f32,
}

/// Where phones come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phones {
    /// This voice of espeak-ng.
    Espeak(String),
    /// The letters of the text are the symbols.
    Letters,
}

#[derive(Deserialize)]
struct File {
    audio: Audio,
    espeak: Option<EspeakVoice>,
    language: Option<Language>,
    #[serde(default)]
    phoneme_type: Option<String>,
    #[serde(default)]
    inference: Inference,
    num_symbols: i64,
    #[serde(default)]
    num_speakers: i64,
    #[serde(default)]
    speaker_id_map: BTreeMap<String, i64>,
    phoneme_id_map: BTreeMap<String, Vec<i64>>,
    #[serde(default)]
    vowel_clusters: Option<Vec<Vec<String>>>,
}

#[derive(Deserialize)]
struct Audio {
    sample_rate: u32,
}

#[derive(Deserialize)]
struct EspeakVoice {
    voice: String,
}

#[derive(Deserialize)]
struct Language {
    code: String,
}

#[derive(Default, Deserialize)]
struct Inference {
    noise_scale: Option<f32>,
    length_scale: Option<f32>,
    noise_w: Option<f32>,
}

/// A file has a few hundred symbols and at most a thousand speakers.
const LONGEST: u64 = 1 << 20;
const MOST_SYMBOLS: usize = 4_096;
const MOST_SPEAKERS: i64 = 10_000;
/// The defaults of VITS as Piper runs it.
const NOISE: f32 = 0.667;
const DURATION_NOISE: f32 = 0.8;
/// What begins and ends a sentence, and stands between symbols.
pub(super) const BEGIN: &str = "^";
pub(super) const END: &str = "$";
pub(super) const PAD: &str = "_";

// === impl Settings ===

impl Settings {
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let open = |error: std::io::Error| Error::Open {
            path: path.to_owned(),
            source: error.into(),
        };
        let mut text = String::new();
        let file = fs::File::open(path).map_err(open)?;
        file.take(LONGEST + 1).read_to_string(&mut text).map_err(open)?;
        if text.len() as u64 > LONGEST {
            return Err(Error::unfit(path, "it is longer than 1 MiB"));
        }
        Self::parse(&text).map_err(|problem| Error::unfit(path, problem))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let voice = file.espeak.map(|espeak| espeak.voice).unwrap_or_default();
        let phones = match file.phoneme_type.as_deref().unwrap_or("espeak") {
            "espeak" if !voice.is_empty() => Phones::Espeak(voice.clone()),
            "espeak" => return Err("it names no voice of espeak-ng".to_owned()),
            "text" => Phones::Letters,
            other => {
                return Err(format!(
                    "its phones are of the type \"{other}\"; \"espeak\" and \"text\" are understood"
                ));
            }
        };
        if !(8_000..=48_000).contains(&file.audio.sample_rate) {
            return Err(format!(
                "its sample rate is {}, from 8000 to 48000 is expected",
                file.audio.sample_rate
            ));
        }
        let ids = file.phoneme_id_map;
        if ids.len() > MOST_SYMBOLS || ids.values().any(|ids| ids.is_empty() || ids.len() > 16) {
            return Err("its symbols are too many, or have no id or too many".to_owned());
        }
        if ids
            .values()
            .flatten()
            .any(|id| !(0..file.num_symbols).contains(id))
        {
            return Err("an id is not below num_symbols".to_owned());
        }
        if let Some(lacking) = [BEGIN, END, PAD]
            .into_iter()
            .find(|symbol| !ids.contains_key(*symbol))
        {
            return Err(format!("it has no symbol \"{lacking}\""));
        }
        let scale = |name: &str, value: Option<f32>, default: f32, range: std::ops::RangeInclusive<f32>| {
            let value = value.unwrap_or(default);
            if range.contains(&value) {
                Ok(value)
            } else {
                Err(format!(
                    "its {name} is {value}, from {} to {} is expected",
                    range.start(),
                    range.end()
                ))
            }
        };
        let mut clusters = file.vowel_clusters.unwrap_or_default();
        clusters.retain(|cluster| cluster.len() > 1);
        clusters.sort_by_key(|cluster| std::cmp::Reverse(cluster.len()));
        Ok(Self {
            sample_rate: file.audio.sample_rate,
            language: language(file.language.as_ref().map_or(&voice, |language| &language.code)),
            phones,
            ids,
            clusters,
            speakers: speakers(file.num_speakers, file.speaker_id_map)?,
            noise: scale("noise_scale", file.inference.noise_scale, NOISE, 0.0..=2.0)?,
            length: scale("length_scale", file.inference.length_scale, 1.0, 0.1..=10.0)?,
            duration_noise: scale("noise_w", file.inference.noise_w, DURATION_NOISE, 0.0..=2.0)?,
        })
    }
}

/// Names and numbers by number; a number without a name is its own.
fn speakers(count: i64, names: BTreeMap<String, i64>) -> Result<Vec<(String, i64)>, String> {
    if count > MOST_SPEAKERS {
        return Err(format!(
            "it has {count} speakers, at most {MOST_SPEAKERS} are expected"
        ));
    }
    if count <= 1 {
        return Ok(Vec::new());
    }
    if names.values().any(|number| !(0..count).contains(number)) {
        return Err("the number of a speaker is not below num_speakers".to_owned());
    }
    let mut by_number: BTreeMap<i64, String> = BTreeMap::new();
    for (name, number) in names {
        by_number.entry(number).or_insert(name);
    }
    let speakers = (0..count).map(|number| {
        let name = by_number.remove(&number).unwrap_or_else(|| number.to_string());
        (name, number)
    });
    Ok(speakers.collect())
}

/// "en_US" and "en-us" as "en-US".
fn language(code: &str) -> String {
    let mut parts = code.split(['_', '-']);
    let mut tag = parts.next().unwrap_or_default().to_ascii_lowercase();
    for part in parts {
        tag.push('-');
        if part.len() == 2 {
            tag.push_str(&part.to_ascii_uppercase());
        } else {
            tag.push_str(part);
        }
    }
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: &str) -> Result<Settings, String> {
        let plain = r#"{"audio":{"sample_rate":22050},"espeak":{"voice":"en-us"},"num_symbols":9,
            "phoneme_id_map":{"_":[0],"^":[1],"$":[2],"a":[3]}"#;
        Settings::parse(&format!("{plain}{change}}}"))
    }

    #[test]
    fn a_voice_says_what_it_is() {
        let voice = with("").expect("settings");
        assert_eq!(
            (
                voice.language.as_str(),
                voice.noise,
                voice.length,
                voice.duration_noise
            ),
            ("en-US", 0.667, 1.0, 0.8)
        );
        assert_eq!(voice.phones, Phones::Espeak("en-us".to_owned()));
        assert!(voice.speakers.is_empty());
        let many = with(r#","num_speakers":3,"speaker_id_map":{"p1":2,"p0":0},"language":{"code":"zh_CN"}"#)
            .expect("settings");
        assert_eq!(
            many.speakers,
            [("p0".to_owned(), 0), ("1".to_owned(), 1), ("p1".to_owned(), 2)]
        );
        assert_eq!(many.language, "zh-CN");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (change, problem) in [
            (r#","phoneme_type":"pinyin""#, "pinyin"),
            (r#","inference":{"noise_scale":1e9}"#, "noise_scale"),
            (r#","num_speakers":2,"speaker_id_map":{"a":5}"#, "speaker"),
            (r#","num_speakers":99999"#, "speakers"),
        ] {
            let error = with(change).expect_err(change);
            assert!(error.contains(problem), "{error}");
        }
        assert!(Settings::parse("{}").is_err());
        assert!(Settings::parse("[").is_err());
        let high = r#"{"audio":{"sample_rate":22050},"espeak":{"voice":"a"},"num_symbols":3,"phoneme_id_map":{"_":[0],"^":[1],"$":[9]}}"#;
        assert!(Settings::parse(high).is_err_and(|error| error.contains("num_symbols")));
    }
}
