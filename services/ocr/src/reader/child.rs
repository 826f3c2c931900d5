//! The life of the process that opens documents: bound itself, then answer until nobody asks.

use std::any::Any;
use std::ffi::OsStr;
use std::io::{self, BufReader, BufWriter, Write};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};

use super::frame::{self, Call, Reply};
use crate::document::{Document, Trouble};

/// It reads from one pipe and writes to another.
const MOST_FILES: u64 = 8;

/// Answers calls on standard input until it is closed. `memory` is how many bytes it may hold.
pub(super) fn run(memory: &OsStr) -> ExitCode {
    let bounded = memory
        .to_str()
        .and_then(|bytes| bytes.parse().ok())
        .is_some_and(|bytes| bound(bytes).is_ok());
    if !bounded {
        return ExitCode::FAILURE;
    }
    // What a damaged document makes a decoder say is told in the reply.
    panic::set_hook(Box::new(|_| {}));
    match answer() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Sets the limits of this process, for good.
fn bound(memory: u64) -> io::Result<()> {
    // Whoever started it wants nothing more when it is gone.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    for (resource, most) in [
        (Resource::Data, memory),
        (Resource::Nofile, MOST_FILES),
        (Resource::Fsize, 0),
        (Resource::Core, 0),
    ] {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(resource, limit)?;
    }
    Ok(())
}

fn answer() -> io::Result<()> {
    let mut input = BufReader::new(io::stdin().lock());
    let mut output = BufWriter::new(io::stdout().lock());
    let mut open: Option<Document> = None;
    loop {
        let (call, blob): (Call, Vec<u8>) = match frame::read(&mut input, u64::MAX) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            read => read?,
        };
        let (reply, picture) = match call {
            Call::Open(limits) => {
                open = None;
                match caught(|| Document::open(blob, limits)) {
                    Ok(document) => {
                        let reply = Reply::Opened {
                            media_type: document.media_type(),
                            pages: document.page_count(),
                        };
                        open = Some(document);
                        (reply, None)
                    }
                    Err(trouble) => (Reply::Trouble(trouble), None),
                }
            }
            Call::Page { number, ask } => {
                let sheet = match &open {
                    Some(document) => caught(|| document.page(number, &ask)),
                    None => Err(Trouble::Reader("nothing is open".to_owned())),
                };
                match sheet {
                    Ok(sheet) => (Reply::Page(sheet.head), sheet.picture),
                    Err(trouble) => (Reply::Trouble(trouble), None),
                }
            }
        };
        let pixels = picture.map(image::RgbImage::into_raw).unwrap_or_default();
        frame::write(&mut output, &reply, &pixels)?;
        output.flush()?;
    }
}

/// A decoder that panics has met something that it does not expect: damage.
fn caught<T>(work: impl FnOnce() -> Result<T, Trouble>) -> Result<T, Trouble> {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = message(&*panic).unwrap_or("no message");
        Err(Trouble::Damaged(format!("its decoder broke off ({text})")))
    })
}

fn message(panic: &(dyn Any + Send)) -> Option<&str> {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
}
