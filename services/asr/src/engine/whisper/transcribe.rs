//! A whole recording: windows of 30 s, each begun where the last finished segment ended.
//!
//! The algorithm of openai-whisper's `transcribe` (whisper/transcribe.py) at temperature 0, without the text of one
//! window as the prompt of the next. There is no fallback to higher temperatures, so what it would have decoded again
//! is dealt with by [`Thresholds`]: silence is skipped as there; of a window that loops, segments that repeat the one
//! before or loop in themselves are left out. The initial prompt goes to the first window that is not skipped.

use polyphony_error::Fault;

use super::alignment;
use super::error::WhisperError;
use super::features::{FRAME_RATE, Recording, WINDOW_FRAMES};
use super::greedy::{self, Decoded, Orders};
use super::network::Encoded;
use super::repetition::leave_out_loops;
use super::rules::Rules;
use super::segments::{Cut, Window, cut};
use super::transcription::{Thresholds, TokenSegment, TokenWord, Transcription};
use super::word_times::{Timed, assign};
use super::words::by_share;
use super::{Whisper, codes};
use crate::domain::{Cancel, DecodeOptions, Task};

/// What is wanted of a recording.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) options: &'a DecodeOptions,
    /// None: nothing is taken for invented.
    pub(super) thresholds: Option<Thresholds>,
    pub(super) words: Words,
}

/// Whether words are given, and how they are timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Words {
    None,
    /// By shares of the segment's time: free.
    Shared,
    /// By the model's attention if it gives it, at the cost of another run of the decoder, else by shares.
    Best,
}

/// The state between windows.
struct Progress<'a> {
    whisper: &'a Whisper,
    wanted: Wanted<'a>,
    cancel: &'a Cancel,
    /// Start token, language, task.
    sequence: Vec<u32>,
    prompt: Vec<u32>,
    last_speech: f64,
    out: Transcription,
}

/// Windows that a recording may take, beside one for each 5 s of it. Whisper needs about one for each 25 s; a model
/// that ends its segments after a moment would otherwise take one for each moment.
const SPARE_WINDOWS: usize = 16;
const FRAMES_A_WINDOW: usize = 500;

/// Transcribes a recording, mono at 16 kHz.
pub(super) fn transcribe(
    whisper: &Whisper,
    audio: &[f32],
    wanted: Wanted<'_>,
    cancel: &Cancel,
) -> Result<Transcription, WhisperError> {
    let options = wanted.options;
    check(whisper, options)?;
    let mut recording = whisper.extractor.recording(audio, cancel)?;
    let prompt = options.initial_prompt.trim();
    let mut progress = Progress {
        whisper,
        wanted,
        cancel,
        sequence: Vec::new(),
        prompt: if prompt.is_empty() {
            Vec::new()
        } else {
            whisper.vocabulary.encode(&format!(" {prompt}"))?
        },
        last_speech: 0.0,
        out: Transcription {
            language: options.language.clone(),
            segments: Vec::new(),
        },
    };
    let frames = recording.frames();
    let mut windows = SPARE_WINDOWS + frames / FRAMES_A_WINDOW;
    let mut seek = 0;
    while seek < frames {
        let window = Window {
            seek,
            frames: WINDOW_FRAMES.min(frames - seek),
        };
        let advance = progress.window(&mut recording, window)?;
        windows = windows.saturating_sub(1);
        let hurry = windows == 0 || advance == 0;
        seek += if hurry { window.frames } else { advance };
    }
    Ok(progress.out)
}

/// Refuses what the model cannot do.
fn check(whisper: &Whisper, options: &DecodeOptions) -> Result<(), WhisperError> {
    let vocabulary = &whisper.vocabulary;
    if let Some(language) = &options.language {
        let known = if vocabulary.languages.is_empty() {
            language == "en"
        } else {
            vocabulary.language(language).is_some()
        };
        if !known {
            let languages = codes(&vocabulary.languages).join(", ");
            let problem = format!("\"{language}\" is not known to this model; it knows {languages}");
            return Err(WhisperError::Request(Fault::invalid("language", problem)));
        }
    }
    if options.task == Task::Translate && vocabulary.tasks.is_none() {
        let problem = "this model knows only English; a multilingual model translates";
        return Err(WhisperError::Request(Fault::invalid("task", problem)));
    }
    Ok(())
}

// === impl Progress ===

impl Progress<'_> {
    /// Decodes a window, keeps its segments, and says by how many frames to go on.
    fn window(&mut self, recording: &mut Recording<'_>, window: Window) -> Result<usize, WhisperError> {
        let whisper = self.whisper;
        let vocabulary = &whisper.vocabulary;
        let audio = whisper
            .network
            .encode(recording.window(window.seek, window.frames), self.cancel)?;
        if self.sequence.is_empty() {
            self.sequence = self.begin(&audio)?;
        }
        let text_context = whisper.settings.text_context;
        let orders = Orders::new(vocabulary, &self.sequence, &self.prompt, text_context);
        let rules = Rules::new(vocabulary, whisper.tick.seconds);
        let decoded = greedy::decode(
            &whisper.network,
            rules,
            vocabulary,
            &audio,
            &orders,
            text_context,
            self.cancel,
        )?;
        if self
            .wanted
            .thresholds
            .is_some_and(|limit| is_silence(&decoded, limit))
        {
            return Ok(window.frames);
        }
        self.prompt.clear();

        let cut = cut(vocabulary, &decoded, window, whisper.tick);
        let mut segments = self.segments(&decoded, &cut)?;
        let mut advance = cut.advance;
        match self.wanted.words {
            Words::None => {}
            Words::Best if whisper.network.attends() => {
                advance = self.align(&mut segments, &audio, window, &cut)?;
            }
            Words::Best | Words::Shared => self.share(&mut segments, &decoded, &cut)?,
        }
        segments.retain(|segment| segment.start != segment.end && !segment.text.trim().is_empty());
        if self.wanted.thresholds.is_some() {
            leave_out_loops(&mut segments, &vocabulary.decode(&decoded.tokens)?);
        }
        self.out.segments.append(&mut segments);
        Ok(advance)
    }

    /// The start sequence, with the language found if it was not named.
    fn begin(&mut self, audio: &Encoded) -> Result<Vec<u32>, WhisperError> {
        let vocabulary = &self.whisper.vocabulary;
        let Some((transcribe, translate)) = vocabulary.tasks else {
            self.out.language.get_or_insert_with(|| "en".to_owned());
            return Ok(vec![vocabulary.start]);
        };
        let named = self
            .out
            .language
            .as_deref()
            .and_then(|code| vocabulary.language(code));
        let language = match named {
            Some(token) => token,
            None => {
                let scores = self
                    .whisper
                    .network
                    .decode(audio, self.cancel)?
                    .start(&[vocabulary.start])?;
                let scores = scores.at(0)?;
                let score = |token: u32| scores.get(token as usize).copied().unwrap_or(f32::NEG_INFINITY);
                let best = vocabulary
                    .languages
                    .iter()
                    .max_by(|a, b| score(a.1).total_cmp(&score(b.1)));
                let (code, token) = best.ok_or_else(|| WhisperError::Output("no language".to_owned()))?;
                self.out.language = Some(code.clone());
                *token
            }
        };
        let task = match self.wanted.options.task {
            Task::Transcribe => transcribe,
            Task::Translate => translate,
        };
        Ok(vec![vocabulary.start, language, task])
    }

    fn segments(&self, decoded: &Decoded, cut: &Cut) -> Result<Vec<TokenSegment>, WhisperError> {
        let one = |slice: &super::segments::Slice| {
            let tokens = decoded.tokens[slice.tokens.clone()].to_vec();
            Ok(TokenSegment {
                start: slice.start,
                end: slice.end,
                text: self.whisper.vocabulary.decode(&tokens)?,
                tokens,
                avg_log_prob: decoded.avg_log_prob,
                no_speech_prob: decoded.no_speech_prob,
                words: Vec::new(),
            })
        };
        cut.slices.iter().map(one).collect()
    }

    /// Words by the model's attention. They decide where the next window begins, unless nobody speaks any more.
    fn align(
        &mut self,
        segments: &mut [TokenSegment],
        audio: &Encoded,
        window: Window,
        cut: &Cut,
    ) -> Result<usize, WhisperError> {
        let whisper = self.whisper;
        let is_text = |token: &&u32| whisper.vocabulary.is_text(**token);
        let text: Vec<u32> = segments
            .iter()
            .flat_map(|segment| segment.tokens.iter().filter(is_text))
            .copied()
            .collect();
        let words = alignment::align(
            &whisper.network,
            &whisper.heads,
            &whisper.vocabulary,
            &self.sequence,
            &text,
            audio,
            (window.frames / whisper.tick.frames, whisper.tick.seconds),
            self.out.language.as_deref(),
            self.cancel,
        )?;
        let timed = |segment: &TokenSegment| Timed {
            start: segment.start,
            end: segment.end,
            tokens: segment.tokens.iter().filter(is_text).count(),
            words: Vec::new(),
        };
        let mut timed: Vec<Timed> = segments.iter().map(timed).collect();
        assign(&mut timed, words, window.start(), self.last_speech);
        let last_word = timed
            .iter()
            .rev()
            .flat_map(|segment| segment.words.last())
            .map(|word| word.end)
            .next();
        let last_end = last_word.or_else(|| timed.last().map(|segment| segment.end));
        for (segment, timed) in segments.iter_mut().zip(timed) {
            (segment.start, segment.end) = (timed.start, timed.end);
            segment.words = timed
                .words
                .into_iter()
                .map(|word| TokenWord::of(word, true))
                .collect();
        }
        let mut advance = cut.advance;
        if let Some(end) = last_end {
            self.last_speech = end;
            if !cut.finished && end > window.start() {
                advance = ((end * FRAME_RATE).round() as usize).saturating_sub(window.seek);
            }
        }
        Ok(advance)
    }

    /// Words by shares of their segment's time.
    fn share(&self, segments: &mut [TokenSegment], decoded: &Decoded, cut: &Cut) -> Result<(), WhisperError> {
        let vocabulary = &self.whisper.vocabulary;
        for (segment, slice) in segments.iter_mut().zip(&cut.slices) {
            let said = slice
                .tokens
                .clone()
                .filter(|&index| vocabulary.is_text(decoded.tokens[index]));
            let (tokens, log_probs): (Vec<u32>, Vec<f32>) = said
                .map(|index| (decoded.tokens[index], decoded.log_probs[index]))
                .unzip();
            let times = (segment.start, segment.end);
            let words = by_share(
                vocabulary,
                &tokens,
                &log_probs,
                times,
                self.out.language.as_deref(),
            )?;
            segment.words = words.into_iter().map(|word| TokenWord::of(word, false)).collect();
        }
        Ok(())
    }
}

fn is_silence(decoded: &Decoded, limit: Thresholds) -> bool {
    decoded.no_speech_prob > limit.no_speech && decoded.avg_log_prob <= limit.log_prob
}
