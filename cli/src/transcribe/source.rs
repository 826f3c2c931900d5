//! Where the bytes come from: a file or standard input; whole if short, else in small pieces, paced if asked.

use std::io::Read;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::args::{Encoding, Transcribe};

/// Bytes of one message, half of what the contract allows.
const PIECE_BYTES: usize = 16 * 1024;

/// Pieces of the input, or why it could not be read.
pub(super) type Pieces = ReceiverStream<std::io::Result<Vec<u8>>>;

/// The input, opened.
pub(super) enum Input {
    /// All of it.
    Whole(Vec<u8>),
    /// What is to be streamed, or too long to be held.
    Pieces(Pieces),
}

/// Opens the input. What is not to be streamed is read up to `most` bytes; a thread reads what is longer, so that a slow
/// pipe never holds up what comes back and a long one fills no memory.
pub(super) fn open(args: &Transcribe, most: usize) -> anyhow::Result<Input> {
    let cannot = || match args.file.to_str() {
        Some("-") => "cannot read standard input".to_owned(),
        _ => format!("cannot read {}", args.file.display()),
    };
    let mut input: Box<dyn Read + Send> = if args.file.as_os_str() == "-" {
        Box::new(std::io::stdin())
    } else {
        let file = std::fs::File::open(&args.file).with_context(cannot)?;
        if file.metadata().with_context(cannot)?.is_dir() {
            bail!("{}: it is a folder", cannot());
        }
        Box::new(file)
    };
    if args.stream {
        let pace = args.realtime.then(|| bytes_per_second(args)).flatten();
        return Ok(Input::Pieces(spawn(input, pace)));
    }
    let mut head = Vec::new();
    input
        .by_ref()
        .take(most as u64 + 1)
        .read_to_end(&mut head)
        .with_context(cannot)?;
    if head.len() <= most {
        return Ok(Input::Whole(head));
    }
    Ok(Input::Pieces(spawn(
        std::io::Cursor::new(head).chain(input),
        None,
    )))
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

fn bytes_per_second(args: &Transcribe) -> Option<f64> {
    let sample_bytes = match args.encoding? {
        Encoding::Linear16 => 2,
        Encoding::Float32 => 4,
        Encoding::Mulaw | Encoding::Alaw => 1,
    };
    Some(f64::from(args.rate?) * f64::from(args.channels) * f64::from(sample_bytes))
}
