//! Streaming: partials on a terminal as they come, final results on standard output.

use std::io::Write;
use std::time::Duration;

use anyhow::bail;
use polyphony_proto::asr::v1 as pb;
use polyphony_proto::asr::v1::asr_service_client::AsrServiceClient;
use polyphony_proto::asr::v1::streaming_recognize_request::Request as Message;
use polyphony_proto::asr::v1::streaming_recognize_response::Event;
use serde_json::json;
use tokio::sync::oneshot;
use tokio_stream::{Stream, StreamExt};
use tonic::Request;
use tonic::transport::Channel;

use super::source::Pieces;
use super::{Line, degraded, duration, object, print};
use crate::args::{Format, Transcribe};
use crate::output;

/// Streams and prints: each final result as soon as it is there, partials on a watched terminal.
pub(super) async fn run(
    asr: &mut AsrServiceClient<Channel>,
    config: pb::RecognitionConfig,
    pieces: Pieces,
    args: &Transcribe,
    format: Format,
) -> anyhow::Result<()> {
    let partials = Partials {
        shown: output::is_watched() && format != Format::Json,
    };
    let mut lines = Vec::new();
    stream(asr, config, pieces, true, args.timeout, |event| match event {
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
    })
    .await?;
    match format {
        Format::Text | Format::Json => Ok(()),
        Format::Srt | Format::Vtt => print(&lines, format),
    }
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
    pieces: Pieces,
    interim_results: bool,
    timeout: Option<Duration>,
    mut on_event: impl FnMut(Event) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let streaming_config = pb::StreamingRecognitionConfig {
        config: Some(config),
        interim_results: Some(interim_results),
        ..Default::default()
    };
    let (failed, mut failure) = oneshot::channel();
    let mut request = Request::new(messages(streaming_config, pieces, failed));
    if let Some(timeout) = timeout {
        request.set_timeout(timeout);
    }
    let mut events = asr.streaming_recognize(request).await?.into_inner();
    let mut ended = false;
    while let Some(response) = events.next().await {
        if let Some(event) = response?.event {
            ended = matches!(event, Event::Ended(_));
            on_event(event)?;
        }
    }
    if let Ok(error) = failure.try_recv() {
        bail!("cannot read the input: {error}");
    }
    if !ended {
        bail!("the stream broke off: the mesh ended it without saying how");
    }
    Ok(())
}

/// The config, then the pieces. A failed read ends the stream and is told apart through `failed`.
fn messages(
    config: pb::StreamingRecognitionConfig,
    pieces: Pieces,
    failed: oneshot::Sender<std::io::Error>,
) -> impl Stream<Item = pb::StreamingRecognizeRequest> + Send + 'static {
    let mut failed = Some(failed);
    let audio = pieces.map_while(move |piece| match piece {
        Ok(piece) => Some(Message::Audio(piece.into())),
        Err(error) => {
            if let Some(failed) = failed.take() {
                drop(failed.send(error));
            }
            None
        }
    });
    tokio_stream::once(Message::StreamingConfig(config))
        .chain(audio)
        .map(|request| pb::StreamingRecognizeRequest {
            request: Some(request),
        })
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
    })
}

/// The line on a terminal that is written over by each partial result.
struct Partials {
    shown: bool,
}

impl Partials {
    fn show(&self, text: &str) -> anyhow::Result<()> {
        if self.shown {
            // Only the end of a long partial fits on the line; writing over a wrapped line would leave its beginning.
            let width = 100;
            let skip = text.chars().count().saturating_sub(width);
            let tail: String = text.chars().skip(skip).collect();
            let mut err = std::io::stderr().lock();
            write!(err, "\r\x1b[2K\x1b[2m{tail}\x1b[0m")?;
            err.flush()?;
        }
        Ok(())
    }

    fn clear(&self) -> anyhow::Result<()> {
        if self.shown {
            let mut err = std::io::stderr().lock();
            write!(err, "\r\x1b[2K")?;
            err.flush()?;
        }
        Ok(())
    }
}
