//! A stream that passes through, looked at: where its events end, what it took, and whether it came to its end.
//!
//! Bytes are cut only where an event must be left out: the one with the usage, when it was we who asked for it.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use memchr::{memchr, memmem};
use serde::Deserialize;

use crate::chunk::usage_of;
use crate::domain::Usage;

/// Looks at the events of a stream.
#[derive(Debug)]
pub(crate) struct Watcher {
    /// The beginning of an event whose end has not come.
    begun: BytesMut,
    strip: bool,
    pub(crate) usage: Option<Usage>,
    /// How many answers it gives.
    answers: u32,
    /// How many said why they ended.
    ended: u32,
    /// It said `[DONE]`, or its API's word for that.
    is_done: bool,
    /// It said that it failed.
    pub(crate) has_failed: bool,
    /// Events so far that are more of an answer.
    pub(crate) pieces: u32,
}

/// An event is larger than is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLarge;

const MOST_EVENT: usize = 4 << 20;

// === impl Watcher ===

impl Watcher {
    /// Of a stream with so many answers. `strip` leaves out the event that holds the usage alone.
    pub(crate) fn new(strip: bool, answers: u32) -> Self {
        Self {
            begun: BytesMut::new(),
            strip,
            usage: None,
            answers,
            ended: 0,
            is_done: false,
            has_failed: false,
            pieces: 0,
        }
    }

    /// It came to its end: each answer said why it ended, or it said that it is done.
    pub(crate) fn has_ended(&self) -> bool {
        self.is_done || self.ended >= self.answers
    }

    /// More bytes came; what is to be passed on goes to `out`.
    ///
    /// # Errors
    /// [`TooLarge`].
    pub(crate) fn feed(&mut self, data: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), TooLarge> {
        if !self.strip {
            out.push_back(data.clone());
        }
        let mut whole = if self.begun.is_empty() {
            data
        } else {
            self.begun.extend_from_slice(&data);
            self.begun.split().freeze()
        };
        // Where what is to be passed on ends so far.
        let mut passed = 0;
        let mut at = 0;
        while let Some(end) = event_end(&whole, at) {
            let is_usage_alone = self.look(&whole[at..end]);
            if self.strip && is_usage_alone {
                if at > passed {
                    out.push_back(whole.slice(passed..at));
                }
                passed = end;
            }
            at = end;
        }
        let rest = whole.split_off(at);
        if self.strip && at > passed {
            out.push_back(whole.slice(passed..));
        }
        if rest.len() > MOST_EVENT {
            return Err(TooLarge);
        }
        self.begun.extend_from_slice(&rest);
        Ok(())
    }

    /// No more bytes come. A last event without the empty line at its end still counts.
    pub(crate) fn finish(&mut self, out: &mut VecDeque<Bytes>) {
        let rest = self.begun.split().freeze();
        if rest.is_empty() {
            return;
        }
        let is_usage_alone = self.look(&rest);
        if self.strip && !is_usage_alone {
            out.push_back(rest);
        }
    }

    /// Looks at an event. True: it holds the usage and no part of an answer.
    fn look(&mut self, event: &[u8]) -> bool {
        let Some(at) = memmem::find(event, b"data:") else {
            return false;
        };
        let data = event[at + 5..].trim_ascii();
        if data == b"[DONE]" {
            self.is_done = true;
            return false;
        }
        if data.starts_with(b"{\"error\"") || memmem::find(data, b"\"object\":\"error\"").is_some() {
            self.has_failed = true;
        }
        if follows(data, b"\"finish_reason\"", b"\"") {
            self.ended = self.ended.saturating_add(1);
        }
        self.is_done |= is_end_of_response(data);
        if !follows(data, b"\"usage\"", b"{") {
            self.pieces = self.pieces.saturating_add(1);
            return false;
        }
        let usage = usage_of(data)
            .filter(Usage::is_known)
            .or_else(|| usage_of_response(data));
        self.usage = usage.or(self.usage);
        let is_usage_alone = usage.is_some() && follows(data, b"\"choices\"", b"[]");
        self.pieces = self.pieces.saturating_add(u32::from(!is_usage_alone));
        is_usage_alone
    }
}

/// The end of the first event from `at` on, behind its empty line.
fn event_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr(b'\n', &bytes[at..])? + 1;
        match bytes.get(at..)? {
            [b'\n', ..] => return Some(at + 1),
            [b'\r', b'\n', ..] => return Some(at + 2),
            _ => {}
        }
    }
}

/// Whether the key is there with a value that begins so.
fn follows(json: &[u8], key: &[u8], value: &[u8]) -> bool {
    memmem::find_iter(json, key).any(|at| {
        let rest = json[at + key.len()..].trim_ascii_start();
        let Some(rest) = rest.strip_prefix(b":") else {
            return false;
        };
        let mut rest = rest.trim_ascii_start();
        // White space within brackets does not matter.
        value.iter().all(|byte| {
            rest = rest.trim_ascii_start();
            let is_next = rest.first() == Some(byte);
            rest = rest.get(1..).unwrap_or_default();
            is_next
        })
    })
}

/// The last event of OpenAI's Responses API.
fn is_end_of_response(data: &[u8]) -> bool {
    ["response.completed", "response.incomplete", "response.failed"]
        .iter()
        .any(|kind| memmem::find(data, format!("\"type\":\"{kind}\"").as_bytes()).is_some())
}

/// The usage of OpenAI's Responses API, whose words are others.
pub(super) fn usage_of_response(json: &[u8]) -> Option<Usage> {
    #[derive(Deserialize)]
    struct Event {
        response: Option<Response>,
        usage: Option<Took>,
    }
    #[derive(Deserialize)]
    struct Response {
        usage: Option<Took>,
    }
    #[derive(Deserialize)]
    struct Took {
        input_tokens: Option<u32>,
        output_tokens: Option<u32>,
        total_tokens: Option<u32>,
    }
    let event: Event = serde_json::from_slice(json).ok()?;
    let took = event
        .usage
        .or_else(|| event.response.and_then(|response| response.usage))?;
    let usage = Usage {
        prompt_tokens: took.input_tokens.or(took.total_tokens),
        completion_tokens: took.output_tokens,
        ..Usage::default()
    };
    usage.is_known().then_some(usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Hi, \\\"usage\\\"\"},\"finish_reason\":null}]}\n\n\
        : comment\n\n\
        data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\r\n\r\n\
        data: {\"choices\":[ ],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n\
        data: [DONE]\n\n";

    fn passed(strip: bool, size: usize) -> (String, Watcher) {
        let (mut watcher, mut out) = (Watcher::new(strip, 1), VecDeque::new());
        for piece in STREAM.as_bytes().chunks(size) {
            watcher
                .feed(Bytes::copy_from_slice(piece), &mut out)
                .expect("small");
        }
        watcher.finish(&mut out);
        let bytes: Vec<u8> = out.iter().flatten().copied().collect();
        (String::from_utf8(bytes).expect("text"), watcher)
    }

    #[test]
    fn bytes_pass_as_they_are_but_for_the_usage_that_only_we_wanted() {
        let alone = "data: {\"choices\":[ ],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n";
        assert!(STREAM.contains(alone));
        let without = STREAM.replace(alone, "");
        for size in 1..STREAM.len() + 1 {
            for (strip, expected) in [(false, STREAM), (true, &*without)] {
                let (text, watcher) = passed(strip, size);
                assert_eq!(text, expected, "pieces of {size}");
                assert_eq!(watcher.usage.expect("told").total(), 7);
                assert!(watcher.has_ended() && !watcher.has_failed && watcher.pieces == 2);
            }
        }
    }

    #[test]
    fn a_whole_piece_is_passed_on_without_a_copy() {
        let (mut watcher, mut out) = (Watcher::new(true, 1), VecDeque::new());
        let data = Bytes::from_static(b"data: {\"choices\":[{}]}\n\ndata: {\"choices\":[{}]}\n\n");
        watcher.feed(data.clone(), &mut out).expect("small");
        assert_eq!(out.len(), 1);
        assert_eq!(out[0].as_ptr(), data.as_ptr());
        assert!(!watcher.has_ended());
    }

    #[test]
    fn a_stream_of_several_answers_ends_with_the_last_of_them() {
        let (mut watcher, mut out) = (Watcher::new(false, 2), VecDeque::new());
        let ends = b"data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
        watcher.feed(Bytes::from_static(ends), &mut out).expect("small");
        assert!(!watcher.has_ended(), "the other one broke off");
        watcher.feed(Bytes::from_static(ends), &mut out).expect("small");
        assert!(watcher.has_ended());
    }

    #[test]
    fn failures_and_the_other_api_are_seen() {
        let mut watcher = Watcher::new(false, 1);
        let mut out = VecDeque::new();
        let failed = Bytes::from_static(b"data: {\"error\": {\"message\": \"x\"}}\n\n");
        watcher.feed(failed, &mut out).expect("small");
        assert!(watcher.has_failed && !watcher.has_ended());
        let mut watcher = Watcher::new(false, 1);
        let done = b"event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":1,\"output_tokens\":2}}}\n\n";
        watcher.feed(Bytes::from_static(done), &mut out).expect("small");
        assert!(watcher.has_ended());
        assert_eq!(watcher.usage.expect("told").total(), 3);
    }
}
