//! Where bytes come from: a file or standard input; whole if short, else in small pieces, paced if asked.

use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use polyphony_proto::types::v1::{AudioEncoding, ExplicitDecoding, Media, media};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};

use crate::args::{Encoding, Raw};

/// What the services that take whole recordings and documents accept in one message, with room for the config.
pub(crate) const MOST_WHOLE: usize = 32 * 1024 * 1024 - 64 * 1024;
/// Bytes of one message of a stream, half of what the contract allows.
const PIECE_BYTES: usize = 16 * 1024;

/// Pieces of the input, or why it could not be read.
pub(crate) type Pieces = ReceiverStream<io::Result<Vec<u8>>>;

/// The input, opened.
pub(crate) enum Input {
    /// All of it.
    Whole(Vec<u8>),
    /// What is too long to be held.
    Pieces(Pieces),
}

/// Opens the input. Up to `most` bytes are read at once; a thread reads what is longer, so that a slow pipe never holds up
/// what comes back and a long one fills no memory.
pub(crate) fn open(path: &Path, most: usize) -> anyhow::Result<Input> {
    let mut input = reader(path)?;
    let mut head = Vec::new();
    input
        .by_ref()
        .take(most as u64 + 1)
        .read_to_end(&mut head)
        .with_context(|| cannot(path))?;
    if head.len() <= most {
        return Ok(Input::Whole(head));
    }
    Ok(Input::Pieces(spawn(io::Cursor::new(head).chain(input), None)))
}

/// What was read already.
pub(crate) fn of_bytes(bytes: Vec<u8>, most: usize) -> Input {
    if bytes.len() <= most {
        Input::Whole(bytes)
    } else {
        Input::Pieces(spawn(io::Cursor::new(bytes), None))
    }
}

/// Opens the input and reads it piece by piece, no faster than `bytes_per_second`.
pub(crate) fn pieces(path: &Path, bytes_per_second: Option<f64>) -> anyhow::Result<Pieces> {
    Ok(spawn(reader(path)?, bytes_per_second))
}

/// Why the input of a stream broke off, if it did.
pub(crate) struct Failure(oneshot::Receiver<io::Error>);

/// The first messages, then the pieces. A failed read ends the stream; [`Failure::explain`] tells it then.
pub(crate) fn messages<M: Send + 'static>(
    first: Vec<M>,
    pieces: impl Stream<Item = io::Result<Vec<u8>>> + Send + 'static,
    message: fn(Vec<u8>) -> M,
) -> (impl Stream<Item = M> + Send + 'static, Failure) {
    let (failed, failure) = oneshot::channel();
    let mut failed = Some(failed);
    let pieces = pieces.map_while(move |piece| match piece {
        Ok(piece) => Some(message(piece)),
        Err(error) => {
            if let Some(failed) = failed.take() {
                drop(failed.send(error));
            }
            None
        }
    });
    (tokio_stream::iter(first).chain(pieces), Failure(failure))
}

/// What a file is called without folder and ending.
pub(crate) fn stem(path: &Path) -> String {
    match path.file_stem() {
        Some(stem) if stem != "-" => stem.to_string_lossy().replace(char::is_whitespace, "_"),
        _ => "stdin".to_owned(),
    }
}

/// A text in pieces of at most `most` characters.
pub(crate) fn cut(mut text: &str, most: usize) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        if text.is_empty() {
            return None;
        }
        let end = text.char_indices().nth(most).map_or(text.len(), |(at, _)| at);
        let (piece, rest) = text.split_at(end);
        text = rest;
        Some(piece)
    })
}

/// Opens a text.
pub(crate) fn text(path: &Path, most: usize) -> anyhow::Result<String> {
    match open(path, most)? {
        Input::Whole(bytes) => {
            String::from_utf8(bytes).with_context(|| format!("{}: it is not UTF-8", cannot(path)))
        }
        Input::Pieces(_) => bail!("{}: it is longer than {most} bytes", cannot(path)),
    }
}

/// Bytes as the contract wants them.
pub(crate) fn inline(bytes: Vec<u8>) -> Option<Media> {
    Some(Media {
        source: Some(media::Source::Inline(bytes.into())),
    })
}

fn cannot(path: &Path) -> String {
    match path.to_str() {
        Some("-") => "cannot read standard input".to_owned(),
        _ => format!("cannot read {}", path.display()),
    }
}

fn reader(path: &Path) -> anyhow::Result<Box<dyn Read + Send>> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(io::stdin()));
    }
    let file = std::fs::File::open(path).with_context(|| cannot(path))?;
    if file.metadata().with_context(|| cannot(path))?.is_dir() {
        bail!("{}: it is a folder", cannot(path));
    }
    Ok(Box::new(file))
}

fn spawn(mut input: impl Read + Send + 'static, bytes_per_second: Option<f64>) -> Pieces {
    let (pieces, receiver) = mpsc::channel(4);
    std::thread::spawn(move || {
        // A microphone hands over tenths of a second.
        let size =
            bytes_per_second.map_or(PIECE_BYTES, |rate| ((rate / 10.0) as usize).clamp(1, PIECE_BYTES));
        let started = Instant::now();
        let mut sent = 0_usize;
        loop {
            let mut piece = vec![0; size];
            let read = match input.read(&mut piece) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                read => read,
            };
            let ended = matches!(read, Ok(0) | Err(_));
            if let Ok(length) = read {
                piece.truncate(length);
                sent += length;
            }
            if let Some(rate) = bytes_per_second {
                let due = started + Duration::from_secs_f64(sent as f64 / rate);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            let item = match read {
                Ok(0) => return,
                other => other.map(|_| piece),
            };
            if pieces.blocking_send(item).is_err() || ended {
                return;
            }
        }
    });
    ReceiverStream::new(receiver)
}

// === impl Failure ===

impl Failure {
    /// What the mesh says of an input that broke off is not why it did.
    pub(crate) fn explain<T>(mut self, ended: anyhow::Result<T>) -> anyhow::Result<T> {
        match self.0.try_recv() {
            Ok(error) => Err(error).context("cannot read the input"),
            Err(_) => ended,
        }
    }
}

// === impl Raw ===

impl Raw {
    /// In the contract's words; none where the format is found from the first bytes.
    pub(crate) fn decoding(&self) -> Option<ExplicitDecoding> {
        let encoding = match self.encoding? {
            Encoding::Linear16 => AudioEncoding::Linear16,
            Encoding::Float32 => AudioEncoding::Float32,
            Encoding::Mulaw => AudioEncoding::Mulaw,
            Encoding::Alaw => AudioEncoding::Alaw,
        };
        Some(ExplicitDecoding {
            encoding: encoding.into(),
            sample_rate_hertz: self.rate.unwrap_or_default(),
            audio_channel_count: self.channels,
        })
    }

    /// How fast it is spoken.
    pub(crate) fn bytes_per_second(&self) -> Option<f64> {
        let sample_bytes = match self.encoding? {
            Encoding::Linear16 => 2,
            Encoding::Float32 => 4,
            Encoding::Mulaw | Encoding::Alaw => 1,
        };
        Some(f64::from(self.rate?) * f64::from(self.channels) * f64::from(sample_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = "ä".repeat(11);
        let pieces: Vec<_> = cut(&text, 5).collect();
        assert_eq!(pieces, ["äääää", "äääää", "ä"]);
    }
}
