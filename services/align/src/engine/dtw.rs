//! Alignment without a model: espeak-ng says the text, and what it says is laid over what was heard.
//!
//! In reading order: `voice` speaks the text and makes a chain of its frames, with a gap between any two words; `front`
//! makes cepstra of both sides, `levels` finds where nobody speaks, `costs` compares, `coarse` finds about where the
//! path lies, [`crate::trellis`] finds it, `adapt` moves the synthetic voice towards the speaker's and the path is
//! found again, `fit` says how well it fits.
//!
//! Against plain dynamic time warping: gaps take up pauses wherever they are, every frame of the audio counts once, and
//! the voice is adapted. Any language of espeak-ng is known. Words are matched by their phones; characters are not
//! heard here and share the time of their word.

mod adapt;
mod coarse;
mod costs;
mod fit;
mod front;
mod levels;
mod voice;

use std::ops::Range;
use std::time::Duration;

use polyphony_error::Fault;
use polyphony_espeak::{Espeak, Voice};
use polyphony_models::{Degradation, Provenance};

use self::adapt::Fit;
use self::costs::{Compared, Moments};
use self::front::{Front, HOP, RATE, Sound, WIDTH};
use self::levels::Levels;
use self::voice::{Kind, Reader, Spoken};
use super::loose::{Frame, Least, stretches};
use super::script::Span;
use super::{End, Engine, Heard, Match, Matching};
use crate::Error;
use crate::domain::{Cancel, EngineInfo, Options, Pace, TimingSource, Unit};
use crate::text::Text;
use crate::trellis::{Band, search};

/// The engine's name, in the catalogue and in receipts.
pub const NAME: &str = "dtw";

/// The engine: espeak-ng, open.
#[derive(Debug, Clone)]
pub struct Dtw {
    espeak: Espeak,
    info: EngineInfo,
}

/// A recording or stream.
#[derive(Debug)]
struct DtwMatching {
    options: Options,
    cancel: Cancel,
    front: Front,
    reader: Reader,
    sound: Sound,
    spoken: Spoken,
    /// The first word that is kept, and the first frame.
    word: usize,
    frame: usize,
    /// One past the last word that was read.
    read: usize,
    /// The frames of a recording whose length is known.
    most: Option<usize>,
    /// What was forgotten, for the means.
    past: Moments,
    levels: Vec<f32>,
}

/// How often the voice is adapted, and how far the path may move each time, in states.
const ROUNDS: usize = 2;
const MOVE: usize = 150;
/// Frames of a stream whose levels are remembered: a minute.
const MEMORY: usize = 60 * RATE;
/// Speech that is not of the text is told from half a second.
const LOOSE: Least = Least {
    bridge: RATE * 3 / 10,
    speech: RATE * 3 / 10,
    length: RATE / 2,
};

/// What can be said of the engine before espeak-ng is open.
pub fn info(model: impl Into<String>, digest: impl Into<String>) -> EngineInfo {
    EngineInfo {
        made: Provenance {
            engine: NAME,
            version: String::new(),
            model: model.into(),
            digest: digest.into(),
            device: "cpu".to_owned(),
            degraded: Some(Degradation {
                reason: "NO_NEURAL_MODEL",
                message:
                    "espeak-ng and time warping put words in their place; a wav2vec2 or MMS model is closer: \
                          `polyphony models list` shows some, `polyphony models pull` brings one"
                        .to_owned(),
            }),
        },
        languages: Vec::new(),
        needs_language: true,
        phones: true,
        spoken_form: true,
    }
}

// === impl Dtw ===

impl Dtw {
    /// The engine on an open espeak-ng. `model` and `digest` are told in receipts.
    pub fn new(espeak: Espeak, model: impl Into<String>, digest: impl Into<String>) -> Self {
        let mut info = info(model, digest);
        info.made.version = format!("espeak-ng {}", espeak.version());
        let mut languages: Vec<String> = espeak
            .voices()
            .iter()
            .flat_map(|voice| voice.languages.iter().cloned())
            .collect();
        languages.sort();
        languages.dedup();
        info.languages = languages;
        Self { espeak, info }
    }

    fn voice(&self, options: &Options) -> Result<Voice, Error> {
        let language = options.language.as_deref().unwrap_or_default();
        let voice = self.espeak.voice_for(language).cloned();
        voice.ok_or_else(|| {
            let message = format!("\"{language}\" is not a language of espeak-ng");
            Error::Request(Fault::invalid("config.language_code", message))
        })
    }
}

impl Engine for Dtw {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn begin(&self, options: &Options, cancel: &Cancel) -> Result<Box<dyn Matching>, Error> {
        let voice = self.voice(options)?;
        Ok(Box::new(DtwMatching {
            reader: Reader::new(self.espeak.clone(), voice, options.unaligned)?,
            options: options.clone(),
            cancel: cancel.clone(),
            front: Front::new()?,
            sound: Sound::default(),
            spoken: Spoken::new(),
            word: 0,
            frame: 0,
            read: 0,
            most: match options.pace {
                Pace::Whole { samples } => Some(samples / HOP + 1),
                Pace::Live { .. } => None,
            },
            past: Moments::default(),
            levels: Vec::new(),
        }))
    }
}

// === impl DtwMatching ===

impl Matching for DtwMatching {
    fn hear(&mut self, samples: &[f32]) -> Result<(), Error> {
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        self.front.push(samples, &mut self.sound);
        Ok(())
    }

    fn silence(&mut self) -> Result<(), Error> {
        self.front.finish(&mut self.sound);
        self.most = Some(self.sound.len());
        Ok(())
    }

    fn read(&mut self, text: &Text, words: Range<usize>) -> Result<(), Error> {
        self.read = words.end;
        self.reader
            .read(text, words, &mut self.spoken, self.most, &self.cancel)
    }

    fn heard(&self) -> Duration {
        self.time(self.sound.len())
    }

    fn align(&mut self, text: &Text, end: End) -> Result<Match, Error> {
        let frames = self.sound.len();
        if frames == 0 {
            return Err(Error::Misfit);
        }
        // No path gets farther.
        let reach = match end {
            End::Last => self.spoken.kinds.len(),
            End::Open => self.spoken.kinds.len().min(3 * frames + 1),
        };
        let shares = self.shares();
        let (mut compared, rows) = self.compare(&shares, reach, end);
        let allowed = self.spoken.script.limits(text, self.time(0), frames, RATE as f64);
        let allowed = allowed.filter(|_| end == End::Last);
        let chain = self.spoken.script.chain.slice(0..reach);
        let band = coarse::band(&compared, &rows, allowed.as_ref(), end, &self.cancel)?;
        let mut path = search(&chain, &compared, &band, end, &self.cancel)?;
        for _ in 0..ROUNDS {
            let mut fit = Fit::new();
            for (frame, state) in path.states.iter().map(|state| *state as usize).enumerate() {
                if compared.kind(state) == Kind::Spoken {
                    fit.add(&rows[state], compared.frame(frame));
                }
            }
            let Some(map) = fit.solve() else { break };
            let adapted: Vec<_> = rows.iter().map(|row| map.apply(row)).collect();
            compared.set(&adapted);
            let band = Band::around(&path.states, reach, MOVE).within(&band, reach);
            path = search(&chain, &compared, &band, end, &self.cancel)?;
        }
        Ok(self.found(&path.states, &compared, &shares, end))
    }

    fn forget(&mut self, words: usize, until: Duration) {
        let frame =
            (until.as_millis() as usize * RATE / 1_000).clamp(self.frame, self.frame + self.sound.len());
        let count = frame - self.frame;
        let shares = self.shares();
        for (at, share) in shares.iter().take(count).enumerate() {
            if levels::is_speech(*share) {
                self.past.add(self.sound.cepstra.row(at));
            }
        }
        self.levels.extend_from_slice(&self.sound.levels[..count]);
        let forgotten = self.levels.len().saturating_sub(MEMORY);
        self.levels.drain(..forgotten);
        self.sound.forget(count);
        self.frame = frame;
        self.word += words;
        self.spoken.forget(self.word);
    }
}

impl DtwMatching {
    /// For each frame that is kept, the share of the way from silence to speech.
    fn shares(&self) -> Vec<f32> {
        let all = [self.levels.as_slice(), &self.sound.levels].concat();
        let levels = if self.levels.is_empty() {
            &self.sound.levels
        } else {
            &all
        };
        Levels::of(levels).shares(&self.sound.levels)
    }

    /// Both sides, so that they can be compared, and the rows of the states.
    fn compare(&self, shares: &[f32], reach: usize, end: End) -> (Compared, Vec<[f32; WIDTH]>) {
        let Spoken { cepstra, kinds, .. } = &self.spoken;
        let mut kinds = kinds[..reach].to_vec();
        if end == End::Open && reach == self.spoken.kinds.len() {
            kinds[reach - 1] = Kind::Rest;
        }
        let (mut heard, mut said) = (self.past.clone(), Moments::default());
        let speech = self
            .sound
            .cepstra
            .rows()
            .zip(shares)
            .filter(|(_, share)| levels::is_speech(**share));
        speech.for_each(|(row, _)| heard.add(row));
        let spoken = cepstra
            .rows()
            .zip(&kinds)
            .filter(|(_, kind)| **kind == Kind::Spoken);
        spoken.for_each(|(row, _)| said.add(row));
        let (heard, said) = (heard.normal(), said.normal());
        let audio = self.sound.cepstra.rows().map(|row| heard.apply(row)).collect();
        let rows: Vec<_> = cepstra.rows().take(reach).map(|row| said.apply(row)).collect();
        let gaps = shares.iter().map(|share| levels::gap(*share)).collect();
        let unit = Compared::unit(&heard, &said);
        (Compared::new(audio, &rows, kinds, gaps, unit), rows)
    }

    /// What a path says.
    fn found(&self, path: &[u32], compared: &Compared, shares: &[f32], end: End) -> Match {
        let script = &self.spoken.script;
        let costs: Vec<f32> = path
            .iter()
            .enumerate()
            .map(|(frame, state)| compared.cost(frame, *state as usize))
            .collect();
        let spans = script.spans(path, &costs);
        let words = script.words(&spans, end, self.word..self.read, |word, sounds| {
            self.word(word, sounds, &spans)
        });
        Match {
            words,
            speech: self.loose(path, compared, shares),
            quality: fit::quality(path, compared, &costs),
        }
    }

    fn word(&self, word: usize, sounds: Range<usize>, spans: &[Span]) -> Heard {
        let all = &self.spoken.script.sounds;
        let own = &spans[sounds.clone()];
        let wild = sounds.clone().any(|sound| all[sound].wild);
        let heard = own.iter().filter(|span| !span.frames.is_empty());
        let edges = |frames: &Range<usize>| self.time(frames.start)..self.time(frames.end);
        let time = match (heard.clone().next(), heard.clone().next_back(), own.first()) {
            (Some(first), Some(last), _) => Some(edges(&(first.frames.start..last.frames.end))),
            // All of it was passed over.
            (_, _, Some(first)) => Some(edges(&first.frames)),
            (_, _, None) => None,
        };
        let score = |cost: f64, frames: usize| if wild { 0.0 } else { fit::score(cost, frames) };
        let phones = if self.options.phones && !wild {
            let unit = |(sound, span): (usize, &Span)| Unit {
                text: all[sound].label.clone(),
                time: edges(&span.frames),
                score: score(span.cost, span.frames.len()),
                timing: TimingSource::Aligned,
            };
            let named = sounds.zip(own).filter(|(sound, _)| !all[*sound].label.is_empty());
            named.map(unit).collect()
        } else {
            Vec::new()
        };
        let (cost, frames) = own.iter().fold((0.0, 0), |(cost, frames), span| {
            (cost + span.cost, frames + span.frames.len())
        });
        Heard {
            word,
            time,
            wild,
            score: score(cost, frames),
            log_prob: None,
            characters: Vec::new(),
            phones,
        }
    }

    /// Speech in gaps.
    fn loose(&self, path: &[u32], compared: &Compared, shares: &[f32]) -> Vec<Range<Duration>> {
        let frames = path
            .iter()
            .zip(shares)
            .map(|(state, share)| match compared.kind(*state as usize) {
                Kind::Spoken | Kind::Wild => Frame::Word,
                Kind::Gap | Kind::Rest if levels::is_speech(*share) => Frame::Speech,
                Kind::Gap | Kind::Rest => Frame::Quiet,
            });
        let found = stretches(frames, LOOSE).into_iter();
        found
            .map(|frames| self.time(frames.start)..self.time(frames.end))
            .collect()
    }

    /// The time of a frame that is kept.
    fn time(&self, frame: usize) -> Duration {
        Duration::from_millis((self.frame + frame) as u64 * 1_000 / RATE as u64)
    }
}
