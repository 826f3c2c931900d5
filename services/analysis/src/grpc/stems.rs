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
/// Frames that FLAC is given at once.
const STEP: usize = 1_024;

/// Encodes stems.
pub(super) struct Stems {
    names: Vec<String>,
    settings: Settings,
    encoders: Vec<Encoder>,
    /// All of the mix, if it is known.
    total: Option<Duration>,
    /// Of each stem, the first frame that was not sent.
    next: Vec<u64>,
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
            next: vec![0; names.len()],
            names,
            settings,
            total,
            bytes: Vec::new(),
        })
    }

    /// The bytes of a frame; how many those are in FLAC, it alone knows.
    const fn frame_bytes(&self) -> Option<usize> {
        let channels = self.settings.spec.channels.count();
        match self.settings.format {
            Format::Linear16 => Some(2 * channels),
            Format::Float32 => Some(4 * channels),
            _ => None,
        }
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
        for (at, encoder) in std::mem::take(&mut self.stems.encoders).into_iter().enumerate() {
            self.stems.bytes.clear();
            // A stream cannot go back to its beginning; a FLAC that does not say its length is whole all the same.
            encoder
                .finish(&mut self.stems.bytes)
                .map_err(|error| Error::engine("encoder", error))?;
            self.cut(at)?;
        }
        Ok(())
    }

    /// Sends what lies in `bytes` of stem `at` in pieces; the first begins with its next frame.
    fn cut(&mut self, at: usize) -> Result<(), Error> {
        let frame = self.stems.frame_bytes();
        let Stems {
            names,
            settings,
            bytes,
            next,
            ..
        } = &*self.stems;
        let start = next[at];
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
        let channels = self.stems.settings.spec.channels.count();
        // FLAC gives nothing until a block of its own is full: with little at once it is known where that begins.
        let step = match self.stems.frame_bytes() {
            Some(_) => block.samples().max(1),
            None => STEP * channels,
        };
        for (at, samples) in block.stems.iter().enumerate() {
            let mut end = block.start;
            for samples in samples.chunks(step) {
                let Stems { encoders, bytes, .. } = &mut *self.stems;
                let Some(encoder) = encoders.get_mut(at) else {
                    break;
                };
                bytes.clear();
                encoder
                    .push(samples, bytes)
                    .map_err(|error| Error::engine("encoder", error))?;
                end += (samples.len() / channels) as u64;
                if !self.stems.bytes.is_empty() {
                    self.cut(at)?;
                    self.stems.next[at] = end;
                }
            }
        }
        Ok(())
    }

    fn progress(&mut self, done: Duration) -> Result<(), Error> {
        (self.send)(Event::Progress(pb::SeparationProgress {
            done_duration: Some(wire_duration(done)),
            total_duration: self.stems.total.map(wire_duration),
        }))
    }
}

#[cfg(test)]
mod tests {
    use polyphony_audio::decode::decode;
    use polyphony_audio::limits::{Cancel, Limits};
    use polyphony_audio::pcm::Spec;

    use super::*;

    const FRAMES: usize = 40_000;

    /// One stereo stem, given in blocks of odd sizes.
    fn chunks(format: Format) -> Vec<pb::StemChunk> {
        let settings = Settings {
            format,
            spec: Spec::new(44_100, 2).expect("valid"),
            bit_rate: 0,
        };
        let mut stems = Stems::new(vec!["drums".to_owned()], settings, None).expect("encoders");
        let mut chunks = Vec::new();
        let mut sink = stems.sink(|event| {
            if let Event::Chunk(chunk) = event {
                chunks.push(chunk);
            }
            Ok(())
        });
        let samples: Vec<f32> = (0..2 * FRAMES).map(|n| (n as f32 * 0.01).sin() * 0.5).collect();
        let mut start = 0;
        for frames in [1, 9_999, 20_000, 10_000] {
            let block = samples[2 * start..2 * (start + frames)].to_vec();
            sink.block(StemBlock {
                start: start as u64,
                stems: vec![block],
            })
            .expect("sent");
            start += frames;
        }
        sink.finish().expect("sent");
        chunks
    }

    fn frame(chunk: &pb::StemChunk) -> u64 {
        let start = chunk.start_offset.expect("a start");
        (start.seconds as f64 * 44_100.0 + f64::from(start.nanos) * 44_100.0 / 1e9).round() as u64
    }

    #[test]
    fn pieces_of_raw_stems_follow_one_another_and_are_small() {
        for (format, bytes) in [(Format::Linear16, 4), (Format::Float32, 8)] {
            let mut next = 0;
            for chunk in chunks(format) {
                assert!(chunk.audio_content.len() <= MOST_AUDIO);
                assert_eq!(frame(&chunk), next);
                next += (chunk.audio_content.len() / bytes) as u64;
            }
            assert_eq!(next, FRAMES as u64);
        }
    }

    #[test]
    fn pieces_of_a_flac_make_one_file_and_each_knows_its_block() {
        let chunks = chunks(Format::Flac);
        assert!(chunks.len() > 8);
        for (n, chunk) in chunks.iter().enumerate() {
            assert!(chunk.audio_content.len() <= MOST_AUDIO);
            // Those of one block of the encoder at a time, but for the first frame, which brings the header alone.
            let expected = 4_096 * n.saturating_sub(1) as u64;
            assert!(
                frame(chunk).abs_diff(expected) < STEP as u64,
                "{n}: {}",
                frame(chunk)
            );
        }
        let file: Vec<u8> = chunks.into_iter().flat_map(|chunk| chunk.audio_content).collect();
        let decoded = decode(&file, &Limits::default(), &Cancel::new()).expect("a FLAC");
        assert_eq!(decoded.pcm.frames(), FRAMES as u64);
    }
}
