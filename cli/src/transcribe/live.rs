//! Streaming: partials on a terminal as they come, final results on standard output.
//!
//! Ctrl-C ends the input and not the command: what was said until then is still written down. A second one ends it.

use std::cell::Cell;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use console::{Term, measure_text_width};
use polyphony_proto::asr::v1 as pb;
use polyphony_proto::asr::v1::asr_service_client::AsrServiceClient;
use polyphony_proto::asr::v1::streaming_recognize_request::Request as Message;
use polyphony_proto::asr::v1::streaming_recognize_response::Event;
use serde_json::json;
use tokio::sync::oneshot;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::Channel;

use super::{Line, object, print};
use crate::args::Format;
use crate::source::{self, Pieces};
use crate::wire::{degraded, duration};
use crate::{client, output};

/// As a shell says that a command ended by Ctrl-C: 128 and the number of SIGINT.
const INTERRUPTED: u8 = 130;

/// Streams and prints: each final result as soon as it is there, partials on a watched terminal.
pub(super) async fn run(
    asr: &mut AsrServiceClient<Channel>,
    config: pb::RecognitionConfig,
    pieces: Pieces,
    timeout: Option<Duration>,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let partials = Partials {
        shown: output::is_watched() && format != Format::Json,
    };
    let mut lines = Vec::new();
    let (stop, stopped) = oneshot::channel::<()>();
    let interrupted = Cell::new(false);
    let interrupts = async {
        tokio::signal::ctrl_c().await?;
        interrupted.set(true);
        drop(stop);
        Ok(tokio::signal::ctrl_c().await?)
    };
    let pieces = futures_util::StreamExt::take_until(pieces, stopped);
    let streamed = stream(asr, config, pieces, true, timeout, |event| match event {
        Event::Result(result) => {
            let last = result.is_final;
            let Some(line) = line(result) else { return Ok(()) };
            if format == Format::Json {
                let mut value = object(&line);
                value["final"] = json!(last);
                return output::object(&value);
            }
            if !last {
                return partials.show(&line.text);
            }
            partials.clear()?;
            if format == Format::Text {
                return output::line(&line.text);
            }
            lines.push(line);
            Ok(())
        }
        Event::Ready(ready) => {
            if let Some(remark) = ready.receipt.and_then(degraded) {
                output::remark(&remark);
            }
            Ok(())
        }
        Event::SpeechEvent(_) | Event::Marker(_) | Event::Ended(_) => Ok(()),
    });
    let ended = tokio::select! {
        ended = streamed => ended,
        ended = interrupts => ended,
    };
    partials.clear()?;
    ended?;
    match format {
        Format::Text | Format::Json => {}
        Format::Srt | Format::Vtt => print(&lines, format)?,
    }
    Ok(ExitCode::from(if interrupted.get() { INTERRUPTED } else { 0 }))
}

/// Streams and gives all final results at the end, for recordings that do not fit into one message.
pub(super) async fn collect(
    asr: &mut AsrServiceClient<Channel>,
    config: pb::RecognitionConfig,
    pieces: Pieces,
    timeout: Option<Duration>,
) -> anyhow::Result<(Vec<Line>, Option<String>)> {
    let (mut lines, mut remark) = (Vec::new(), None);
    stream(asr, config, pieces, false, timeout, |event| {
        match event {
            Event::Result(result) if result.is_final => lines.extend(line(result)),
            Event::Ready(ready) => remark = ready.receipt.and_then(degraded),
            _ => {}
        }
        Ok(())
    })
    .await?;
    Ok((lines, remark))
}

async fn stream(
    asr: &mut AsrServiceClient<Channel>,
    config: pb::RecognitionConfig,
    pieces: impl Stream<Item = io::Result<Vec<u8>>> + Send + 'static,
    interim_results: bool,
    timeout: Option<Duration>,
    mut on_event: impl FnMut(Event) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let streaming_config = pb::StreamingRecognitionConfig {
        config: Some(config),
        interim_results: Some(interim_results),
        ..Default::default()
    };
    let first = Message::StreamingConfig(streaming_config);
    let (messages, failure) = source::messages(vec![first], pieces, |bytes| Message::Audio(bytes.into()));
    let messages = messages.map(|request| pb::StreamingRecognizeRequest {
        request: Some(request),
    });
    let request = client::request(messages, timeout);
    let received = async {
        let mut events = asr.streaming_recognize(request).await?.into_inner();
        let mut ended = false;
        while let Some(response) = events.next().await {
            if let Some(event) = response?.event {
                ended = matches!(event, Event::Ended(_));
                on_event(event)?;
            }
        }
        if !ended {
            bail!("the stream broke off: the mesh ended it without saying how");
        }
        Ok(())
    };
    failure.explain(received.await)
}

fn line(result: pb::StreamingRecognitionResult) -> Option<Line> {
    let end = duration(result.result_end_offset);
    let best = result.alternatives.into_iter().next()?;
    let start = best.words.first().map_or(end, |word| duration(word.start_offset));
    Some(Line {
        start,
        end,
        text: best.transcript,
        confidence: best.confidence,
        words: best.words,
        speaker: None,
    })
}

/// As much of the end of a text as fits into so many columns.
fn tail(text: &str, columns: usize) -> &str {
    let mut left = columns;
    let mut start = text.len();
    for (at, character) in text.char_indices().rev() {
        let width = measure_text_width(character.encode_utf8(&mut [0; 4]));
        let Some(rest) = left.checked_sub(width) else {
            break;
        };
        (left, start) = (rest, at);
    }
    &text[start..]
}

/// The line on a terminal that is written over by each partial result.
struct Partials {
    shown: bool,
}

impl Partials {
    fn show(&self, text: &str) -> anyhow::Result<()> {
        if self.shown {
            // Only the end of a long partial fits on the line; writing over a wrapped line would leave its beginning.
            let (_, columns) = Term::stderr().size();
            let tail = tail(text, usize::from(columns).saturating_sub(1));
            let mut err = io::stderr().lock();
            write!(err, "\r\x1b[2K\x1b[2m{tail}\x1b[0m")?;
            err.flush()?;
        }
        Ok(())
    }

    fn clear(&self) -> anyhow::Result<()> {
        if self.shown {
            let mut err = io::stderr().lock();
            write!(err, "\r\x1b[2K")?;
            err.flush()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_long_partial_fits_on_the_line() {
        assert_eq!(tail("ten meters", 80), "ten meters");
        assert_eq!(tail("ten meters", 6), "meters");
        assert_eq!(tail("ten meters", 0), "");
        // Each of these takes two columns.
        assert_eq!(tail("十米", 3), "米");
    }
}
