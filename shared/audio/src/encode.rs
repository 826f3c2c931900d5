//! Encodes sound, at once or as it is made: raw samples, WAV, FLAC, Opus in Ogg, MP3.
//!
//! ```text
//! Encoder::new(settings) → push(samples, out) → flush(out) → push(samples, out) → … → finish(out)
//! ```
//!
//! The bytes do not depend on how the samples were cut; a [`flush`](Encoder::flush) only ends a page of Ogg early.
//! [`encode`] makes a whole file and comes back to its beginning, where WAV, FLAC and MP3 say how long they are; a
//! stream cannot, and [`Encoder::finish`] gives that beginning to whoever can still write there.
//!
//! WAV, FLAC and LINEAR16 hold the same 16-bit samples. Opus and MP3 carry the delay of their encoder in their headers, so
//! that a decoder gives exactly the frames that went in. Nothing is resampled here: a rate that a format does not have
//! is refused, and [`Format::rate_for`] gives the nearest that it has.
//!
//! Not here: streams of WAV whose length is known before ([`write`](crate::write)), tags, pictures.

mod error;
mod flac;
mod g711;
mod mp3;
mod opus;

use crate::pcm::{Channels, Pcm, SampleRate, Spec};
use crate::write::{WavFormat, append_samples, wav_header};

pub use error::Error;

/// What sound is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Raw signed 16-bit little-endian samples; beyond full scale they clip.
    Linear16,
    /// Raw 32-bit little-endian floats, as they are.
    Float32,
    /// Raw G.711 mu-law.
    MuLaw,
    /// Raw G.711 A-law.
    ALaw,
    /// A WAV file of 16-bit samples.
    Wav,
    /// A FLAC file of 16-bit samples (RFC 9639).
    Flac,
    /// Opus in Ogg (RFC 7845), in packets of 20 ms.
    OggOpus,
    /// An MP3 file of constant bit rate, by libmp3lame, which is opened at run time.
    Mp3,
}

/// What is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// As what.
    pub format: Format,
    /// The samples that will be pushed.
    pub spec: Spec,
    /// Bits a second of Opus and MP3, for all channels together.
    pub bit_rate: u32,
}

/// Encodes one recording or stream.
#[derive(Debug)]
pub struct Encoder {
    spec: Spec,
    frames: u64,
    inner: Inner,
}

#[derive(Debug)]
enum Inner {
    Linear16,
    Float32,
    MuLaw,
    ALaw,
    Wav,
    Flac(Box<flac::Writer>),
    OggOpus(Box<opus::Writer>),
    Mp3(Box<mp3::Writer>),
}

/// Encodes a whole recording.
///
/// # Errors
/// As [`Encoder::new`], [`Encoder::push`] and [`Encoder::finish`].
pub fn encode(pcm: &Pcm, format: Format, bit_rate: u32) -> Result<Vec<u8>, Error> {
    let settings = Settings {
        format,
        spec: pcm.spec(),
        bit_rate,
    };
    let mut out = Vec::new();
    let mut encoder = Encoder::new(settings)?;
    encoder.push(pcm.samples(), &mut out)?;
    let head = encoder.finish(&mut out)?;
    out.get_mut(..head.len())
        .ok_or_else(|| Error::failed("the file is shorter than its beginning"))?
        .copy_from_slice(&head);
    Ok(out)
}

// === impl Format ===

impl Format {
    /// Bits a second of Opus and MP3 where nobody asks for others.
    pub const BIT_RATE: u32 = 64_000;

    /// Whether this machine can write it.
    ///
    /// # Errors
    /// [`Error::Missing`] for MP3 without libmp3lame.
    pub fn check_available(self) -> Result<(), Error> {
        match self {
            Self::Mp3 => mp3::check_available(),
            Self::Linear16
            | Self::Float32
            | Self::MuLaw
            | Self::ALaw
            | Self::Wav
            | Self::Flac
            | Self::OggOpus => Ok(()),
        }
    }

    /// Whether what is written is whole only when its beginning is written again at the end.
    pub const fn is_file(self) -> bool {
        matches!(self, Self::Wav | Self::Flac | Self::Mp3)
    }

    /// The rate that suits sound of the rate `natural` best: the same, or else the next higher one that the format has.
    /// Opus always runs at 48 kHz inside, so it is given that.
    pub fn rate_for(self, natural: SampleRate) -> SampleRate {
        let hz = match self {
            Self::OggOpus => opus::INSIDE,
            Self::Mp3 => mp3::rate_for(natural.hz()),
            Self::Flac => natural.hz().min(flac::MAX_RATE),
            Self::Linear16 | Self::Float32 | Self::MuLaw | Self::ALaw | Self::Wav => natural.hz(),
        };
        SampleRate::new(hz).unwrap_or(natural)
    }
}

// === impl Settings ===

impl Settings {
    /// Whether the format can hold such sound. [`Encoder::new`] asks it too.
    ///
    /// # Errors
    /// [`Error::Setting`] for a rate, a number of channels or a bit rate that the format does not have.
    pub fn check(&self) -> Result<(), Error> {
        match self.format {
            Format::Linear16 | Format::Float32 | Format::MuLaw | Format::ALaw | Format::Wav => Ok(()),
            Format::Flac => flac::check(self.spec),
            Format::OggOpus => opus::check(self.spec, self.bit_rate),
            Format::Mp3 => mp3::check(self.spec, self.bit_rate),
        }
    }
}

// === impl Encoder ===

impl Encoder {
    /// An encoder that has taken nothing.
    ///
    /// # Errors
    /// [`Error::Setting`] as [`Settings::check`], [`Error::Missing`] for MP3 without libmp3lame.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        settings.check()?;
        let spec = settings.spec;
        let inner = match settings.format {
            Format::Linear16 => Inner::Linear16,
            Format::Float32 => Inner::Float32,
            Format::MuLaw => Inner::MuLaw,
            Format::ALaw => Inner::ALaw,
            Format::Wav => Inner::Wav,
            Format::Flac => Inner::Flac(Box::new(flac::Writer::new(spec)?)),
            Format::OggOpus => Inner::OggOpus(Box::new(opus::Writer::new(spec, settings.bit_rate)?)),
            Format::Mp3 => Inner::Mp3(Box::new(mp3::Writer::new(spec, settings.bit_rate)?)),
        };
        Ok(Self {
            spec,
            frames: 0,
            inner,
        })
    }

    /// Takes whole frames of interleaved samples, full scale -1 to 1, and appends to `out` what is ready.
    ///
    /// # Errors
    /// [`Error::PartialFrame`], or [`Error::Failed`] when the codec's library fails.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<(), Error> {
        let channels = self.spec.channels.count();
        if !samples.len().is_multiple_of(channels) {
            let left = samples.len() % channels;
            return Err(Error::PartialFrame { left, channels });
        }
        if self.frames == 0 && !samples.is_empty() {
            self.begin(out);
        }
        self.frames += (samples.len() / channels) as u64;
        match &mut self.inner {
            Inner::Linear16 | Inner::Wav => append_samples(out, samples, WavFormat::S16),
            Inner::Float32 => append_samples(out, samples, WavFormat::F32),
            Inner::MuLaw => out.extend(samples.iter().map(|sample| g711::mu_law(*sample))),
            Inner::ALaw => out.extend(samples.iter().map(|sample| g711::a_law(*sample))),
            Inner::Flac(writer) => writer.push(samples, out)?,
            Inner::OggOpus(writer) => writer.push(samples, out)?,
            Inner::Mp3(writer) => writer.push(samples, out)?,
        }
        Ok(())
    }

    /// Appends all that can be decoded by now, so that a listener need not wait for a page to fill. What the codec
    /// still holds back is less than one of its frames and its delay (27 ms of Opus).
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        match &mut self.inner {
            Inner::OggOpus(writer) => writer.flush(out),
            Inner::Linear16
            | Inner::Float32
            | Inner::MuLaw
            | Inner::ALaw
            | Inner::Wav
            | Inner::Flac(_)
            | Inner::Mp3(_) => Ok(()),
        }
    }

    /// Frames that can be heard of the bytes so far; none for MP3, which does not say.
    pub fn heard(&self) -> Option<u64> {
        match &self.inner {
            Inner::Linear16 | Inner::Float32 | Inner::MuLaw | Inner::ALaw | Inner::Wav => Some(self.frames),
            Inner::Flac(writer) => Some(writer.heard()),
            Inner::OggOpus(writer) => Some(writer.heard()),
            Inner::Mp3(_) => None,
        }
    }

    /// Appends the tail. Gives the bytes that belong at the very beginning instead of those that went there, now that the
    /// length is known; none for raw samples and Ogg. Without them a WAV and a FLAC are valid and of unknown length, and
    /// an MP3 begins with a frame of silence.
    ///
    /// # Errors
    /// As [`push`](Self::push), and [`Error::TooLong`] beyond the 4 GiB that WAV can say.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<Vec<u8>, Error> {
        if self.frames == 0 {
            self.begin(out);
        }
        match self.inner {
            Inner::Linear16 | Inner::Float32 | Inner::MuLaw | Inner::ALaw => Ok(Vec::new()),
            Inner::Wav => {
                let bytes = self.frames * self.spec.channels.count() as u64 * 2;
                let size = u32::try_from(bytes)
                    .ok()
                    .filter(|size| *size <= u32::MAX - 36)
                    .ok_or(Error::TooLong)?;
                Ok(wav_header(self.spec, WavFormat::S16, size).to_vec())
            }
            Inner::Flac(writer) => writer.finish(out),
            Inner::OggOpus(writer) => writer.finish(out).map(|()| Vec::new()),
            Inner::Mp3(writer) => writer.finish(out),
        }
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        match &mut self.inner {
            Inner::Wav => out.extend(wav_header(self.spec, WavFormat::S16, u32::MAX)),
            Inner::Flac(writer) => out.extend(writer.head()),
            Inner::Linear16
            | Inner::Float32
            | Inner::MuLaw
            | Inner::ALaw
            | Inner::OggOpus(_)
            | Inner::Mp3(_) => {}
        }
    }
}

/// Refuses more channels than a format has.
fn check_channels(channels: Channels, max: usize, format: &'static str) -> Result<(), Error> {
    let count = channels.count();
    if count > max {
        return Err(Error::setting(
            "audio_channel_count",
            format!("{format} has 1 to {max} channels, not {count}"),
        ));
    }
    Ok(())
}

/// `8000, 16000 and 48000`.
fn listed(numbers: &[u32]) -> String {
    let mut text = String::new();
    for (index, number) in numbers.iter().enumerate() {
        let separator = match index {
            0 => "",
            _ if index + 1 == numbers.len() => " and ",
            _ => ", ",
        };
        text.push_str(separator);
        text.push_str(&number.to_string());
    }
    text
}

#[cfg(test)]
mod tests;
