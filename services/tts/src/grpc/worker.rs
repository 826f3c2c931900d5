//! The thread of a stream: takes what came, speaks what is queued, and looks for a cancel while it speaks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use polyphony_chassis::duplex::{Command, Inbox, Outbox, Stop, What};
use polyphony_chassis::places::StreamPlace;
use polyphony_error::Fault;
use polyphony_proto::tts::v1 as pb;
use polyphony_proto::tts::v1::streaming_synthesize_response::Event;
use polyphony_proto::types::v1 as types;
use polyphony_wire::{Spent, wire_duration};
use tonic::Status;

use super::frames::Frames;
use super::progress::{Now, Spoken};
use super::reply::Reply;
use super::stream::{Hush, Sent};
use crate::ahead::{Ahead, Lead};
use crate::casting::Cast;
use crate::convert::input::{Input, Limit, document, plain};
use crate::convert::response;
use crate::domain::Piece;
use crate::metrics::{self, Mode};
use crate::session::{MOST_MARKERS, Session, Speech, Task};
use crate::sound::Sound;

/// A stream's work.
pub(super) struct Worker {
    cast: Cast,
    session: Session,
    sound: Sound,
    frames: Frames,
    reply: Reply,
    /// How long words wait for the end of their clause.
    patience: Option<Duration>,
    /// Where the text begins that waits, and since when.
    waiting: Option<(u64, Instant)>,
    most_characters: usize,
    /// How the stream ends when all is spoken.
    closing: Option<Result<(), Status>>,
    spoken: Spoken,
    /// What is spoken now, if anything.
    now: Option<Now>,
    /// What is made already of what is spoken next.
    ahead: Option<Ahead>,
    hush: Arc<Hush>,
    busy: Duration,
    _place: StreamPlace,
}

/// Where the input of a stream stands.
const INPUT: &str = "input.";
/// As long as so much text waits to be spoken, no more is taken in.
const MOST_BACKLOG: u64 = 256 << 10;
/// Looks for a cancel in a second of audio.
const LOOKS: u32 = 10;

// === impl Worker ===

impl Worker {
    pub(super) fn new(
        cast: Cast,
        patience: Option<Duration>,
        most_characters: usize,
        id: String,
        place: StreamPlace,
        outbox: Outbox<pb::StreamingSynthesizeResponse>,
        hush: Arc<Hush>,
    ) -> Result<Self, Fault> {
        Ok(Self {
            session: Session::new(cast.pronunciations.clone()),
            sound: Sound::new(cast.encoding, "streaming_config.config.audio_config.")?,
            frames: Frames::default(),
            reply: Reply::new(outbox, id),
            cast,
            patience,
            waiting: None,
            most_characters,
            closing: None,
            spoken: Spoken::default(),
            now: None,
            ahead: None,
            hush,
            busy: Duration::ZERO,
            _place: place,
        })
    }

    /// Works until the stream is over. Blocks.
    pub(super) fn run(mut self, mut commands: Inbox<Sent>) {
        let span = tracing::info_span!("stream", id = %self.reply.id());
        let _entered = span.enter();
        let served = self.serve(&mut commands);
        let (audio, spoken) = (self.sound.length(), self.spoken);
        let engine = self.cast.first().synthesizer.engine.info().made.engine;
        metrics::spoken(engine, Mode::Stream, audio, self.busy, spoken.characters);
        tracing::debug!(?audio, spoken = spoken.bytes, busy = ?self.busy, "stream over");
        match served {
            Ok(()) => self.end(),
            Err(Stop::Gone) => {}
            Err(Stop::Failed(status)) => self.reply.fail(status),
        }
    }

    fn serve(&mut self, commands: &mut Inbox<Sent>) -> Result<(), Stop> {
        self.send_ready()?;
        loop {
            self.look(commands)?;
            match self.session.next_task() {
                Some(Task::Speak(speech)) => self.speak(speech, commands)?,
                Some(Task::Marker(id)) => self.reply.send(Event::Marker(types::Marker { id }))?,
                None => match self.closing.take() {
                    Some(closing) => return closing.map_err(Stop::Failed),
                    None => self.wait(commands)?,
                },
            }
        }
    }

    /// Waits for what comes next, and no longer than words may wait for the end of their clause.
    fn wait(&mut self, commands: &mut Inbox<Sent>) -> Result<(), Stop> {
        let due = self
            .waiting
            .zip(self.patience)
            .map(|((_, since), patience)| since + patience);
        let next = match due {
            None => commands.recv(),
            Some(due) => match commands.recv_within(due.saturating_duration_since(Instant::now())) {
                Ok(next) => next,
                Err(_) => {
                    self.session.release();
                    // What is left, the beginning of a word, waits anew.
                    self.waiting = None;
                    self.watch();
                    return Ok(());
                }
            },
        };
        // A reader that ended without a word was stopped because the client is gone.
        self.take(next.ok_or(Stop::Gone)?)
    }

    /// Takes in what has come, unless there is enough to do.
    fn look(&mut self, commands: &mut Inbox<Sent>) -> Result<(), Stop> {
        while self.closing.is_none() && self.session.backlog() < MOST_BACKLOG {
            let Some(command) = commands.try_recv() else { break };
            self.take(command)?;
        }
        Ok(())
    }

    fn take(&mut self, command: Command<Sent>) -> Result<(), Stop> {
        match command.what {
            What::Message(Sent::Input(input)) => self.input(input)?,
            What::Message(Sent::Flush) => self.session.flush(),
            What::Message(Sent::Cancel) => self.cancel()?,
            What::Message(Sent::Marker(id)) => {
                if !self.session.marker(id) {
                    let text = format!("{MOST_MARKERS} markers wait already; wait for some of them");
                    let fault = Fault::exhausted("TOO_MANY_MARKERS", "marker", text, None);
                    return Err(fault.into());
                }
            }
            What::End => {
                self.session.flush();
                self.closing = Some(Ok(()));
            }
            What::Silence(status) => {
                self.session.flush();
                self.closing = Some(Err(status));
            }
            What::Fail(status) => return Err(Stop::Failed(status)),
        }
        self.watch();
        Ok(())
    }

    /// Notes since when text waits for the end of its clause.
    fn watch(&mut self) {
        let place = self.session.pending();
        if place != self.waiting.map(|(place, _)| place) {
            self.waiting = place.map(|place| (place, Instant::now()));
        }
    }

    fn input(&mut self, wire: pb::StreamingSynthesisInput) -> Result<(), Fault> {
        let limit = Limit {
            path: INPUT,
            most: self.most_characters,
        };
        match Input::parse_more(wire, limit)? {
            Input::Text(text) => self.session.text(&text),
            Input::Ssml(text) => {
                let language = &self.cast.first().language;
                let items = document(&text, self.session.received(), language, INPUT)?;
                self.session.document(0, items, text.len());
            }
            Input::Turns(turns) => {
                let mut speakers = Vec::with_capacity(turns.len());
                for (at, turn) in turns.iter().enumerate() {
                    let field = format!("{INPUT}multi_speaker.turns[{at}].speaker_alias");
                    speakers.push(self.cast.speaker(&turn.alias, &field)?);
                }
                for (speaker, turn) in speakers.into_iter().zip(turns) {
                    let items = plain(&turn.text, self.session.received());
                    self.session.document(speaker, items, turn.text.len());
                }
            }
        }
        Ok(())
    }

    /// Drops what is not spoken yet, and stops what is.
    fn cancel(&mut self) -> Result<(), Stop> {
        self.session.cancel();
        self.ahead = None;
        let length = self.sound.length();
        if let Some(now) = self.now.as_mut() {
            self.spoken.add(now.cut(length));
        }
        self.frames.forget_after(length);
        self.reply.send(Event::Cancelled(pb::SpeechCancelled {
            audio_offset: Some(wire_duration(length)),
            spoken_bytes: self.spoken.bytes,
        }))
    }

    fn speak(&mut self, speech: Speech, commands: &mut Inbox<Sent>) -> Result<(), Stop> {
        let Speech {
            speaker,
            items,
            source,
            characters,
        } = speech;
        let utterance = self.cast.utterance(speaker, items);
        let engine = Arc::clone(&self.cast.speakers[speaker].synthesizer.engine);
        self.sound.begin(engine.info().sample_rate)?;
        let stop = self.hush.begin();
        let (began, waited) = (Instant::now(), self.reply.waited());
        self.now = Some(Now::new(stop.clone(), began));
        let rate = engine.info().sample_rate;
        let mut given = Ok(());
        let (ahead, mut lead) = (self.ahead.take(), Lead::default());
        let spoke = Ahead::speak(ahead, &*engine, &utterance, &stop, &mut |piece| {
            let enough = lead.add(piece.samples.len(), rate);
            if given.is_ok() {
                given = self.give(piece, rate, commands);
            }
            if given.is_ok() && enough && self.ahead.is_none() {
                self.go_ahead();
            }
            if given.is_err() {
                stop.cancel();
            }
        });
        let now = self.now.take();
        // Waiting for a client that reads slowly is no work.
        self.busy += began.elapsed().saturating_sub(self.reply.waited() - waited);
        given?;
        if now.is_some_and(|now| now.is_cut()) {
            return Ok(());
        }
        spoke?;
        let mut bytes = Vec::new();
        self.sound.end(&mut bytes)?;
        self.send_audio(bytes)?;
        self.spoken.add(Spoken {
            bytes: source.end,
            characters,
        });
        Ok(())
    }

    /// Begins what is spoken next, if it is known.
    fn go_ahead(&mut self) {
        let Some(next) = self.session.next_speech() else {
            return;
        };
        let utterance = self.cast.utterance(next.speaker, next.items.clone());
        let engine = Arc::clone(&self.cast.speakers[next.speaker].synthesizer.engine);
        self.ahead = Some(Ahead::begin(engine, utterance));
    }

    /// Sends a piece of audio step by step, looking for a cancel before each.
    fn give(&mut self, piece: Piece, rate: u32, commands: &mut Inbox<Sent>) -> Result<(), Stop> {
        let Piece {
            samples,
            words,
            marks,
        } = piece;
        let (begin, manner) = (self.sound.at(Duration::ZERO), self.cast.manner);
        for word in words {
            if let Some(now) = &mut self.now {
                now.word(&word, begin);
            }
            let start = begin + word.start;
            self.frames.word(start, response::word(word, begin, manner));
        }
        for mark in marks {
            let at = begin + mark.at;
            self.frames.mark(at, response::timepoint(mark, begin));
        }
        for step in samples.chunks((rate / LOOKS).max(1) as usize) {
            self.look(commands)?;
            if self.now.as_ref().is_some_and(Now::is_cut) {
                return Ok(());
            }
            let mut bytes = Vec::new();
            self.sound.push(step, &mut bytes)?;
            self.send_audio(bytes)?;
        }
        Ok(())
    }

    /// Sends what was encoded, and all that the encoder can be made to give.
    fn send_audio(&mut self, mut bytes: Vec<u8>) -> Result<(), Stop> {
        self.sound.flush(&mut bytes)?;
        if bytes.is_empty() {
            return Ok(());
        }
        if let Some(after) = self.now.as_mut().and_then(Now::heard) {
            let engine = self.cast.first().synthesizer.engine.info().made.engine;
            metrics::first_audio(engine, after);
        }
        for frame in self.frames.cut(bytes, self.sound.heard()) {
            self.reply.send(Event::Audio(frame))?;
        }
        Ok(())
    }

    fn send_ready(&mut self) -> Result<(), Stop> {
        let receipt = self.receipt(None);
        let ready = pb::StreamingSynthesizeReady {
            session_id: self.reply.id().to_owned(),
            effective_config: Some(pb::StreamingSynthesisConfig {
                config: Some(self.cast.effective.clone()),
                max_buffer_duration: self.patience.map(wire_duration),
            }),
            receipt: Some(receipt),
        };
        self.reply.send(Event::Ready(ready))
    }

    fn receipt(&self, inference: Option<Duration>) -> types::Receipt {
        let speakers = self.cast.speakers.iter();
        let spent = Spent {
            load: speakers.filter_map(|speaker| speaker.synthesizer.load).max(),
            inference,
            ..Spent::default()
        };
        let made = &self.cast.first().synthesizer.engine.info().made;
        response::told(self.reply.id(), made, spent, self.cast.manner)
    }

    /// Sends what the encoder held back, and the last message.
    fn end(self) {
        let receipt = self.receipt(Some(self.busy));
        let Self {
            sound,
            mut frames,
            mut reply,
            spoken,
            ..
        } = self;
        let (length, mut bytes) = (sound.length(), Vec::new());
        let ended = match sound.finish(&mut bytes) {
            // A head to be written anew is of files only, which are not streamed.
            Ok(_) => {
                let rest = frames.finish(bytes, length).into_iter().map(Event::Audio);
                let ended = Event::Ended(pb::StreamingSynthesizeEnded {
                    audio_duration: Some(wire_duration(length)),
                    character_count: spoken.characters,
                    receipt: Some(receipt),
                });
                rest.chain([ended]).try_for_each(|event| reply.send(event))
            }
            Err(error) => Err(error.into()),
        };
        if let Err(Stop::Failed(status)) = ended {
            reply.fail(status);
        }
    }
}
