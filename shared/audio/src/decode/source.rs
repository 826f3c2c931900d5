//! Where a demuxer reads from: bytes in memory, watched.
//!
//! A watched read stops a demuxer from within, wherever it loops: when nobody waits any more, or when it has read
//! more before its first packet than headers may have. The demuxer sees an I/O error and may turn it into another,
//! so the reason is kept in the [`Watch`], which the session asks first after every failure.

use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use symphonia::core::io::MediaSource;

use crate::Error;
use crate::decode::ebml::Walk;
use crate::limits::Cancel;
use crate::probe::Container;

/// What the session and its source both see.
#[derive(Debug, Clone)]
pub(crate) struct Watch(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    cancel: Cancel,
    header_limit: u64,
    header_read: AtomicU64,
    in_header: AtomicBool,
    walk: Mutex<Walk>,
}

/// Bytes in memory.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    bytes: Cursor<&'a [u8]>,
    seekable: bool,
    watch: Watch,
}

// === impl Watch ===

impl Watch {
    pub(crate) fn new(cancel: Cancel, header_limit: u64) -> Self {
        Self(Arc::new(Shared {
            cancel,
            header_limit,
            header_read: AtomicU64::new(0),
            in_header: AtomicBool::new(true),
            walk: Mutex::default(),
        }))
    }

    /// To be called with the number of bytes at every read.
    pub(crate) fn read(&self, bytes: usize) -> io::Result<()> {
        if self.0.in_header.load(Ordering::Relaxed) {
            self.0.header_read.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        self.check().map_err(io::Error::other)
    }

    /// Why the work should stop, if it should.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let limit = self.0.header_limit;
        if self.0.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        if self.0.header_read.load(Ordering::Relaxed) > limit {
            return Err(Error::HeaderTooLarge { limit });
        }
        Ok(())
    }

    /// The header is read; from now on the limits on the audio itself apply.
    pub(crate) fn header_done(&self) {
        self.0.in_header.store(false, Ordering::Relaxed);
    }

    /// To be called with all bytes of a Matroska file, in order.
    pub(crate) fn see(&self, bytes: &[u8]) {
        self.0
            .walk
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .see(bytes);
    }

    /// Whether a Matroska file may end where the bytes end.
    pub(crate) fn is_whole(&self) -> bool {
        self.0
            .walk
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_whole()
    }

    pub(crate) fn cancel(&self) -> &Cancel {
        &self.0.cancel
    }
}

// === impl Source ===

impl<'a> Source<'a> {
    /// Seeking is offered only where the container needs it or says its length at its end. For MP3 it would make the
    /// demuxer guess a length from the first frames; in an MP4 or WebM that was cut it would find no
    /// sound at all, for their boxes then exceed the length that a seekable source tells.
    pub(crate) const fn new(bytes: &'a [u8], container: Container, is_cut: bool, watch: Watch) -> Self {
        Self {
            bytes: Cursor::new(bytes),
            seekable: !is_cut && matches!(container, Container::Mp4 | Container::Matroska | Container::Ogg),
            watch,
        }
    }
}

impl Read for Source<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read(buf)?;
        self.watch.read(read)?;
        Ok(read)
    }
}

impl Seek for Source<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.bytes.seek(to)
    }
}

impl MediaSource for Source<'_> {
    fn is_seekable(&self) -> bool {
        self.seekable
    }

    fn byte_len(&self) -> Option<u64> {
        self.seekable.then(|| self.bytes.get_ref().len() as u64)
    }
}
