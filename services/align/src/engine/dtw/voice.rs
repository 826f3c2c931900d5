//! The text as espeak-ng says it: frames with the words and phones that they are of, as a chain of states.
//!
//! Each frame of synthetic speech is a state; its pauses are left out, and a gap stands between words instead, for
//! people pause elsewhere. A word that espeak-ng says nothing for is one state that matches any sound, or no state.

use std::ops::{ControlFlow, Range};

use polyphony_audio::mfcc::Frames;
use polyphony_audio::pcm::SampleRate;
use polyphony_audio::resample::Resampler;
use polyphony_espeak::{self as espeak, Espeak, Speech, Voice};

use super::front::{Front, HOP, Sound, WIDTH};
use crate::Error;
use crate::domain::{Cancel, Unaligned};
use crate::engine::script::Script;
use crate::text::{Text, Word};

/// How a state of the chain is matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// With its frame of synthetic speech.
    Spoken,
    /// With silence, or speech that is not of the text.
    Gap,
    /// With any sound.
    Wild,
    /// With whatever comes behind the last word that is known.
    Rest,
}

/// What is to be heard, and how it sounds.
#[derive(Debug, Clone)]
pub(super) struct Spoken {
    pub(super) script: Script,
    /// A row for each state; zeros for what is not spoken.
    pub(super) cepstra: Frames,
    pub(super) kinds: Vec<Kind>,
}

/// Speaks text into a [`Spoken`].
#[derive(Debug)]
pub(super) struct Reader {
    espeak: Espeak,
    voice: Voice,
    front: Front,
    unaligned: Unaligned,
}

/// To stay in a frame, and to pass over one. Chosen on read speech, see tests/eval/align.py.
const STAY: f32 = 0.05;
const PASS: f32 = 0.6;

// === impl Spoken ===

impl Spoken {
    /// Nothing but a gap.
    pub(super) fn new() -> Self {
        let mut spoken = Self {
            script: Script::default(),
            cepstra: Frames {
                data: Vec::new(),
                width: WIDTH,
            },
            kinds: Vec::new(),
        };
        spoken.gap();
        spoken
    }

    /// The fewest frames in which it can be said: every third is enough.
    pub(super) fn least(&self) -> usize {
        self.kinds.iter().filter(|kind| **kind == Kind::Spoken).count() / 3
    }

    pub(super) fn forget(&mut self, word: usize) {
        let states = self.script.forget(word);
        self.kinds.drain(..states);
        self.cepstra.data.drain(..states * WIDTH);
    }

    fn gap(&mut self) {
        self.script.gap(0.0, 0.0);
        self.row(Kind::Gap, &[0.0; WIDTH]);
    }

    fn row(&mut self, kind: Kind, cepstra: &[f32]) {
        self.kinds.push(kind);
        self.cepstra.data.extend_from_slice(cepstra);
    }

    /// Any sound, for as long as it takes.
    fn wild(&mut self, word: usize) {
        self.script.sound(word, "", true);
        self.script.state(0.0, f32::INFINITY);
        self.row(Kind::Wild, &[0.0; WIDTH]);
        self.gap();
    }

    /// A word as it sounds: each of its sounds with its frames.
    fn word(&mut self, word: usize, sounds: &[(String, Range<usize>)], sound: &Sound) {
        for (label, frames) in sounds {
            self.script.sound(word, label.clone(), false);
            for frame in frames.clone() {
                self.script.state(STAY, PASS);
                self.row(Kind::Spoken, sound.cepstra.row(frame));
            }
        }
        self.gap();
    }
}

// === impl Reader ===

impl Reader {
    pub(super) fn new(espeak: Espeak, voice: Voice, unaligned: Unaligned) -> Result<Self, Error> {
        Ok(Self {
            espeak,
            voice,
            front: Front::new()?,
            unaligned,
        })
    }

    /// Speaks the next words. Stops with [`Error::Misfit`] when they take more than `most` frames at the least.
    pub(super) fn read(
        &mut self,
        text: &Text,
        words: Range<usize>,
        spoken: &mut Spoken,
        most: Option<usize>,
        cancel: &Cancel,
    ) -> Result<(), Error> {
        if words.is_empty() {
            return Ok(());
        }
        let begin = text.word(words.start).range.start;
        let content = text.slice(begin..text.word(words.end - 1).range.end);
        let mut next = words.start;
        let (espeak, voice) = (self.espeak.clone(), self.voice.clone());
        let script = espeak::Script::plain(content);
        let settings = espeak::Settings::default();
        let mut failed = None;
        let said = espeak.speak(&voice, script, settings, &|| cancel.is_cancelled(), |speech| {
            match self.part(text, &words, &mut next, begin, &speech, spoken) {
                Ok(()) if most.is_some_and(|most| spoken.least() > most) => failed = Some(Error::Misfit),
                Ok(()) => return ControlFlow::Continue(()),
                Err(error) => failed = Some(error),
            }
            ControlFlow::Break(())
        });
        match (said, failed) {
            (Err(espeak::Error::Cancelled), _) => return Err(Error::Cancelled),
            (Err(error), _) => return Err(Error::engine(super::NAME, error)),
            (Ok(()), Some(error)) => return Err(error),
            (Ok(()), None) => {}
        }
        self.silent(text, next..words.end, spoken);
        Ok(())
    }

    /// Takes what was said of a part of the text.
    fn part(
        &mut self,
        text: &Text,
        words: &Range<usize>,
        next: &mut usize,
        begin: usize,
        speech: &Speech,
        spoken: &mut Spoken,
    ) -> Result<(), Error> {
        let sound = self.listen(speech)?;
        let end = begin + speech.text.end;
        while *next < words.end && text.word(*next).range.start < end {
            let word = text.word(*next);
            let sounds = sounds_of(word, begin, speech, sound.len());
            if sounds.is_empty() {
                self.silent(text, *next..*next + 1, spoken);
            } else {
                spoken.word(*next, &sounds, &sound);
            }
            *next += 1;
        }
        Ok(())
    }

    /// Words that nothing is said for.
    fn silent(&self, text: &Text, words: Range<usize>, spoken: &mut Spoken) {
        for word in words {
            if self.unaligned == Unaligned::Wildcard && text.word(word).is_heard {
                spoken.wild(word);
            }
        }
    }

    /// The frames of synthetic speech.
    fn listen(&mut self, speech: &Speech) -> Result<Sound, Error> {
        let failed = |error| Error::engine(super::NAME, error);
        let rate = SampleRate::new(Speech::SAMPLE_RATE).map_err(failed)?;
        let mut resampler = Resampler::new(rate, SampleRate::SPEECH).map_err(failed)?;
        let samples: Vec<f32> = speech
            .samples
            .iter()
            .map(|sample| f32::from(*sample) / 32_768.0)
            .collect();
        let mut resampled = Vec::new();
        resampler.push(&samples, &mut resampled).map_err(failed)?;
        resampler.finish(&mut resampled).map_err(failed)?;
        let mut sound = Sound::default();
        self.front.push(&resampled, &mut sound);
        self.front.finish(&mut sound);
        Ok(sound)
    }
}

/// The phones of a word with their frames; the word whole if it has but a share of what is said.
fn sounds_of(word: &Word, begin: usize, speech: &Speech, frames: usize) -> Vec<(String, Range<usize>)> {
    let per = f64::from(Speech::SAMPLE_RATE) * HOP as f64 / 16_000.0;
    let frame = |sample: usize| ((sample as f64 / per).round() as usize).min(frames);
    // What espeak-ng calls a word may be several of ours, and the other way round.
    let own = speech.words.iter().filter_map(|said| {
        let (from, to) = (begin + said.range.start, begin + said.range.end);
        let both = from.max(word.range.start)..to.min(word.range.end);
        if both.is_empty() {
            return None;
        }
        let share = |at: usize| said.time.start + said.time.len() * (at - from) / (to - from).max(1);
        Some(share(both.start)..share(both.end))
    });
    let own = own.reduce(|all, time| all.start..time.end.max(all.end));
    let Some(own) = own.filter(|time| !time.is_empty()) else {
        return Vec::new();
    };
    let phones = speech.phones.iter().filter_map(|phone| {
        let time = phone.time.start.max(own.start)..phone.time.end.min(own.end);
        let frames = frame(time.start)..frame(time.end);
        (!time.is_empty() && !frames.is_empty()).then(|| (phone.symbol.clone(), frames))
    });
    let phones: Vec<_> = phones.collect();
    if phones.is_empty() {
        let frames = frame(own.start)..frame(own.end).max(frame(own.start) + 1).min(frames);
        return if frames.is_empty() {
            Vec::new()
        } else {
            vec![(String::new(), frames)]
        };
    }
    phones
}

#[cfg(test)]
mod tests {
    use polyphony_espeak::{Phone, Word as Said};

    use super::*;

    /// A sample of each frame's beginning.
    fn at(frame: usize) -> usize {
        (frame as f64 * 220.5).round() as usize
    }

    fn speech() -> Speech {
        let word = |range: Range<usize>, frames: Range<usize>| Said {
            range,
            time: at(frames.start)..at(frames.end),
            shared: false,
        };
        let phone = |symbol: &str, frames: Range<usize>| Phone {
            symbol: symbol.to_owned(),
            time: at(frames.start)..at(frames.end),
            word: None,
        };
        Speech {
            samples: vec![0; at(100)],
            text: 0..20,
            words: vec![word(0..6, 0..30), word(7..10, 50..60)],
            phones: vec![phone("a", 0..10), phone("b", 10..30), phone("c", 50..60)],
        }
    }

    fn word(range: Range<usize>) -> Word {
        Word {
            range,
            piece: 0,
            is_heard: true,
        }
    }

    #[test]
    fn a_word_has_the_phones_of_its_time() {
        let sounds = sounds_of(&word(7..11), 0, &speech(), 101);
        assert_eq!(sounds, [("c".to_owned(), 50..60)]);
        assert!(sounds_of(&word(12..14), 0, &speech(), 101).is_empty());
    }

    #[test]
    fn words_that_are_said_as_one_share_its_time() {
        let (first, second) = (
            sounds_of(&word(0..3), 0, &speech(), 101),
            sounds_of(&word(3..6), 0, &speech(), 101),
        );
        assert_eq!(first, [("a".to_owned(), 0..10), ("b".to_owned(), 10..15)]);
        assert_eq!(second, [("b".to_owned(), 15..30)]);
    }

    #[test]
    fn a_word_that_is_said_in_parts_has_the_time_of_all() {
        let sounds = sounds_of(&word(5..9), 0, &speech(), 101);
        let labels: Vec<_> = sounds.iter().map(|(label, _)| label.as_str()).collect();
        assert_eq!(labels, ["b", "c"]);
    }
}
