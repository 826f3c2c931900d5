//! Alignment with a network that hears letters: wav2vec2 and MMS with a CTC head, on ONNX Runtime.
//!
//! In reading order: `settings` reads a model's files, `windows` cuts long audio, `network` runs the graph, `emissions`
//! keeps what it says, `letters` spells words, and [`crate::trellis`] finds the way that says them all: each letter
//! once, a blank between two that are the same, any number of blanks elsewhere. The way is that of
//! `torchaudio.functional.forced_align`; repeated letters are merged; where a model writes spaces they are part of the
//! text, as in whisperX.
//!
//! Figures, symbols and other scripts match any sound, so that they have a time; nothing here spells out numbers.

mod emissions;
mod error;
mod letters;
mod network;
mod settings;
mod windows;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use polyphony_inference::{InferenceConfig, Placement, Runtime};
use polyphony_models::Provenance;

use self::emissions::{Column, Emissions, Matched};
use self::error::CtcError;
use self::letters::{Heard as Sounds, letters};
use self::network::Network;
use self::settings::Settings;
use self::windows::Windows;
use super::loose::{Frame, Least, stretches};
use super::script::{Script, Span, State};
use super::{End, Engine, Heard, Match, Matching};
use crate::Error;
use crate::domain::{Cancel, EngineInfo, Options, Pace, SAMPLE_RATE, TimingSource, Unaligned, Unit};
use crate::text::Text;
use crate::trellis::{Band, Costs as _, search};

pub use self::settings::Folder;

/// The engine's name, in the catalogue and in receipts.
pub const NAME: &str = "ctc";

/// A model, loaded. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ctc {
    model: Arc<Model>,
    info: EngineInfo,
}

#[derive(Debug)]
struct Model {
    network: Network,
    settings: Settings,
}

/// A recording or stream.
#[derive(Debug)]
struct CtcMatching {
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

/// What can be said of a model before it is loaded. `languages`: those that it was trained on, if that is known.
pub fn info(model: impl Into<String>, digest: impl Into<String>, languages: Vec<String>) -> EngineInfo {
    EngineInfo {
        made: Provenance {
            engine: NAME,
            version: String::new(),
            model: model.into(),
            digest: digest.into(),
            device: String::new(),
            degraded: None,
        },
        languages,
        needs_language: false,
        phones: false,
        spoken_form: false,
    }
}

// === impl Ctc ===

impl Ctc {
    /// Loads the model in `folder`, and runs it once so that the first request is not the slow one. `info` is what
    /// [`info`] gave.
    ///
    /// # Errors
    /// [`Error::Request`] when ONNX Runtime or the device is missing, with the remedy; [`Error::Engine`] when the folder
    /// is not such a model or a file of it is broken.
    pub fn load(
        folder: &Folder,
        mut info: EngineInfo,
        runtime: &Runtime,
        config: &InferenceConfig,
    ) -> Result<Self, Error> {
        let loaded = runtime.get().map_err(CtcError::from)?;
        let placement = config.device.place(loaded).map_err(CtcError::from)?;
        let Placement { device, fallback } = &placement;
        if let Some(reason) = fallback {
            tracing::info!(reason, "running on the processor");
        }
        let settings = Settings::read(folder)?;
        let width = config.width(device.is_gpu());
        let network = Network::open(loaded, &folder.graph(*device)?, *device, width)?;
        let second = vec![0.0; SAMPLE_RATE as usize];
        network.run(&second, &settings, &Cancel::default())?;
        info.made.version = format!("onnxruntime {}", loaded.version());
        info.made.device = device.to_string();
        Ok(Self {
            model: Arc::new(Model { network, settings }),
            info,
        })
    }

    /// The scores of each letter in each frame, as the model gives them, and how many letters there are. All samples are
    /// run at once.
    ///
    /// # Errors
    /// [`Error::Cancelled`], [`Error::Engine`].
    pub fn logits(&self, samples: &[f32], cancel: &Cancel) -> Result<(Vec<f32>, usize), Error> {
        let Model { network, settings } = &*self.model;
        let logits = network.run(samples, settings, cancel)?;
        Ok((logits.values, logits.columns))
    }
}

impl Engine for Ctc {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn begin(&self, options: &Options, cancel: &Cancel) -> Result<Box<dyn Matching>, Error> {
        let settings = &self.model.settings;
        let mut script = Script::default();
        script.gap(0.0, 0.0);
        Ok(Box::new(CtcMatching {
            windows: Windows::new(options.pace, settings.stride()),
            most: match options.pace {
                Pace::Whole { samples } => Some(settings.frames(samples)),
                Pace::Live { .. } => None,
            },
            is_whole: matches!(options.pace, Pace::Whole { .. }),
            model: Arc::clone(&self.model),
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
        }))
    }
}

// === impl CtcMatching ===

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
    fn keep(&mut self, logits: &network::Logits, frames: Range<usize>) -> Result<(), Error> {
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
                self.characters(text.slice(text.word(word).range.clone()), own)
            } else {
                Vec::new()
            },
            phones: Vec::new(),
        }
    }

    /// The characters of a word; those of a run that matches any sound share its time, and punctuation has none.
    fn characters(&self, word: &str, spans: &[Span]) -> Vec<Unit> {
        let letters = letters(word, &self.model.settings);
        let wildcards = self.options.unaligned == Unaligned::Wildcard;
        let mut spans = spans.iter();
        let mut units: Vec<Unit> = Vec::with_capacity(letters.len());
        let mut at = spans
            .as_slice()
            .first()
            .map_or(Duration::ZERO, |span| self.time(span.frames.start));
        // The run that is open: its time, score, length and how much of it has passed.
        let mut run: Option<(Range<Duration>, f32, u32, u32)> = None;
        for (index, letter) in letters.iter().enumerate() {
            let (time, score, timing) = match letter.sound {
                Sounds::Token(_) => {
                    run = None;
                    let span = spans.next();
                    let time = span.map_or(at..at, |span| {
                        self.time(span.frames.start)..self.time(span.frames.end)
                    });
                    (time, span.map_or(0.0, fit), TimingSource::Aligned)
                }
                Sounds::Wild if wildcards => {
                    let (time, score, length, passed) = run.get_or_insert_with(|| {
                        // Punctuation in a run does not end it.
                        let rest = letters[index..]
                            .iter()
                            .take_while(|letter| !matches!(letter.sound, Sounds::Token(_)));
                        let length = rest.filter(|letter| letter.sound == Sounds::Wild).count() as u32;
                        let span = spans.next();
                        let time = span.map_or(at..at, |span| {
                            self.time(span.frames.start)..self.time(span.frames.end)
                        });
                        (time, span.map_or(0.0, fit), length, 0)
                    });
                    let edge = |passed: u32| time.start + (time.end - time.start) * passed / (*length).max(1);
                    let share = edge(*passed)..edge(*passed + 1);
                    *passed += 1;
                    (share, *score, TimingSource::Wildcard)
                }
                Sounds::Wild | Sounds::Silent => (at..at, 0.0, TimingSource::Interpolated),
            };
            at = time.end;
            units.push(Unit {
                text: letter.text.to_owned(),
                time,
                score,
                timing,
            });
        }
        units
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
