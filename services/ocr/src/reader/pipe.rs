//! The two pipes to a process, read and written until a moment and no longer.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::process::{ChildStdin, ChildStdout};
use std::time::{Duration, Instant};

use polyphony_inference::Cancel;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Both pipes.
#[derive(Debug)]
pub(super) struct Pipe {
    input: ChildStdin,
    output: ChildStdout,
    until: Instant,
    cancel: Cancel,
}

/// Somebody who went away is noticed within this.
const LOOK: Duration = Duration::from_millis(20);
/// Pictures are large, and each round trip between the two ends costs; the system may allow less.
const ROOM: usize = 1 << 20;

// === impl Pipe ===

impl Pipe {
    pub(super) fn new(input: ChildStdin, output: ChildStdout, cancel: Cancel) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&input, true)?;
        rustix::io::ioctl_fionbio(&output, true)?;
        if let Err(error) = rustix::pipe::fcntl_setpipe_size(&output, ROOM) {
            tracing::trace!(%error, "the pipe stays small");
        }
        Ok(Self {
            input,
            output,
            until: Instant::now(),
            cancel,
        })
    }

    /// From now on reading and writing end with [`io::ErrorKind::TimedOut`] at this moment.
    pub(super) const fn limit(&mut self, until: Instant) {
        self.until = until;
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }
}

impl Read for Pipe {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.output.read(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            wait(&self.output, PollFlags::IN, self.until, &self.cancel)?;
        }
    }
}

impl Write for Pipe {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        loop {
            match self.input.write(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return written,
            }
            wait(&self.input, PollFlags::OUT, self.until, &self.cancel)?;
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.input.flush()
    }
}

fn wait(pipe: &impl AsFd, flags: PollFlags, until: Instant, cancel: &Cancel) -> io::Result<()> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if cancel.is_cancelled() {
            return Err(io::ErrorKind::Other.into());
        }
        let timeout = Timespec::try_from(left.min(LOOK)).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(pipe, flags)], Some(&timeout)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
