//! The voices of espeak-ng, and which of them speaks a language.

use crate::ffi::ListedVoice;

/// A voice: a language as espeak-ng speaks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voice {
    /// For a person, as "English (America)".
    pub name: String,
    /// Names it among the voices, as "gmw/en-US".
    pub identifier: String,
    /// The languages it speaks, as BCP-47 ("en-US", "en"), the closest first.
    pub languages: Vec<String>,
    /// As what it is heard.
    pub gender: Gender,
    /// How fit it is for each of its languages; lower is better.
    priorities: Vec<u8>,
}

/// As what a voice is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gender {
    /// The data does not say.
    Unknown,
    /// Male.
    Male,
    /// Female.
    Female,
}

/// Another throat for any voice: the name that its identifier gets behind a "+", and as what it is heard.
pub const VARIANTS: [(&str, Gender); 16] = [
    ("f1", Gender::Female),
    ("f2", Gender::Female),
    ("f3", Gender::Female),
    ("f4", Gender::Female),
    ("f5", Gender::Female),
    ("m1", Gender::Male),
    ("m2", Gender::Male),
    ("m3", Gender::Male),
    ("m4", Gender::Male),
    ("m5", Gender::Male),
    ("m6", Gender::Male),
    ("m7", Gender::Male),
    ("m8", Gender::Male),
    ("croak", Gender::Male),
    ("whisper", Gender::Male),
    ("whisperf", Gender::Female),
];

/// Tags that mean a language which espeak-ng calls by another.
const ALIASES: [(&str, &str); 12] = [
    ("zh-hk", "yue"),
    ("zh-mo", "yue"),
    ("zh-hant-hk", "yue"),
    ("zh-hant-mo", "yue"),
    ("zh", "cmn"),
    ("nn", "nb"),
    ("no", "nb"),
    ("iw", "he"),
    ("in", "id"),
    ("mo", "ro"),
    ("sh", "sr"),
    ("ckb", "ku"),
];

// === impl Voice ===

impl Voice {
    pub(crate) fn of(listed: ListedVoice) -> Self {
        let mut languages = listed.languages;
        languages.sort_by_key(|(priority, _)| *priority);
        Self {
            name: listed.name.trim().to_owned(),
            identifier: listed.identifier,
            priorities: languages.iter().map(|(priority, _)| *priority).collect(),
            languages: languages.iter().map(|(_, tag)| canonical(tag)).collect(),
            gender: match listed.gender {
                1 => Gender::Male,
                2 => Gender::Female,
                _ => Gender::Unknown,
            },
        }
    }

    /// The same voice with another throat: one of [`VARIANTS`].
    pub fn with_variant(&self, variant: &str) -> Option<Self> {
        let (name, gender) = VARIANTS.into_iter().find(|(name, _)| *name == variant)?;
        Some(Self {
            name: format!("{} {name}", self.name),
            identifier: format!("{}+{name}", self.identifier),
            gender,
            ..self.clone()
        })
    }

    /// The tag of the language it speaks first, as "en-US"; empty if its data names none.
    pub fn language(&self) -> &str {
        self.languages.first().map_or("", String::as_str)
    }

    /// As the library finds a voice by its name: that for a person, the identifier or the last part of that.
    fn is_called(&self, name: &str) -> bool {
        let last = self.identifier.rsplit('/').next().unwrap_or_default();
        [self.name.as_str(), &self.identifier, last]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name))
            || self
                .languages
                .first()
                .is_some_and(|tag| tag.eq_ignore_ascii_case(name))
    }

    fn fitness(&self, tag: &str) -> Option<u8> {
        let at = self
            .languages
            .iter()
            .position(|own| own.eq_ignore_ascii_case(tag))?;
        self.priorities.get(at).copied()
    }
}

/// The voice that a name means, with a variant behind a "+" or without.
pub(crate) fn named(voices: &[Voice], name: &str) -> Option<Voice> {
    match name.split_once('+') {
        Some((name, variant)) => voices
            .iter()
            .find(|voice| voice.is_called(name))?
            .with_variant(variant),
        None => voices.iter().find(|voice| voice.is_called(name)).cloned(),
    }
}

/// The voice for a language: for the tag itself, else for what is left without its last subtags.
pub(crate) fn speaking<'a>(voices: &'a [Voice], language: &str) -> Option<&'a Voice> {
    let mut tag = language.replace('_', "-").to_ascii_lowercase();
    loop {
        let alias = ALIASES.iter().find(|(from, _)| *from == tag);
        let meant = alias.map_or(tag.as_str(), |(_, to)| to);
        let fit = voices
            .iter()
            .filter_map(|voice| Some((voice.fitness(meant)?, voice)))
            .min_by_key(|(fitness, _)| *fitness);
        if let Some((_, voice)) = fit {
            return Some(voice);
        }
        tag.truncate(tag.rfind('-')?);
    }
}

/// A tag in the letters of BCP-47: "en-us" becomes "en-US", "fa-latn" "fa-Latn".
fn canonical(tag: &str) -> String {
    let mut private = false;
    let parts = tag.split('-').enumerate().map(|(at, part)| {
        let part = part.to_ascii_lowercase();
        private |= part.len() == 1;
        match part.len() {
            2 if at > 0 && !private => part.to_ascii_uppercase(),
            4 if at > 0 && !private && part.bytes().all(|byte| byte.is_ascii_lowercase()) => {
                let (first, rest) = part.split_at(1);
                first.to_ascii_uppercase() + rest
            }
            _ => part,
        }
    });
    parts.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voice(identifier: &str, languages: &[(u8, &str)]) -> Voice {
        Voice::of(ListedVoice {
            name: identifier.to_uppercase(),
            identifier: identifier.to_owned(),
            languages: languages.iter().map(|(p, tag)| (*p, (*tag).to_owned())).collect(),
            gender: 1,
        })
    }

    fn some() -> Vec<Voice> {
        vec![
            voice("gmw/en-US", &[(2, "en-us"), (3, "en")]),
            voice("gmw/en", &[(2, "en-gb"), (2, "en")]),
            voice("sit/cmn", &[(5, "cmn"), (5, "zh-cmn"), (5, "zh")]),
            voice("sit/yue", &[(5, "yue"), (8, "zh")]),
            voice("gmq/nb", &[(5, "nb"), (5, "no")]),
        ]
    }

    #[test]
    fn a_language_goes_to_its_closest_voice() {
        let voices = some();
        let cases = [
            ("en-US", "gmw/en-US"),
            ("en_us", "gmw/en-US"),
            ("en-AU", "gmw/en"),
            ("en", "gmw/en"),
            ("zh-CN", "sit/cmn"),
            ("zh-Hant-TW", "sit/cmn"),
            ("zh-HK", "sit/yue"),
            ("nn-NO", "gmq/nb"),
        ];
        for (tag, identifier) in cases {
            let found = speaking(&voices, tag).map(|voice| voice.identifier.as_str());
            assert_eq!(found, Some(identifier), "{tag}");
        }
        assert_eq!(speaking(&voices, "tlh"), None);
        assert_eq!(speaking(&voices, ""), None);
    }

    #[test]
    fn names_are_those_that_the_library_takes() {
        let voices = some();
        for name in ["gmw/en-US", "en-us", "GMW/EN-US", "EN-US"] {
            let found = named(&voices, name).map(|voice| voice.identifier);
            assert_eq!(found.as_deref(), Some("gmw/en-US"), "{name}");
        }
        let female = named(&voices, "en-us+f3").expect("a variant");
        assert_eq!(female.identifier, "gmw/en-US+f3");
        assert_eq!(female.gender, Gender::Female);
        assert_eq!(named(&voices, "en-us+../x"), None);
        assert_eq!(named(&voices, "zz"), None);
    }

    #[test]
    fn tags_are_written_as_in_bcp_47() {
        for (tag, written) in [
            ("en-us", "en-US"),
            ("fa-latn", "fa-Latn"),
            ("es-419", "es-419"),
            ("vi-vn-x-south", "vi-VN-x-south"),
            ("cmn-latn-pinyin", "cmn-Latn-pinyin"),
        ] {
            assert_eq!(canonical(tag), written);
        }
    }
}
