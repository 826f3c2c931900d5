//! A demuxer on a thread that takes turns with its caller: it runs until it has a block or has eaten its bytes, and
//! then waits. Both channels are rendezvous, so exactly one side runs at any time.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use symphonia::core::io::MediaSource;

use crate::Error;
use crate::decode::{Session, Watch};
use crate::limits::{Cancel, Limits};
use crate::pcm::Pcm;
use crate::probe::Container;

/// The caller's side.
#[derive(Debug)]
pub(super) struct Turns {
    container: Container,
    input: SyncSender<Vec<u8>>,
    output: Receiver<Reply>,
    cancel: Cancel,
    hungry: bool,
    concealed: Duration,
}

#[derive(Debug)]
enum Reply {
    Block(Pcm, Duration),
    /// All bytes are eaten.
    Hungry,
    Done(Result<(), Error>),
}

/// The thread's side: a source that asks for more when it is empty. An empty piece is the end.
#[derive(Debug)]
struct Feed {
    container: Container,
    pieces: Mutex<Receiver<Vec<u8>>>,
    asks: SyncSender<Reply>,
    piece: Vec<u8>,
    read: usize,
    ended: bool,
    watch: Watch,
}

// === impl Turns ===

impl Turns {
    pub(super) fn start(container: Container, limits: Limits, cancel: Cancel) -> Result<Self, Error> {
        let (input, pieces) = sync_channel(0);
        let (replies, output) = sync_channel(0);
        let watch = Watch::new(cancel.clone(), limits.max_header_bytes);
        let feed = Feed {
            container,
            pieces: Mutex::new(pieces),
            asks: replies.clone(),
            piece: Vec::new(),
            read: 0,
            ended: false,
            watch: watch.clone(),
        };
        thread::Builder::new()
            .name("audio-stream".to_owned())
            .spawn(move || {
                let done = run(container, feed, &limits, watch, &replies);
                // Nobody listens when the stream was dropped.
                drop(replies.send(Reply::Done(done)));
            })
            .map_err(|_| Error::setting("threads", "are used up on this machine"))?;
        Ok(Self {
            container,
            input,
            output,
            cancel,
            hungry: false,
            concealed: Duration::ZERO,
        })
    }

    pub(super) const fn container(&self) -> Container {
        self.container
    }

    pub(super) const fn concealed(&self) -> Duration {
        self.concealed
    }

    /// Gives the thread its turn, with `input` when it asked for bytes.
    pub(super) fn next_block(&mut self, input: &mut &[u8], ended: bool) -> Result<Option<Pcm>, Error> {
        let container = self.container;
        // Both ends live as long as the thread, which ends only by `Done`.
        let gone = || Error::DecoderFailed { container };
        loop {
            if self.hungry {
                if input.is_empty() && !ended {
                    return Ok(None);
                }
                self.input
                    .send(std::mem::take(input).to_vec())
                    .map_err(|_| gone())?;
                self.hungry = false;
            }
            match self.output.recv().map_err(|_| gone())? {
                Reply::Block(pcm, concealed) => {
                    self.concealed = concealed;
                    return Ok(Some(pcm));
                }
                Reply::Hungry => self.hungry = true,
                Reply::Done(done) => return done.map(|()| None),
            }
        }
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        // A thread that waits sees its channel close; one that works stops at its next read.
        self.cancel.cancel();
    }
}

fn run(
    container: Container,
    feed: Feed,
    limits: &Limits,
    watch: Watch,
    replies: &SyncSender<Reply>,
) -> Result<(), Error> {
    let mut session = Session::open(container, Box::new(feed), limits, watch.clone())?;
    while let Some(pcm) = session.next_block()? {
        if replies.send(Reply::Block(pcm, session.concealed())).is_err() {
            watch.cancel().cancel();
            return Err(Error::Cancelled);
        }
    }
    Ok(())
}

// === impl Feed ===

impl Feed {
    fn refill(&mut self) -> io::Result<()> {
        let closed = || io::Error::from(io::ErrorKind::BrokenPipe);
        self.asks.send(Reply::Hungry).map_err(|_| closed())?;
        let pieces = self.pieces.get_mut().map_err(|_| closed())?;
        self.piece = pieces.recv().map_err(|_| {
            self.watch.cancel().cancel();
            closed()
        })?;
        if self.container == Container::Matroska {
            self.watch.see(&self.piece);
        }
        self.read = 0;
        self.ended = self.piece.is_empty();
        Ok(())
    }
}

impl Read for Feed {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.read == self.piece.len() && !self.ended {
            self.refill()?;
        }
        let read = (&self.piece[self.read..]).read(buf)?;
        self.read += read;
        self.watch.read(read)?;
        Ok(read)
    }
}

impl Seek for Feed {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
}

impl MediaSource for Feed {
    fn is_seekable(&self) -> bool {
        false
    }

    fn byte_len(&self) -> Option<u64> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_dropped_stream_lets_go_of_its_thread() {
        let file = include_bytes!("../../tests/fixtures/tone.flac");
        // Dropped before its header, in the middle of its sound, and at the end with blocks not taken.
        for fed in [0, 13, 3_000, file.len()] {
            let cancel = Cancel::new();
            let mut turns =
                Turns::start(Container::Flac, Limits::default(), cancel.clone()).expect("started");
            drop(turns.next_block(&mut &file[..fed], false));
            drop(turns);
            let start = Instant::now();
            while cancel.holders() > 1 {
                assert!(
                    start.elapsed() < Duration::from_secs(10),
                    "the thread still runs after {fed} bytes"
                );
                thread::yield_now();
            }
        }
    }
}
