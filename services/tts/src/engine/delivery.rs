//! From what models give to what engines promise: items in order, one clock, each word with the audio it begins in.
//!
//! A model speaks one script at a time and says when its words are heard, in samples of its own audio. Here that audio is
//! brought into shape, breaks are put between, and words, phones and marks get their times in the utterance.

use std::ops::Range;
use std::time::Duration;

use super::shape::{Native, Plan, Shaper};
use crate::domain::{
    Cancel, EngineInfo, Item, Mark, Passed, Phone, Piece, Saying, Script, Timing, Utterance, Voice, Word,
};
use crate::error::Error;

/// What a model does.
pub(super) trait Model {
    /// The engine that it is in.
    fn info(&self) -> &EngineInfo;

    /// What of rate and pitch it does by itself.
    fn native(&self) -> Native;

    /// Speaks a script that has something to say, sentence by sentence or at once: hands over a timeline, then its audio
    /// in one or more blocks, then the next timeline.
    fn say(&self, line: &Line<'_>, cancel: &Cancel, out: &mut dyn FnMut(Sound)) -> Result<(), Error>;
}

/// What a model is to say.
pub(super) struct Line<'a> {
    pub(super) script: &'a Script,
    pub(super) voice: &'a Voice,
    /// Within [`Model::native`].
    pub(super) rate: f32,
    /// Within [`Model::native`], in semitones.
    pub(super) pitch: f32,
    pub(super) seed: Option<u64>,
    /// Whether anybody wants to know when words and phones are heard.
    pub(super) times: bool,
}

/// What a model gives.
pub(super) enum Sound {
    /// When what is heard, before the audio in which it is.
    Timeline(Timeline),
    /// The next audio, mono.
    Audio(Vec<f32>),
}

/// When what is heard, in samples from the beginning of the audio that follows.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Timeline {
    /// In order, without overlap; empty if nobody wanted them.
    pub(super) words: Vec<TimedWord>,
    /// In order, without overlap.
    pub(super) pauses: Vec<Range<usize>>,
    /// How all that was found.
    pub(super) timing: Timing,
}

/// A word of a script.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TimedWord {
    /// In bytes of the script.
    pub(super) range: Range<usize>,
    pub(super) time: Range<usize>,
    pub(super) phones: Vec<(String, Range<usize>)>,
}

/// What is on its way out.
struct Delivery<'a> {
    utterance: &'a Utterance,
    rate: u32,
    /// Samples that went out.
    clock: usize,
    words: Vec<Word>,
    marks: Vec<Passed>,
    out: &'a mut dyn FnMut(Piece),
}

/// Speaks an utterance with a model.
pub(super) fn deliver(
    model: &dyn Model,
    utterance: &Utterance,
    cancel: &Cancel,
    out: &mut dyn FnMut(Piece),
) -> Result<(), Error> {
    let info = model.info();
    refuse(info, utterance)?;
    let unknown = || {
        Error::refused(
            "config.voice",
            format!("the model has no voice \"{}\"", utterance.voice),
        )
    };
    let voice = info.voice(&utterance.voice).ok_or_else(unknown)?;
    if let Some(language) = utterance.language.as_deref()
        && !speaks(voice, language)
    {
        let why = format!("the voice \"{}\" speaks {}", voice.id, voice.languages.join(", "));
        return Err(Error::refused("config.language_code", why));
    }
    let mut delivery = Delivery {
        utterance,
        rate: info.sample_rate,
        clock: 0,
        words: Vec::new(),
        marks: Vec::new(),
        out,
    };
    for item in &utterance.items {
        match item {
            Item::Break(pause) => delivery.silence(*pause),
            Item::Say(script, prosody) => {
                let plan = Plan::new(prosody.over(utterance.prosody), &model.native());
                let line = Line {
                    script,
                    voice,
                    rate: plan.rate,
                    pitch: plan.pitch,
                    seed: utterance.seed,
                    times: utterance.word_times || utterance.phone_times || !script.marks().is_empty(),
                };
                delivery.say(model, &line, plan, cancel)?;
            }
        }
        if cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
    }
    delivery.end();
    Ok(())
}

/// Whether a voice speaks a language, at least in another region.
fn speaks(voice: &Voice, language: &str) -> bool {
    let primary = |tag: &str| tag.split('-').next().unwrap_or_default().to_ascii_lowercase();
    voice
        .languages
        .iter()
        .any(|own| primary(own) == primary(language))
}

/// Refuses what the engine cannot do, by name.
fn refuse(info: &EngineInfo, utterance: &Utterance) -> Result<(), Error> {
    let can = info.abilities;
    let engine = info.made.engine;
    let scripts = || {
        utterance.items.iter().filter_map(|item| match item {
            Item::Say(script, _) => Some(script),
            Item::Break(_) => None,
        })
    };
    let said = |span: &crate::domain::Span| matches!(span.saying, Saying::Phones(_));
    let cannot = |field, what: &str| {
        Err(Error::refused(
            field,
            format!("the engine {engine} with the model {} {what}", info.made.model),
        ))
    };
    if utterance.seed.is_some() && !can.seed {
        return cannot("config.seed", "cannot repeat its speech");
    }
    if utterance.word_times && !can.word_times {
        return cannot(
            "config.enable_word_time_offsets",
            "does not know when words are heard",
        );
    }
    if utterance.phone_times && !can.phone_times {
        return cannot(
            "config.enable_phoneme_time_offsets",
            "does not know when phones are heard",
        );
    }
    if !can.word_times && scripts().any(|script| !script.marks().is_empty()) {
        return cannot("input.ssml", "does not know when a `mark` is passed");
    }
    if !can.pronunciations && scripts().any(|script| script.spans().iter().any(said)) {
        return cannot("config.custom_pronunciations", "takes no pronunciations");
    }
    Ok(())
}

// === impl Delivery ===

impl Delivery<'_> {
    fn say(&mut self, model: &dyn Model, line: &Line<'_>, plan: Plan, cancel: &Cancel) -> Result<(), Error> {
        let scale = self.utterance.silence_scale;
        let failed = |error| Error::engine(model.info().made.engine, error);
        let mut shaper = Shaper::new(plan, self.rate, &[], scale).map_err(failed)?;
        let mut marks = line.script.marks();
        let mut trouble = None;
        if !line.script.text().trim().is_empty() {
            let mut take = |sound: Sound| {
                let done = match sound {
                    // What was spoken before is over.
                    Sound::Timeline(timeline) => self
                        .finish(&mut shaper)
                        .and_then(|()| Shaper::new(plan, self.rate, &timeline.pauses, scale))
                        .map(|made| {
                            shaper = made;
                            marks = self.note(line.script, marks, &timeline, &shaper);
                        }),
                    Sound::Audio(samples) => shaper.push(samples).map(|samples| self.emit(samples)),
                };
                if let Err(error) = done {
                    trouble.get_or_insert(error);
                }
            };
            model.say(line, cancel, &mut take)?;
        }
        // Marks that no word follows are passed at the end.
        self.marks.extend(marks.iter().map(|mark| Passed {
            name: mark.name.clone(),
            at: Duration::MAX,
        }));
        match trouble {
            Some(error) => Err(error),
            None => self.finish(&mut shaper),
        }
        .map_err(failed)
    }

    /// Hands over what is left of the audio. What was to come later comes at its end.
    fn finish(&mut self, shaper: &mut Shaper) -> Result<(), polyphony_audio::Error> {
        let rest = shaper.finish()?;
        let end = self.time(self.clock + rest.len());
        for word in &mut self.words {
            let within = |time: &mut Duration| *time = (*time).min(end);
            within(&mut word.start);
            within(&mut word.end);
            for phone in &mut word.phones {
                within(&mut phone.start);
                within(&mut phone.end);
            }
        }
        for mark in &mut self.marks {
            mark.at = mark.at.min(end);
        }
        self.emit(rest);
        Ok(())
    }

    /// Gives words, phones and marks of a script their times in the utterance; gives back the marks that no word of the
    /// timeline follows.
    fn note<'m>(
        &mut self,
        script: &Script,
        marks: &'m [Mark],
        timeline: &Timeline,
        shaper: &Shaper,
    ) -> &'m [Mark] {
        let begin = self.clock;
        let time = |at: usize| self.time(begin + shaper.moved(at));
        let utterance = self.utterance;
        let wanted = utterance.word_times || utterance.phone_times;
        let words = timeline.words.iter().filter(|_| wanted).map(|word| {
            let phones = word.phones.iter().filter(|_| utterance.phone_times);
            Word {
                text: script.text()[word.range.clone()].to_owned(),
                source: script.source(word.range.clone()),
                start: time(word.time.start),
                end: time(word.time.end),
                timing: timeline.timing,
                phones: phones
                    .map(|(symbol, heard)| Phone {
                        symbol: symbol.clone(),
                        start: time(heard.start),
                        end: time(heard.end),
                    })
                    .collect(),
            }
        });
        let words: Vec<Word> = words.collect();
        let passed = marks.iter().map_while(|mark| {
            let next = timeline.words.iter().find(|word| word.range.start >= mark.at)?;
            Some(Passed {
                name: mark.name.clone(),
                at: time(next.time.start),
            })
        });
        let passed: Vec<Passed> = passed.collect();
        let left = &marks[passed.len()..];
        self.words.extend(words);
        self.marks.extend(passed);
        left
    }

    fn silence(&mut self, pause: Duration) {
        let samples = (pause.as_secs_f64() * f64::from(self.rate)).round() as usize;
        self.emit(vec![0.0; samples]);
    }

    /// Hands over samples with the words that begin and the marks that are passed in them.
    fn emit(&mut self, samples: Vec<f32>) {
        self.clock += samples.len();
        let end = self.time(self.clock);
        let words = self.words.iter().take_while(|word| word.start < end).count();
        let marks = self.marks.iter().take_while(|mark| mark.at <= end).count();
        if samples.is_empty() && marks == 0 {
            return;
        }
        let piece = Piece {
            samples,
            words: self.words.drain(..words).collect(),
            marks: self.marks.drain(..marks).collect(),
        };
        (self.out)(piece);
    }

    /// Words that would begin where the audio ends go with its end.
    fn end(self) {
        if !self.words.is_empty() || !self.marks.is_empty() {
            (self.out)(Piece {
                samples: Vec::new(),
                words: self.words,
                marks: self.marks,
            });
        }
    }

    fn time(&self, samples: usize) -> Duration {
        let (samples, rate) = (samples as u64, u64::from(self.rate));
        Duration::from_secs(samples / rate) + Duration::from_nanos(samples % rate * 1_000_000_000 / rate)
    }
}

#[cfg(test)]
mod tests;
