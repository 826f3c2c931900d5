//! Hearing the worker: its standard output line by line, within bounds, and its standard error for the log.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use polyphony_video_worker::protocol::{self, Event, MAX_LINE_BYTES};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

/// The last lines that a worker wrote for people: they say why it died.
#[derive(Debug, Clone, Default)]
pub(super) struct LastWords {
    lines: Arc<Mutex<VecDeque<String>>>,
}

const KEPT_LINES: usize = 3;
const KEPT_CHARS: usize = 200;

/// The next event; none when the worker says nothing any more. An error is a line that is no event.
pub(super) async fn event(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Event>> {
    let Some(line) = line(from).await? else {
        return Ok(None);
    };
    protocol::parse(&line).map(Some).map_err(io::Error::other)
}

/// A line without its end.
async fn line(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let limit = MAX_LINE_BYTES as u64 + 1;
    let read = from.take(limit).read_until(b'\n', &mut line).await?;
    if read == 0 {
        return Ok(None);
    }
    if line.pop_if(|last| *last == b'\n').is_none() {
        return Err(io::Error::other("a line that is too long or cut off"));
    }
    Ok(Some(line))
}

/// Writes what it says for people into the log, until it ends.
pub(super) async fn log(from: impl AsyncRead + Unpin, last: LastWords) {
    let mut from = BufReader::new(from);
    while let Ok(Some(line)) = line(&mut from).await {
        let text: String = String::from_utf8_lossy(&line).chars().take(KEPT_CHARS).collect();
        tracing::info!(target: "video_worker", "{text}");
        last.push(text);
    }
}

// === impl LastWords ===

impl LastWords {
    fn push(&self, line: String) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// In one line; empty: it said nothing.
    pub(super) fn text(&self) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(String::as_str).collect::<Vec<_>>().join(" / ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_events_or_nothing_and_have_a_longest() {
        let mut from: &[u8] = b"{\"event\":\"cancelled\",\"id\":\"a\"}\n";
        assert_eq!(
            event(&mut from).await.expect("an event"),
            Some(Event::Cancelled { id: "a".to_owned() })
        );
        assert_eq!(event(&mut from).await.expect("the end"), None);
        for garbage in [&b"hello\n"[..], b"{\"event\":\"cancelled\"", b"\xff\xfe\n", b"\n"] {
            let mut from = garbage;
            event(&mut from).await.expect_err("no event");
        }
        let endless = vec![b'x'; MAX_LINE_BYTES * 2];
        let mut from = endless.as_slice();
        event(&mut from).await.expect_err("too long");
        assert_eq!(from.len(), MAX_LINE_BYTES - 1, "it reads no further");
    }
}
