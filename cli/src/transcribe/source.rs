//! Where a stream's bytes come from: a file, standard input, or memory; read in small pieces, paced if asked.

use std::io::Read;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::args::{Encoding, Transcribe};

/// Bytes of one message, half of what the contract allows.
const PIECE_BYTES: usize = 16 * 1024;

/// Pieces of the input, or why it could not be read.
pub(super) type Pieces = ReceiverStream<std::io::Result<Vec<u8>>>;

/// Opens the input. A thread reads it, so that a slow pipe never holds up what comes back.
pub(super) fn open(args: &Transcribe) -> anyhow::Result<Pieces> {
    let pace = args.realtime.then(|| bytes_per_second(args)).flatten();
    if args.file.as_os_str() == "-" {
        return Ok(spawn(std::io::stdin(), pace));
    }
    let file =
        std::fs::File::open(&args.file).with_context(|| format!("cannot read {}", args.file.display()))?;
    Ok(spawn(file, pace))
}

/// Pieces of a recording in memory.
pub(super) fn buffered(recording: Vec<u8>) -> Pieces {
    spawn(std::io::Cursor::new(recording), None)
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
