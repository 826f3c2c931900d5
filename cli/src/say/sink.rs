//! Where the sound goes: a file whose name says how it is encoded, or standard output.

use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, bail};
use polyphony_audio::encode::{Encoder, Format, Settings};
use polyphony_audio::pcm::Spec;
use serde_json::json;

use crate::output;
use crate::whole_file::WholeFile;

/// The sound being written.
pub(super) struct Sink {
    to: To,
    format: Format,
    encoder: Option<Encoder>,
    samples: Vec<f32>,
    bytes: Vec<u8>,
}

enum To {
    File(WholeFile),
    Output,
}

// === impl Sink ===

impl Sink {
    /// Opens what `place` names.
    pub(super) fn open(place: &Path) -> anyhow::Result<Self> {
        let (to, format) = if place.as_os_str() == "-" {
            (To::Output, Format::Wav)
        } else {
            (To::File(WholeFile::create(place)?), format(place)?)
        };
        Ok(Self {
            to,
            format,
            encoder: None,
            samples: Vec::new(),
            bytes: Vec::new(),
        })
    }

    /// The samples a second that the format needs; none: any.
    pub(super) fn rate(&self) -> Option<u32> {
        (self.format == Format::OggOpus).then_some(48_000)
    }

    /// So many samples a second will come, mono.
    pub(super) fn begin(&mut self, rate: u32) -> anyhow::Result<()> {
        self.encoder = Some(Encoder::new(Settings {
            format: self.format,
            spec: Spec::new(rate, 1)?,
            bit_rate: Format::BIT_RATE,
        })?);
        Ok(())
    }

    /// Takes 16-bit samples.
    pub(super) fn push(&mut self, audio: &[u8]) -> anyhow::Result<()> {
        let encoder = self
            .encoder
            .as_mut()
            .context("the mesh sent sound before it was ready")?;
        let (pairs, rest) = audio.as_chunks::<2>();
        if !rest.is_empty() {
            bail!("the mesh sent half a sample");
        }
        self.samples.clear();
        let samples = pairs
            .iter()
            .map(|pair| f32::from(i16::from_le_bytes(*pair)) / 32_768.0);
        self.samples.extend(samples);
        encoder.push(&self.samples, &mut self.bytes)?;
        encoder.flush(&mut self.bytes)?;
        self.write()
    }

    /// Ends the sound and says where it is.
    pub(super) fn finish(mut self, as_json: bool) -> anyhow::Result<()> {
        let encoder = self.encoder.take().context("the mesh was never ready")?;
        let head = encoder.finish(&mut self.bytes)?;
        self.write()?;
        let To::File(mut file) = self.to else {
            return Ok(());
        };
        file.write_head(&head)?;
        let place = file.place().to_owned();
        file.keep()?;
        if as_json {
            output::object(&json!({ "file": place }))?;
        }
        Ok(())
    }

    fn write(&mut self) -> anyhow::Result<()> {
        match &mut self.to {
            To::File(file) => file
                .write_all(&self.bytes)
                .with_context(|| format!("cannot write {}", file.place().display()))?,
            To::Output => match io::stdout().lock().write_all(&self.bytes) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                    return Err(anyhow::Error::new(output::ClosedPipe));
                }
                written => written.context("cannot write to standard output")?,
            },
        }
        self.bytes.clear();
        Ok(())
    }
}

fn format(place: &Path) -> anyhow::Result<Format> {
    let ending = place
        .extension()
        .unwrap_or_default()
        .to_string_lossy()
        .to_ascii_lowercase();
    Ok(match ending.as_str() {
        "wav" => Format::Wav,
        "flac" => Format::Flac,
        "opus" | "ogg" => Format::OggOpus,
        "mp3" => Format::Mp3,
        "raw" | "pcm" => Format::Linear16,
        _ => bail!(
            "{}: the name must end in .wav, .flac, .opus, .ogg, .mp3 or .raw",
            place.display()
        ),
    })
}
