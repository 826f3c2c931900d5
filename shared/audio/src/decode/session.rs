//! One demuxer and one decoder of symphonia at work, with everything around them that hostile input needs.
//!
//! symphonia is asked for one packet at a time. Each call is under `catch_unwind` (its demuxers and decoders have
//! panicked on crafted files: symphonia issues 431, 489, 490); reads are watched ([`Watch`]); runs of packets without
//! sound, changes of format, lengths and the time it all takes are limited here.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder};
use symphonia::core::errors::Error as Cause;
use symphonia::core::formats::{FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::packet::Packet;
use symphonia::core::units::TimeBase;
use symphonia::default::formats::{FlacReader, IsoMp4Reader, MkvReader, MpaReader, OggReader};

use crate::Error;
use crate::decode::codecs;
use crate::decode::edits::Edits;
use crate::decode::source::Watch;
use crate::limits::Limits;
use crate::meter::Meter;
use crate::pcm::Pcm;
use crate::probe::Container;

/// Packets in a row that may fail to decode. MP3 cut in the middle needs two; half a second is damage.
const MAX_FAILED: u32 = 24;
/// Packets in a row that may hold no sound, such as those of other tracks.
const MAX_SILENT: u32 = 100_000;
/// The longest packet of any codec here is 65 535 frames of FLAC; concealment is bounded by it.
const MAX_PACKET_FRAMES: u64 = 65_535;
/// An MP3 length counts whole frames, of which encoders and decoders disagree about one at the edges.
const MP3_SLACK: u64 = 1152;
/// Matroska lengths are rounded and include the codec's delay.
const MATROSKA_SLACK: Duration = Duration::from_millis(500);

/// Decodes the first audio track.
pub(crate) struct Session<'a> {
    reader: Box<dyn FormatReader + 'a>,
    decoder: Box<dyn AudioDecoder>,
    track: u32,
    time_base: Option<TimeBase>,
    alone: bool,
    meter: Meter,
    watch: Watch,
    edits: Edits,
    is_cut: bool,
    failed: u32,
    silent: u32,
    concealed: u64,
    last_frames: u64,
    patience: Option<Duration>,
    spent: Duration,
}

// === impl Session ===

impl<'a> Session<'a> {
    pub(crate) fn open(
        container: Container,
        source: Box<dyn MediaSource + 'a>,
        limits: &Limits,
        watch: Watch,
    ) -> Result<Self, Error> {
        let mut meter = Meter::new(limits.clone(), container);
        let reader = guard(container, || demuxer(container, source))?
            .map_err(|cause| opening_error(&cause, &meter, &watch))?;
        watch.check()?;
        watch.header_done();
        let track = audio_track(reader.as_ref()).ok_or(Error::NoAudioTrack { container })?;
        let params = audio_params(track).ok_or(Error::NoAudioTrack { container })?;
        declare(&mut meter, reader.as_ref(), track, params)?;
        let decoder = make_decoder(container, params)?;
        let (track, time_base) = (track.id, track.time_base);
        Ok(Self {
            alone: reader.tracks().len() == 1,
            reader,
            decoder,
            track,
            time_base,
            meter,
            watch,
            edits: Edits::default(),
            is_cut: false,
            failed: 0,
            silent: 0,
            concealed: 0,
            last_frames: 0,
            patience: None,
            spent: Duration::ZERO,
        })
    }

    /// What an MP4 says and the demuxer does not apply: frames to leave out at both ends, and that its end is missing.
    pub(crate) fn trim(&mut self, edits: Option<Edits>, is_cut: bool) {
        self.edits = edits.unwrap_or_default();
        self.is_cut = is_cut;
    }

    /// Refuses input that takes longer than half of its own length and `patience`.
    pub(crate) const fn limit_time(&mut self, patience: Duration) {
        self.patience = Some(patience);
    }

    pub(crate) const fn meter(&self) -> &Meter {
        &self.meter
    }

    pub(crate) fn concealed(&self) -> Duration {
        self.meter
            .spec
            .map_or(Duration::ZERO, |spec| spec.rate.duration(self.concealed))
    }

    pub(crate) fn next_block(&mut self) -> Result<Option<Pcm>, Error> {
        let start = Instant::now();
        loop {
            self.watch.check()?;
            self.check_time(start)?;
            let Some(packet) = self.next_packet()? else {
                self.finish()?;
                return Ok(None);
            };
            let pcm = if packet.track_id == self.track {
                self.decode(&packet)?
            } else {
                None
            };
            if let Some(pcm) = pcm.and_then(|pcm| self.edits.apply(pcm)) {
                self.silent = 0;
                self.spent += start.elapsed();
                return Ok(Some(pcm));
            }
            self.silent += 1;
            if self.silent > MAX_SILENT {
                return Err(self
                    .meter
                    .corrupt("it has packets without end and no sound in them"));
            }
        }
    }

    fn next_packet(&mut self) -> Result<Option<Packet>, Error> {
        let container = self.meter.container;
        loop {
            let reader = &mut self.reader;
            match guard(container, || reader.next_packet())? {
                Ok(packet) => return Ok(packet),
                // A further Ogg stream is chained behind the first.
                Err(Cause::ResetRequired) => self.restart()?,
                Err(cause) => {
                    self.watch.check()?;
                    return Err(match cause {
                        // A live recording of unknown size.
                        Cause::IoError(_) if self.watch.is_whole() => return Ok(None),
                        Cause::IoError(_) => self.meter.truncated(),
                        _ if self.is_cut => self.meter.truncated(),
                        Cause::DecodeError(reason)
                        | Cause::Unsupported(reason)
                        | Cause::LimitError(reason) => self.meter.corrupt(reason),
                        _ => self.meter.corrupt("its packets cannot be told apart"),
                    });
                }
            }
        }
    }

    fn decode(&mut self, packet: &Packet) -> Result<Option<Pcm>, Error> {
        let container = self.meter.container;
        let decoder = &mut self.decoder;
        let decoded = guard(container, || {
            decoder.decode(packet).map(|audio| {
                let mut samples = Vec::new();
                audio.copy_to_vec_interleaved(&mut samples);
                let spec = audio.spec();
                (spec.rate(), spec.channels().count() as u32, samples)
            })
        })?;
        match decoded {
            Ok((rate, channels, samples)) => {
                self.failed = 0;
                if samples.is_empty() {
                    return Ok(None);
                }
                let pcm = self.meter.admit(rate, channels, samples)?;
                self.last_frames = pcm.frames();
                Ok(Some(pcm))
            }
            Err(Cause::Unsupported(what)) if self.meter.frames == 0 => Err(Error::UnsupportedCodec {
                container,
                codec: what.into(),
            }),
            Err(_) => self.conceal(packet),
        }
    }

    /// Silence in place of a packet that cannot be decoded.
    fn conceal(&mut self, packet: &Packet) -> Result<Option<Pcm>, Error> {
        self.failed += 1;
        if self.failed > MAX_FAILED {
            return Err(self.meter.corrupt("too many packets in a row cannot be decoded"));
        }
        let Some(spec) = self.meter.spec else {
            return Ok(None);
        };
        let frames = self
            .time_base
            .and_then(|base| frames_of(packet.dur.get(), base, spec.rate.hz()))
            .filter(|frames| *frames > 0)
            .map_or(self.last_frames, |frames| frames.min(MAX_PACKET_FRAMES));
        if frames == 0 {
            return Ok(None);
        }
        self.concealed += frames;
        let silence = vec![0.0; frames as usize * spec.channels.count()];
        self.meter
            .admit(spec.rate.hz(), spec.channels.count() as u32, silence)
            .map(Some)
    }

    fn restart(&mut self) -> Result<(), Error> {
        let container = self.meter.container;
        let track = audio_track(self.reader.as_ref()).ok_or(Error::NoAudioTrack { container })?;
        let params = audio_params(track).ok_or(Error::NoAudioTrack { container })?;
        self.decoder = make_decoder(container, params)?;
        (self.track, self.time_base) = (track.id, track.time_base);
        // The parts add up; what the first one declared no longer says anything.
        self.meter.declared = None;
        // Tags of every part would pile up.
        let mut metadata = self.reader.metadata();
        while metadata.pop().is_some() {}
        Ok(())
    }

    fn finish(&self) -> Result<(), Error> {
        let missing = self
            .meter
            .declared
            .map_or(0, |declared| declared.saturating_sub(self.meter.frames));
        let slack = match self.meter.container {
            Container::Mp3 => MP3_SLACK,
            // Another track may rightly be longer than the sound.
            Container::Matroska if self.alone => {
                self.meter.spec.map_or(0, |spec| spec.rate.frames(MATROSKA_SLACK))
            }
            Container::Flac => 0,
            // The others say themselves when their end is missing.
            _ => u64::MAX,
        };
        if missing > slack {
            return Err(self.meter.truncated());
        }
        self.meter.finish()
    }

    fn check_time(&self, start: Instant) -> Result<(), Error> {
        let Some(patience) = self.patience else {
            return Ok(());
        };
        if self.spent + start.elapsed() > patience + self.meter.decoded() / 2 {
            return Err(Error::TooSlow);
        }
        Ok(())
    }
}

impl fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("track", &self.track)
            .field("meter", &self.meter)
            .finish_non_exhaustive()
    }
}

/// Runs symphonia; a panic of its becomes an error of ours. What it left behind is dropped and not used again.
fn guard<T>(container: Container, run: impl FnOnce() -> T) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|_| Error::DecoderFailed { container })
}

fn demuxer<'a>(
    container: Container,
    source: Box<dyn MediaSource + 'a>,
) -> Result<Box<dyn FormatReader + 'a>, Cause> {
    let stream = MediaSourceStream::new(source, Default::default());
    let options = FormatOptions::default();
    Ok(match container {
        Container::Flac => Box::new(FlacReader::try_new(stream, options)?),
        Container::Mp3 => Box::new(MpaReader::try_new(stream, options)?),
        Container::Ogg => Box::new(OggReader::try_new(stream, options)?),
        Container::Mp4 => Box::new(IsoMp4Reader::try_new(stream, options)?),
        Container::Matroska => Box::new(MkvReader::try_new(stream, options)?),
        Container::Wav | Container::Raw => return Err(Cause::Unsupported("not read by symphonia")),
    })
}

fn opening_error(cause: &Cause, meter: &Meter, watch: &Watch) -> Error {
    if let Err(stopped) = watch.check() {
        return stopped;
    }
    match cause {
        Cause::IoError(_) | Cause::Unsupported("isomp4: missing moov atom") => meter.truncated(),
        Cause::DecodeError(reason) | Cause::Unsupported(reason) | Cause::LimitError(reason) => {
            meter.corrupt(reason)
        }
        _ => meter.corrupt("its header cannot be read"),
    }
}

fn audio_track<'r>(reader: &'r (dyn FormatReader + '_)) -> Option<&'r Track> {
    reader.default_track(TrackType::Audio)
}

fn audio_params(track: &Track) -> Option<&AudioCodecParameters> {
    track.codec_params.as_ref().and_then(CodecParameters::audio)
}

fn make_decoder(container: Container, params: &AudioCodecParameters) -> Result<Box<dyn AudioDecoder>, Error> {
    guard(container, || codecs::decoder(params))?
        .map_err(|codec| Error::UnsupportedCodec { container, codec })
}

fn declare(
    meter: &mut Meter,
    reader: &dyn FormatReader,
    track: &Track,
    params: &AudioCodecParameters,
) -> Result<(), Error> {
    // Where the header leaves them open, the first decoded packet tells.
    let (Some(rate), Some(channels)) = (params.sample_rate, params.channels.as_ref()) else {
        return Ok(());
    };
    let media = reader.media_info();
    let frames = track
        .num_frames
        .or_else(|| frames_of(track.duration?.get(), track.time_base?, rate))
        .or_else(|| frames_of(media.duration?.get(), media.time_base?, rate));
    meter.declare(rate, channels.count() as u32, frames.filter(|frames| *frames > 0))?;
    Ok(())
}

/// `ticks` of a time base as frames of a rate.
fn frames_of(ticks: u64, base: TimeBase, rate: u32) -> Option<u64> {
    let (numer, denom) = (u128::from(base.numer.get()), u128::from(base.denom.get()));
    let frames = u128::from(ticks)
        .checked_mul(numer)?
        .checked_mul(u128::from(rate))?
        / denom;
    u64::try_from(frames).ok()
}
