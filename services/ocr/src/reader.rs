//! The process that opens documents.
//!
//! Nobody can bound a decoder from within a process: a page of a few kilobytes can unfold to gigabytes or draw for hours,
//! an allocation that fails ends the process, and a thread cannot be stopped. So a document is opened by a process of its
//! own, started from this very program: the system bounds its memory (`RLIMIT_DATA`), and what takes too long is killed,
//! which frees everything at once. A page for which the process dies has failed; the next one gets a new process, but not
//! without end: after [`MOST_DEATHS`] the rest of the document is given up.
//!
//! It costs the start of a process for each document and the copy of each picture through a pipe. What crosses is in
//! `frame`; what the process does is [`crate::document`].

mod child;
mod frame;
mod pipe;

use std::env;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use polyphony_inference::Cancel;
use prost::bytes::Bytes;

use crate::document::{Ask, Limits, MediaType, Sheet, Trouble};
use crate::domain::Picture;
use frame::{Call, Reply};
use pipe::Pipe;

/// The argument that makes of this program a reader of documents, and nothing else.
const ARGUMENT: &str = "--be-the-document-reader";
/// The program that can always be one.
const PROGRAM: &str = "polyphony-ocr";
/// After so many processes that died on its pages, a document is given up.
pub const MOST_DEATHS: u32 = 3;

/// Whether this program can be started as a reader: whether its `main` asks [`run_if_asked`].
static HOSTED: AtomicBool = AtomicBool::new(false);

/// How documents are opened. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Readers {
    program: PathBuf,
    bounds: Bounds,
}

/// What opening a document or one of its pages may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The most pixels of a page.
    pub max_pixels: u64,
    /// How long opening the document, and then each page, may take.
    pub time: Duration,
    /// What the process may hold in memory, in bytes.
    pub memory: u64,
}

/// No program can be started as a reader.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot find {PROGRAM}, which opens documents in a process of its own; put it beside this program, or name it in ocr.reader"
)]
pub struct NoProgram;

/// A document that is open in a process of its own. Dropping it ends the process.
#[derive(Debug)]
pub struct OpenDocument {
    readers: Readers,
    bytes: Bytes,
    cancel: Cancel,
    media_type: MediaType,
    page_count: u32,
    process: Option<Process>,
    deaths: u32,
}

/// A process and the pipes to it.
#[derive(Debug)]
struct Process {
    child: Child,
    pipe: Pipe,
}

/// Becomes a reader of documents, if the command line says so: the whole life of that process. The first thing that a
/// `main` does whose program serves text recognition.
pub fn run_if_asked() -> Option<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    if arguments.next().is_some_and(|argument| argument == ARGUMENT) {
        let memory = arguments.next().unwrap_or_default();
        return Some(child::run(&memory));
    }
    HOSTED.store(true, Ordering::Relaxed);
    None
}

// === impl Readers ===

impl Readers {
    /// Readers with these bounds. `program` is what to start; empty: this program if it can be one, else
    /// `polyphony-ocr` beside it.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn new(program: &Path, bounds: Bounds) -> Result<Self, NoProgram> {
        let program = if !program.as_os_str().is_empty() {
            Some(program.to_owned()).filter(|program| program.is_file())
        } else if HOSTED.load(Ordering::Relaxed) {
            // Not the path: the file may have been replaced since.
            Some(PathBuf::from("/proc/self/exe"))
        } else {
            beside()
        };
        Ok(Self {
            program: program.ok_or(NoProgram)?,
            bounds,
        })
    }

    /// Opens a document. Blocks, no longer than the bounds say; `cancel` ends it early.
    ///
    /// # Errors
    /// What is wrong with the document as a whole.
    pub fn open(&self, bytes: Bytes, cancel: &Cancel) -> Result<OpenDocument, Trouble> {
        // What is no document at all is told without a process.
        MediaType::of(&bytes)?;
        let (process, media_type, page_count) = self.start(&bytes, cancel)?;
        Ok(OpenDocument {
            readers: self.clone(),
            bytes,
            cancel: cancel.clone(),
            media_type,
            page_count,
            process: Some(process),
            deaths: 0,
        })
    }

    /// Starts a process and lets it open the document.
    fn start(&self, bytes: &Bytes, cancel: &Cancel) -> Result<(Process, MediaType, u32), Trouble> {
        let mut process = Process::start(&self.program, self.bounds.memory, cancel)?;
        let limits = Limits {
            max_pixels: self.bounds.max_pixels,
            // So that decoders which keep to a limit say so before they are stopped.
            max_memory: self.bounds.memory / 4 * 3,
        };
        let reply = process.call(&Call::Open(limits), bytes, &self.bounds)?;
        match reply {
            (Reply::Opened { media_type, pages }, _) => Ok((process, media_type, pages)),
            (Reply::Trouble(trouble), _) => Err(trouble),
            (Reply::Page(_), _) => Err(Trouble::Reader("a page that nobody asked for".to_owned())),
        }
    }
}

// === impl OpenDocument ===

impl OpenDocument {
    /// What it is.
    pub const fn media_type(&self) -> MediaType {
        self.media_type
    }

    /// How many pages it has, at least 1.
    pub const fn page_count(&self) -> u32 {
        self.page_count
    }

    /// A page, counted from 0. Blocks, no longer than the bounds say.
    ///
    /// # Errors
    /// What is wrong with the page. Others may still be good.
    pub fn page(&mut self, number: u32, ask: &Ask) -> Result<Sheet, Trouble> {
        if self.deaths >= MOST_DEATHS {
            return Err(Trouble::GivenUp);
        }
        let mut process = match self.process.take() {
            Some(process) => process,
            None => self.readers.start(&self.bytes, &self.cancel)?.0,
        };
        let call = Call::Page { number, ask: *ask };
        match process.call(&call, &[], &self.readers.bounds) {
            Ok((Reply::Page(head), pixels)) => {
                self.process = Some(process);
                let picture = if pixels.is_empty() {
                    None
                } else {
                    let picture = Picture::from_raw(head.width, head.height, pixels);
                    Some(picture.ok_or_else(|| Trouble::Reader("a picture of another size".to_owned()))?)
                };
                Ok(Sheet { head, picture })
            }
            Ok((Reply::Trouble(trouble), _)) => {
                self.process = Some(process);
                Err(trouble)
            }
            Ok((Reply::Opened { .. }, _)) => Err(Trouble::Reader("opened once more".to_owned())),
            Err(trouble) => {
                self.deaths += 1;
                Err(trouble)
            }
        }
    }
}

// === impl Process ===

impl Process {
    fn start(program: &Path, memory: u64, cancel: &Cancel) -> Result<Self, Trouble> {
        let failed =
            |error: std::io::Error| Trouble::Reader(format!("cannot start {}: {error}", program.display()));
        let mut child = Command::new(program)
            .arg(ARGUMENT)
            .arg(OsString::from(memory.to_string()))
            // It needs nothing of where and by whom it was started.
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (Some(input), Some(output)) = (input, output) else {
            return Err(Trouble::Reader("a process without pipes".to_owned()));
        };
        let pipe = Pipe::new(input, output, cancel.clone()).map_err(failed)?;
        Ok(Self { child, pipe })
    }

    /// Sends a call and waits for its reply. After an error the process is of no more use.
    fn call(&mut self, call: &Call, blob: &[u8], bounds: &Bounds) -> Result<(Reply, Vec<u8>), Trouble> {
        self.pipe.limit(Instant::now() + bounds.time);
        let largest = bounds.max_pixels.saturating_mul(3);
        let exchanged = frame::write(&mut self.pipe, call, blob)
            .and_then(|()| self.pipe.flush())
            .and_then(|()| frame::read(&mut self.pipe, largest));
        exchanged.map_err(|error| {
            if self.pipe.is_cancelled() {
                return Trouble::Cancelled;
            }
            match error.kind() {
                std::io::ErrorKind::TimedOut => Trouble::TooSlow(format!("{:?}", bounds.time)),
                // It is gone. What else kills a process that cannot panic?
                std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::BrokenPipe => {
                    self.died(bounds.memory)
                }
                _ => Trouble::Reader(error.to_string()),
            }
        })
    }

    fn died(&mut self, memory: u64) -> Trouble {
        let status = self.child.wait();
        tracing::debug!(?status, "a reader of documents died");
        match status {
            Ok(status) if is_exhausted(status) => {
                Trouble::TooMuch(polyphony_config::ByteSize::kib(memory >> 10).to_string())
            }
            Ok(status) => Trouble::Reader(format!("the reader ended: {status}")),
            Err(error) => Trouble::Reader(error.to_string()),
        }
    }
}

/// Whether a process ended as one does that gets no memory or no stack: by an abort, or by a fault.
fn is_exhausted(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    const SIGABRT: i32 = 6;
    const SIGBUS: i32 = 7;
    const SIGKILL: i32 = 9;
    const SIGSEGV: i32 = 11;
    matches!(status.signal(), Some(SIGABRT | SIGBUS | SIGKILL | SIGSEGV))
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; it must not stay as a zombie either way.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// `polyphony-ocr` in the folder of this program or the one above it, where builds put it beside their tests.
fn beside() -> Option<PathBuf> {
    let own = env::current_exe().ok()?;
    own.ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(PROGRAM))
        .find(|program| program.is_file())
}
