//! A recording or stream on its way through the network and the trellis.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::Model;
use super::emissions::{Column, Emissions, Matched};
use super::error::CtcError;
use super::letters::{Heard as Sounds, letters, units};
use super::network::Logits;
use super::windows::Windows;
use crate::Error;
use crate::domain::{Cancel, Options, Pace, Unaligned};
use crate::engine::loose::{Frame, Least, stretches};
use crate::engine::script::{Script, Span, State};
use crate::engine::{End, Heard, Match, Matching};
use crate::text::Text;
use crate::trellis::{Band, Costs as _, search};

/// A recording or stream.
#[derive(Debug)]
pub(super) struct CtcMatching {
    model: Arc<Model>,
    options: Options,
    cancel: Cancel,
    windows: Windows,
    emissions: Option<Emissions>,
    script: Script,
    /// What each state matches.
    columns: Vec<Column>,
    /// What the state before the last blank matches, and where the last word that has a sound ends in the text.
    last: Option<Column>,
    spoken: Option<usize>,
    /// The fewest frames in which what is kept can be said, and the frames that there are, where that is known.
    least: usize,
    most: Option<usize>,
    /// Whether all text came before the audio.
    is_whole: bool,
    word: usize,
    frame: usize,
    read: usize,
}

/// A search of fewer cells looks at all of them.
const FEW: usize = 128 << 20;
/// Else the farthest from a line through the speech, in states: about three minutes of it.
const HALF: usize = 6_000;
/// Where a blank is less probable than this between words, the model heard a letter.
const DOUBT: f32 = 0.5;
/// Three of them in half a second are speech that is not of the text. A model says blank between letters.
const LOOSE: Least = Least {
    bridge: 15,
    speech: 3,
    length: 25,
};

// === impl CtcMatching ===

impl CtcMatching {
    pub(super) fn new(model: &Arc<Model>, options: &Options, cancel: &Cancel) -> Self {
        let settings = &model.settings;
        let mut script = Script::default();
        script.gap(0.0, 0.0);
        Self {
            windows: Windows::new(options.pace, settings.stride()),
            most: match options.pace {
                Pace::Whole { samples } => Some(settings.frames(samples)),
                Pace::Live { .. } => None,
            },
            is_whole: matches!(options.pace, Pace::Whole { .. }),
            model: Arc::clone(model),
            options: options.clone(),
            cancel: cancel.clone(),
            emissions: None,
            script,
            columns: vec![Column::Token(settings.blank)],
            last: None,
            spoken: None,
            least: 0,
            word: 0,
            frame: 0,
            read: 0,
        }
    }
}

impl Matching for CtcMatching {
    fn hear(&mut self, samples: &[f32]) -> Result<(), Error> {
        self.windows.push(samples);
        loop {
            let Some(window) = self.windows.full() else {
                return Ok(());
            };
            let logits = self
                .model
                .network
                .run(window.samples, &self.model.settings, &self.cancel)?;
            let frames = window.frames;
            self.windows.told(frames.len());
            self.keep(&logits, frames)?;
        }
    }

    fn silence(&mut self) -> Result<(), Error> {
        let settings = &self.model.settings;
        let window = self.windows.rest(|samples| settings.frames(samples));
        let frames = window.frames;
        if !frames.is_empty() {
            let logits = self.model.network.run(window.samples, settings, &self.cancel)?;
            self.windows.told(frames.len());
            self.keep(&logits, frames)?;
        }
        self.most = Some(self.emissions.as_ref().map_or(0, Emissions::len));
        Ok(())
    }

    fn read(&mut self, text: &Text, words: Range<usize>) -> Result<(), Error> {
        for word in words.clone() {
            self.spell(text, word);
            if self.most.is_some_and(|most| self.least > most) {
                return Err(Error::Misfit);
            }
        }
        self.read = words.end;
        Ok(())
    }

    fn heard(&self) -> Duration {
        self.time(self.emissions.as_ref().map_or(0, Emissions::len))
    }

    fn align(&mut self, text: &Text, end: End) -> Result<Match, Error> {
        let emissions = self
            .emissions
            .as_ref()
            .filter(|emissions| emissions.len() > 0)
            .ok_or(Error::Misfit)?;
        let frames = emissions.len();
        let reach = match end {
            End::Last => self.columns.len(),
            End::Open => self.columns.len().min(3 * frames + 1),
        };
        let mut columns = self.columns[..reach].to_vec();
        if end == End::Open && reach == self.columns.len() {
            // Behind the last word that is known, more may be said.
            columns[reach - 1] = Column::Rest;
        }
        let chain = self.script.chain.slice(0..reach);
        let matched = Matched {
            emissions,
            columns: &columns,
        };
        let costs = matched.costs();
        let rate = 1.0 / self.length().as_secs_f64();
        let limits = self.script.limits(text, self.time(0), frames, rate);
        let band = match limits.filter(|_| end == End::Last) {
            Some(limits) => limits,
            None if frames.saturating_mul(reach) <= FEW => Band::full(frames, reach),
            None => Band::along(&self.letters(emissions), reach, HALF),
        };
        let path = search(&chain, &costs, &band, end, &self.cancel)?.states;
        let mut cost = [0.0];
        let paid: Vec<f32> = path
            .iter()
            .enumerate()
            .map(|(frame, state)| {
                let state = *state as usize;
                costs.fill(frame, state..state + 1, &mut cost);
                cost[0]
            })
            .collect();
        let spans = self.script.spans(&path, &paid);
        let words = self
            .script
            .words(&spans, end, self.word..self.read, |word, sounds| {
                self.word(text, word, sounds, &spans)
            });
        Ok(Match {
            quality: self.quality(&spans),
            speech: self.loose(&path, &paid),
            words,
        })
    }

    fn forget(&mut self, words: usize, until: Duration) {
        let frame = (until.as_secs_f64() / self.length().as_secs_f64()).round() as usize;
        let count = frame.saturating_sub(self.frame);
        if let Some(emissions) = &mut self.emissions {
            let count = count.min(emissions.len());
            emissions.forget(count);
            self.frame += count;
        }
        self.word += words;
        let states = self.script.forget(self.word);
        self.columns.drain(..states);
        // Every other state is a blank.
        self.least = self.columns.len() / 2;
    }
}

impl CtcMatching {
    /// Keeps what the model said of some frames of a window.
    fn keep(&mut self, logits: &Logits, frames: Range<usize>) -> Result<(), Error> {
        if logits.rows().len() < frames.end {
            let problem = format!("{} frames where {} were due", logits.rows().len(), frames.end);
            return Err(CtcError::Output(problem).into());
        }
        let emissions = self.emissions.get_or_insert_with(|| {
            let letters = self.columns.iter().filter_map(|column| match column {
                Column::Token(token) => Some(*token),
                Column::Star | Column::Rest => None,
            });
            // A stream may have more text later.
            let kept = self.is_whole.then(|| letters.collect());
            Emissions::new(&self.model.settings, kept)
        });
        for row in logits.rows().skip(frames.start).take(frames.len()) {
            emissions.push(row);
        }
        Ok(())
    }

    /// Appends the states of a word.
    fn spell(&mut self, text: &Text, word: usize) {
        let range = text.word(word).range.clone();
        let letters = letters(text.slice(range.clone()), &self.model.settings);
        let wildcards = self.options.unaligned == Unaligned::Wildcard;
        let is_heard = |sound: Sounds| match sound {
            Sounds::Token(_) => true,
            Sounds::Wild => wildcards,
            Sounds::Silent => false,
        };
        if !letters.iter().any(|letter| is_heard(letter.sound)) {
            return;
        }
        // Where signs follow each other without a space, the model writes none.
        if let (Some(delimiter), Some(before)) = (self.model.settings.delimiter, self.spoken)
            && before < range.start
        {
            self.state(Column::Token(delimiter), None);
        }
        self.spoken = Some(range.end);
        let mut in_run = false;
        for letter in letters.into_iter().filter(|letter| is_heard(letter.sound)) {
            match letter.sound {
                Sounds::Token(token) => self.state(Column::Token(token), Some((word, letter.text, false))),
                Sounds::Wild if in_run => {}
                Sounds::Wild | Sounds::Silent => self.state(Column::Star, Some((word, "", true))),
            }
            in_run = letter.sound == Sounds::Wild;
        }
    }

    /// Appends a state that must be gone through, and a blank behind it that need not.
    fn state(&mut self, column: Column, sound: Option<(usize, &str, bool)>) {
        if self.last == Some(column) {
            self.script.chain.insist();
            self.least += 1;
        }
        match sound {
            Some((word, label, wild)) => {
                self.script.sound(word, label, wild);
                self.script.state(0.0, f32::INFINITY);
            }
            None => self.script.gap(0.0, f32::INFINITY),
        }
        self.script.gap(0.0, 0.0);
        self.columns
            .extend([column, Column::Token(self.model.settings.blank)]);
        self.least += 1;
        self.last = Some(column);
    }

    fn word(&self, text: &Text, word: usize, sounds: Range<usize>, spans: &[Span]) -> Heard {
        let all = &self.script.sounds;
        let own = &spans[sounds.clone()];
        let is_wild = |sound: usize| all[sound].wild;
        let wild = !sounds.is_empty() && sounds.clone().all(is_wild);
        let time = own
            .first()
            .zip(own.last())
            .map(|(first, last)| self.time(first.frames.start)..self.time(last.frames.end));
        let heard = sounds
            .clone()
            .zip(own)
            .filter(|(sound, span)| (wild || !is_wild(*sound)) && !span.frames.is_empty());
        let (mut score, mut cost, mut frames, mut count) = (0.0, 0.0, 0, 0);
        for (_, span) in heard {
            score += fit(span);
            cost += span.cost;
            frames += span.frames.len();
            count += 1;
        }
        Heard {
            word,
            time,
            wild,
            score: if count == 0 { 0.0 } else { score / count as f32 },
            log_prob: (frames > 0).then(|| (-cost / frames as f64) as f32),
            characters: if self.options.characters && !sounds.is_empty() {
                {
                    let letters = letters(text.slice(text.word(word).range.clone()), &self.model.settings);
                    let found: Vec<_> = own
                        .iter()
                        .map(|span| {
                            (
                                self.time(span.frames.start)..self.time(span.frames.end),
                                fit(span),
                            )
                        })
                        .collect();
                    units(&letters, self.options.unaligned == Unaligned::Wildcard, &found)
                }
            } else {
                Vec::new()
            },
            phones: Vec::new(),
        }
    }

    /// The mean fit of the letters that were reached.
    fn quality(&self, spans: &[Span]) -> f32 {
        let letters = self.script.sounds.iter().zip(spans);
        let (mut sum, mut count) = (0.0, 0.0_f32);
        for (_, span) in letters.filter(|(sound, span)| !sound.wild && !span.frames.is_empty()) {
            sum += fit(span);
            count += 1.0;
        }
        if count == 0.0 { 0.0 } else { sum / count }
    }

    /// Where the model heard letters and the text has none.
    fn loose(&self, path: &[u32], paid: &[f32]) -> Vec<Range<Duration>> {
        let states = self.script.states();
        let frames = path
            .iter()
            .zip(paid)
            .map(|(state, paid)| match states[*state as usize] {
                State::Sound(_) => Frame::Word,
                State::Gap if (-paid).exp() < DOUBT => Frame::Speech,
                State::Gap => Frame::Quiet,
            });
        let found = stretches(frames, LOOSE).into_iter();
        found
            .map(|frames| self.time(frames.start)..self.time(frames.end))
            .collect()
    }

    /// How probable a letter is in each frame.
    fn letters(&self, emissions: &Emissions) -> Vec<f32> {
        let blank = Column::Token(self.model.settings.blank);
        (0..emissions.len())
            .map(|frame| 1.0 - emissions.log_prob(frame, blank).exp())
            .collect()
    }

    /// The length of a frame.
    fn length(&self) -> Duration {
        crate::domain::time(self.model.settings.stride() as u64)
    }

    /// The time of a frame that is kept.
    fn time(&self, frame: usize) -> Duration {
        crate::domain::time(((self.frame + frame) * self.model.settings.stride()) as u64)
    }
}

/// How well a letter fits: the geometric mean of its probability in its frames.
fn fit(span: &Span) -> f32 {
    if span.frames.is_empty() {
        return 0.0;
    }
    (-span.cost / span.frames.len() as f64).exp() as f32
}
