//! Stems on their way to the wire: encoded, and cut into pieces.

use std::time::Duration;

use polyphony_audio::encode::{Encoder, Format, Settings};
use polyphony_error::Fault;
use polyphony_proto::analysis::v1 as pb;
use polyphony_proto::analysis::v1::separate_response::Event;
use polyphony_wire::wire_duration;

use crate::domain::StemBlock;
use crate::engine::{Error, StemSink};

/// The largest piece of a stem.
const MOST_AUDIO: usize = 32 << 10;

/// Encodes stems.
pub(super) struct Stems {
    names: Vec<String>,
    settings: Settings,
    encoders: Vec<Encoder>,
    /// All of the mix, if it is known.
    total: Option<Duration>,
    /// Frames given to the encoders.
    taken: u64,
    bytes: Vec<u8>,
}

/// Where an engine puts stems: they are encoded and sent in pieces.
pub(super) struct Sink<'a, F> {
    stems: &'a mut Stems,
    send: F,
}

// === impl Stems ===

impl Stems {
    /// For the stems of these names.
    pub(super) fn new(
        names: Vec<String>,
        settings: Settings,
        total: Option<Duration>,
    ) -> Result<Self, Fault> {
        let encoders = names.iter().map(|_| Encoder::new(settings));
        Ok(Self {
            encoders: encoders.collect::<Result<_, _>>().map_err(Fault::internal)?,
            names,
            settings,
            total,
            taken: 0,
            bytes: Vec::new(),
        })
    }

    /// `send` takes what goes to the client.
    pub(super) const fn sink<F: FnMut(Event) -> Result<(), Error>>(&mut self, send: F) -> Sink<'_, F> {
        Sink { stems: self, send }
    }
}

// === impl Sink ===

impl<F: FnMut(Event) -> Result<(), Error>> Sink<'_, F> {
    /// What the encoders held back. Nothing may be given after it.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        let start = self.stems.taken;
        for (at, encoder) in std::mem::take(&mut self.stems.encoders).into_iter().enumerate() {
            self.stems.bytes.clear();
            // A stream cannot go back to its beginning; a FLAC that does not say its length is whole all the same.
            encoder
                .finish(&mut self.stems.bytes)
                .map_err(|error| Error::engine("encoder", error))?;
            self.cut(at, start)?;
        }
        Ok(())
    }

    /// Sends what lies in `bytes` of stem `at` in pieces; the first holds the frame `start`.
    fn cut(&mut self, at: usize, start: u64) -> Result<(), Error> {
        let Stems {
            names,
            settings,
            bytes,
            ..
        } = &*self.stems;
        let channels = settings.spec.channels.count();
        let frame = match settings.format {
            Format::Linear16 => Some(2 * channels),
            Format::Float32 => Some(4 * channels),
            // How many frames a byte is, FLAC alone knows.
            _ => None,
        };
        let piece = frame.map_or(MOST_AUDIO, |frame| MOST_AUDIO / frame * frame);
        for (n, bytes) in bytes.chunks(piece).enumerate() {
            let before = frame.map_or(0, |frame| n * piece / frame) as u64;
            let offset = settings.spec.rate.duration(start + before);
            (self.send)(Event::Chunk(pb::StemChunk {
                stem: names[at].clone(),
                start_offset: Some(wire_duration(offset)),
                audio_content: bytes.to_vec().into(),
            }))?;
        }
        Ok(())
    }
}

impl<F: FnMut(Event) -> Result<(), Error>> StemSink for Sink<'_, F> {
    fn block(&mut self, block: StemBlock) -> Result<(), Error> {
        let frames = block.samples() / self.stems.settings.spec.channels.count();
        for (at, samples) in block.stems.iter().enumerate() {
            let Stems { encoders, bytes, .. } = &mut *self.stems;
            let Some(encoder) = encoders.get_mut(at) else {
                break;
            };
            bytes.clear();
            encoder
                .push(samples, bytes)
                .map_err(|error| Error::engine("encoder", error))?;
            self.cut(at, block.start)?;
        }
        self.stems.taken = block.start + frames as u64;
        Ok(())
    }

    fn progress(&mut self, done: Duration) -> Result<(), Error> {
        (self.send)(Event::Progress(pb::SeparationProgress {
            done_duration: Some(wire_duration(done)),
            total_duration: self.stems.total.map(wire_duration),
        }))
    }
}
