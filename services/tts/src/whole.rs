//! One whole text from input to encoded audio: what `Synthesize` does.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use polyphony_chassis::places::{Patience, Places, WorkerPlace};
use polyphony_error::Fault;
use polyphony_proto::tts::v1 as pb;
use polyphony_wire::{Spent, wire_duration};
use prost::Message as _;
use tokio::task;

use crate::ahead::Ahead;
use crate::casting::{Cast, Casting};
use crate::clauses::{Cutting, parts};
use crate::convert::input::{Input, document, plain};
use crate::convert::request::Asked;
use crate::convert::response;
use crate::domain::{Cancel, Item, Piece};
use crate::metrics::{self, Mode};
use crate::session::Speech;
use crate::sound::Sound;

/// A text and how to speak it.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) asked: Asked,
    pub(crate) input: Input,
    /// The most bytes of the answer.
    pub(crate) most_bytes: u64,
}

/// What is made of a text.
struct Spoken {
    audio: Vec<u8>,
    words: Vec<pb::SpokenWord>,
    timepoints: Vec<pb::Timepoint>,
    length: Duration,
}

/// Where the input of `Synthesize` stands.
pub(crate) const INPUT: &str = "input.";
/// What an answer has besides audio, words and marks: the config, the receipt, and the lengths of it all.
const MARGIN: u64 = 16 << 10;
/// What a word takes in an answer, about.
const WORD_BYTES: u64 = 48;

/// Speaks a text. Dropping the future stops the engine at its next step.
pub(crate) async fn speak(
    wanted: Wanted,
    casting: Casting<'_>,
    places: &Places,
    request_id: &str,
) -> Result<pb::SynthesizeResponse, Fault> {
    let began = Instant::now();
    let cancel = Cancel::default();
    let _guard = cancel.on_drop();
    let Wanted {
        asked,
        input,
        most_bytes,
    } = wanted;
    let turns = matches!(input, Input::Turns(_));
    if !turns && !asked.speakers.is_empty() {
        let field = format!("{}speaker_voices", asked.path);
        return Err(Fault::invalid(
            field,
            "is for input.multi_speaker alone; leave it out, or send turns",
        ));
    }
    let place = places.worker(Patience::Queue).await?;
    let waited = place.waited;
    let audio_path = format!("{}audio_config.", asked.path);
    let cast = casting.cast(asked, turns).await?;
    let speeches = speeches(&cast, input)?;
    let sound = Sound::new(cast.encoding, &audio_path)?;
    let load = cast
        .speakers
        .iter()
        .filter_map(|speaker| speaker.synthesizer.load)
        .max();
    let work = task::spawn_blocking(move || {
        let _place: WorkerPlace = place;
        let began = Instant::now();
        let spoken = perform(&cast, speeches, sound, most_bytes, &cancel);
        (spoken, began.elapsed(), cast)
    });
    let (spoken, inference, cast) = work.await.map_err(Fault::internal)?;
    let Spoken {
        audio,
        words,
        timepoints,
        length,
    } = spoken?;
    let spent = Spent {
        queue: Some(waited),
        load,
        inference: Some(inference),
        total: Some(began.elapsed()),
    };
    let made = &cast.first().synthesizer.engine.info().made;
    let answer = pb::SynthesizeResponse {
        audio_content: audio.into(),
        words,
        timepoints,
        audio_duration: Some(wire_duration(length)),
        receipt: Some(response::told(request_id, made, spent, cast.manner)),
        effective_config: Some(cast.effective),
    };
    if answer.encoded_len() as u64 > most_bytes {
        return Err(too_large(most_bytes));
    }
    Ok(answer)
}

/// The input as what is spoken at once, each by its speaker.
fn speeches(cast: &Cast, input: Input) -> Result<Vec<Speech>, Fault> {
    let mut spoken: Vec<(usize, Vec<Item>)> = Vec::new();
    match input {
        Input::Text(text) => spoken.push((0, plain(&text, 0))),
        Input::Ssml(text) => {
            let language = &cast.first().language;
            spoken.push((0, document(&text, 0, language, INPUT)?));
        }
        Input::Turns(turns) => {
            // Places count through all turns, one after the other.
            let mut place = 0;
            for (at, turn) in turns.into_iter().enumerate() {
                let field = format!("{INPUT}multi_speaker.turns[{at}].speaker_alias");
                let speaker = cast.speaker(&turn.alias, &field)?;
                spoken.push((speaker, plain(&turn.text, place)));
                place += turn.text.len() as u64;
            }
        }
    }
    let mut speeches = Vec::new();
    for (speaker, items) in spoken {
        for items in parts(items, Cutting::SENTENCES) {
            speeches.push(Speech::new(speaker, items, &cast.pronunciations));
        }
    }
    Ok(speeches)
}

/// Speaks all of it. Blocks.
fn perform(
    cast: &Cast,
    speeches: Vec<Speech>,
    mut sound: Sound,
    most_bytes: u64,
    cancel: &Cancel,
) -> Result<Spoken, Fault> {
    let began = Instant::now();
    let mut spoken = Spoken {
        audio: Vec::new(),
        words: Vec::new(),
        timepoints: Vec::new(),
        length: Duration::ZERO,
    };
    let mut characters = 0;
    let (mut speeches, mut ahead) = (VecDeque::from(speeches), None);
    while let Some(speech) = speeches.pop_front() {
        let engine = &cast.speakers[speech.speaker].synthesizer.engine;
        let utterance = cast.utterance(speech.speaker, speech.items);
        sound.begin(engine.info().sample_rate)?;
        let begin = sound.at(Duration::ZERO);
        let mut failed = Ok(());
        let mut full = false;
        let begun = ahead.take();
        let spoke = Ahead::speak(begun, &**engine, &utterance, cancel, &mut |piece| {
            if let Some(next) = speeches.front().filter(|_| ahead.is_none()) {
                let engine = Arc::clone(&cast.speakers[next.speaker].synthesizer.engine);
                let utterance = cast.utterance(next.speaker, next.items.clone());
                ahead = Some(Ahead::begin(engine, utterance));
            }
            let Piece {
                samples,
                words,
                marks,
            } = piece;
            if failed.is_err() || full {
                return;
            }
            failed = sound.push(&samples, &mut spoken.audio);
            let words = words.into_iter();
            spoken
                .words
                .extend(words.filter_map(|word| response::word(word, begin, cast.manner)));
            let marks = marks.into_iter();
            spoken
                .timepoints
                .extend(marks.map(|mark| response::timepoint(mark, begin)));
            let bytes = spoken.audio.len() as u64 + spoken.words.len() as u64 * WORD_BYTES + MARGIN;
            full = bytes > most_bytes;
            if failed.is_err() || full {
                cancel.cancel();
            }
        });
        failed?;
        if full {
            return Err(too_large(most_bytes));
        }
        spoke?;
        sound.end(&mut spoken.audio)?;
        characters += speech.characters;
    }
    spoken.length = sound.length();
    let head = sound.finish(&mut spoken.audio)?;
    if let Some(begin) = spoken.audio.get_mut(..head.len()) {
        begin.copy_from_slice(&head);
    }
    let engine = cast.first().synthesizer.engine.info().made.engine;
    metrics::spoken(engine, Mode::Whole, spoken.length, began.elapsed(), characters);
    Ok(spoken)
}

fn too_large(most: u64) -> Fault {
    let message = format!(
        "the audio is larger than an answer may be, {most} bytes (tts.server.limits.max_send_message); \
         ask for OGG_OPUS or MP3, send less text, or use StreamingSynthesize"
    );
    Fault::exhausted(
        "AUDIO_TOO_LARGE",
        "tts.server.limits.max_send_message",
        message,
        None,
    )
}
