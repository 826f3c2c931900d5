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
/// Read of a line of the log at once.
const MOST_LOGGED: usize = 4 << 10;

/// The next event; none when the worker says nothing any more. An error is a line that is no event.
pub(super) async fn event(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Event>> {
    let Some(line) = line(from).await? else {
        return Ok(None);
    };
    protocol::parse(&line).map(Some).map_err(io::Error::other)
}

/// A line without its end.
async fn line(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let Some(mut line) = piece(from, MAX_LINE_BYTES + 1).await? else {
        return Ok(None);
    };
    if line.pop_if(|last| *last == b'\n').is_none() {
        return Err(io::Error::other("a line that is too long or cut off"));
    }
    Ok(Some(line))
}

/// A line with its end, or as much of it as fits or comes; none at the end.
async fn piece(from: &mut (impl AsyncBufRead + Unpin), most: usize) -> io::Result<Option<Vec<u8>>> {
    let mut piece = Vec::new();
    let read = from.take(most as u64).read_until(b'\n', &mut piece).await?;
    Ok((read > 0).then_some(piece))
}

/// Writes what it says for people into the log, until it ends: whatever it is, for a worker that is not heard any more stops
/// at its next word.
pub(super) async fn log(from: impl AsyncRead + Unpin, last: LastWords) {
    let mut from = BufReader::new(from);
    let mut begun = false;
    while let Ok(Some(piece)) = piece(&mut from, MOST_LOGGED).await {
        // The rest of a line that is too long is not kept.
        let continues = std::mem::replace(&mut begun, piece.last() != Some(&b'\n'));
        if continues {
            continue;
        }
        let text = String::from_utf8_lossy(&piece);
        let text: String = text.trim_end_matches('\n').chars().take(KEPT_CHARS).collect();
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

    #[tokio::test]
    async fn what_is_for_people_is_heard_to_its_end_whatever_it_is() {
        let mut said = b"loading\n".to_vec();
        said.extend(std::iter::repeat_n(b'.', 3 * MAX_LINE_BYTES));
        said.extend_from_slice(b"\n\xff\xfe\nterminate called");
        let last = LastWords::default();
        log(said.as_slice(), last.clone()).await;
        let words = last.text();
        assert!(words.starts_with(&".".repeat(KEPT_CHARS)), "{words}");
        assert!(words.ends_with(" / terminate called"), "{words}");
    }
}
