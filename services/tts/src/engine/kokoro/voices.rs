//! Voices: files of style vectors, one for each number of phones, named for language, gender and a name, as "af_heart".

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use polyphony_inference::Error;

use crate::domain::{Gender, Voice};

/// A voice's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Style {
    pub(super) id: String,
    path: PathBuf,
}

/// Languages by the first letter of a voice's name: what they are called here, and the voice of espeak-ng that makes
/// phones for it, if one can.
const LANGUAGES: [(char, &str, Option<&str>); 9] = [
    ('a', "en-US", Some("en-us")),
    ('b', "en-GB", Some("en-gb")),
    ('e', "es", Some("es")),
    ('f', "fr-FR", Some("fr-fr")),
    ('h', "hi", Some("hi")),
    ('i', "it", Some("it")),
    ('j', "Japanese", None),
    ('p', "pt-BR", Some("pt-br")),
    ('z', "Chinese", None),
];
/// The numbers of a style.
pub(super) const STYLE: usize = 256;
/// The most ids at once, and so the rows of a file.
pub(super) const ROWS: usize = 510;

// === impl Style ===

impl Style {
    /// The voices among files, American English first, then by name.
    pub(super) fn among(files: &[PathBuf]) -> Vec<Self> {
        let named = files.iter().filter_map(|path| {
            let id = path.file_stem()?.to_str()?.to_owned();
            let style = Self {
                id,
                path: path.clone(),
            };
            style.language().map(|_| style)
        });
        let mut styles: Vec<Self> = named.collect();
        styles.sort_by(|one, other| one.id.cmp(&other.id));
        // The one that its makers call the best is the default.
        styles.sort_by_key(|style| style.id != "af_heart");
        styles
    }

    /// The language and its voice of espeak-ng; none where that cannot make its phones.
    pub(super) fn spoken(&self) -> Option<(&'static str, &'static str)> {
        self.language()
            .and_then(|(language, espeak)| Some((language, espeak?)))
    }

    /// As it is listed; none for one that cannot be spoken with.
    pub(super) fn voice(&self) -> Option<Voice> {
        let (language, _) = self.spoken()?;
        let (prefix, name) = self.id.split_once('_')?;
        let mut letters = name.chars();
        let first = letters.next()?.to_ascii_uppercase();
        Some(Voice {
            id: self.id.clone(),
            title: std::iter::once(first).chain(letters).collect(),
            languages: vec![language.to_owned()],
            gender: match prefix.chars().nth(1) {
                Some('f') => Gender::Female,
                Some('m') => Gender::Male,
                _ => Gender::Unknown,
            },
        })
    }

    /// Why it cannot be spoken with, if it cannot.
    pub(super) fn refusal(&self) -> Option<(String, String)> {
        match self.language()? {
            (language, None) => {
                let why =
                    format!("speaks {language}, which needs another phonemiser than espeak-ng; none is here");
                Some((self.id.clone(), why))
            }
            (_, Some(_)) => None,
        }
    }

    /// Whether its file is as long as it should be.
    pub(super) fn check(&self) -> Result<(), Error> {
        let length = self
            .open()?
            .metadata()
            .map_err(|error| open_error(&self.path, error))?
            .len();
        let wanted = (ROWS * STYLE * size_of::<f32>()) as u64;
        if length == wanted {
            return Ok(());
        }
        let problem =
            format!("it has {length} bytes; a voice has {ROWS} styles of {STYLE} numbers, {wanted} bytes");
        Err(Error::unfit(&self.path, problem))
    }

    /// The style for so many ids, the pads at both ends not counted. As in the exports' own example; hexgrad's pipeline
    /// takes the row before, which is nearly the same.
    pub(super) fn row(&self, ids: usize) -> Result<Vec<f32>, Error> {
        let mut bytes = [0_u8; STYLE * size_of::<f32>()];
        let at = ids.min(ROWS - 1) * bytes.len();
        let mut file = self.open()?;
        let read = file
            .seek(SeekFrom::Start(at as u64))
            .and_then(|_| file.read_exact(&mut bytes));
        read.map_err(|error| open_error(&self.path, error))?;
        let numbers = bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|four| f32::from_le_bytes(*four));
        let numbers: Vec<f32> = numbers.collect();
        if numbers.iter().all(|number| number.is_finite()) {
            Ok(numbers)
        } else {
            Err(Error::unfit(&self.path, "it has numbers that are none"))
        }
    }

    fn language(&self) -> Option<(&'static str, Option<&'static str>)> {
        let (prefix, name) = self.id.split_once('_')?;
        let plain = |text: &str| {
            let mut letters = text.chars();
            letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        };
        if prefix.len() != 2 || name.is_empty() || !plain(name) {
            return None;
        }
        let found = LANGUAGES.iter().find(|(letter, ..)| prefix.starts_with(*letter));
        found.map(|(_, language, espeak)| (*language, *espeak))
    }

    fn open(&self) -> Result<File, Error> {
        File::open(&self.path).map_err(|error| open_error(&self.path, error))
    }
}

fn open_error(path: &Path, error: std::io::Error) -> Error {
    Error::Open {
        path: path.to_owned(),
        source: error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_language_and_gender() {
        let files: Vec<PathBuf> = [
            "bm_george",
            "pf_dora",
            "af_bella",
            "af_heart",
            "jf_alpha",
            "README",
            "xx_y",
        ]
        .map(|name| PathBuf::from(format!("voices/{name}.bin")))
        .to_vec();
        let styles = Style::among(&files);
        let voices: Vec<Voice> = styles.iter().filter_map(Style::voice).collect();
        let told: Vec<_> = voices
            .iter()
            .map(|voice| {
                (
                    voice.id.as_str(),
                    voice.title.as_str(),
                    voice.languages[0].as_str(),
                    voice.gender,
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("af_heart", "Heart", "en-US", Gender::Female),
                ("af_bella", "Bella", "en-US", Gender::Female),
                ("bm_george", "George", "en-GB", Gender::Male),
                ("pf_dora", "Dora", "pt-BR", Gender::Female),
            ]
        );
        let refused: Vec<_> = styles.iter().filter_map(Style::refusal).collect();
        assert!(refused.len() == 1 && refused[0].0 == "jf_alpha" && refused[0].1.contains("Japanese"));
    }

    #[test]
    fn a_file_of_another_length_or_without_numbers_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("af_x.bin");
        let style = Style {
            id: "af_x".to_owned(),
            path: path.clone(),
        };
        std::fs::write(&path, [0; 1_000]).expect("a file");
        assert!(
            style
                .check()
                .is_err_and(|error| error.to_string().contains("1000 bytes"))
        );
        let mut numbers: Vec<u8> = (0..ROWS)
            .flat_map(|row| [row as f32; STYLE])
            .flat_map(f32::to_le_bytes)
            .collect();
        numbers[..4].copy_from_slice(&f32::NAN.to_le_bytes());
        std::fs::write(&path, numbers).expect("a file");
        style.check().expect("the right length");
        assert_eq!(style.row(7).expect("a style"), [7.0; STYLE]);
        assert_eq!(style.row(600).expect("the last"), [509.0; STYLE]);
        assert!(style.row(0).is_err());
    }
}
