//! `polyphony transcribe`: a recording or standard input to text, at once or while it is spoken.

mod live;
mod source;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use polyphony_asr::render;
use polyphony_proto::asr::v1 as pb;
use polyphony_proto::asr::v1::asr_service_client::AsrServiceClient;
use polyphony_proto::time;
use polyphony_proto::types::v1::{AudioEncoding, ExplicitDecoding, Media, media};
use serde_json::{Value, json};
use tonic::Request;
use tonic::transport::Channel;

use crate::args::{Encoding, Format, Mesh, Transcribe};
use crate::{client, output};
use source::Input;

/// What fits into one message, with room for the config. Longer recordings are streamed.
const INLINE_BYTES: usize = 4 * 1024 * 1024 - 64 * 1024;

/// What the mesh gets on top of `--timeout`.
const GRACE: Duration = Duration::from_secs(1);

/// A stretch of speech, as both ways of recognising give it.
#[derive(Debug)]
struct Line {
    start: Duration,
    end: Duration,
    text: String,
    confidence: Option<f32>,
    words: Vec<pb::WordInfo>,
}

pub(crate) async fn run(mesh: &Mesh, json: bool, args: Transcribe) -> anyhow::Result<ExitCode> {
    let format = if json { Format::Json } else { args.format };
    // Before the mesh: what cannot be read needs none, and what is slow to come keeps no connection waiting.
    let input = source::open(&args, INLINE_BYTES)?;
    let Some(timeout) = args.timeout else {
        return transcribe(mesh, &args, input, format).await;
    };
    // The mesh is told too, but not trusted to answer at all.
    match tokio::time::timeout(timeout, transcribe(mesh, &args, input, format)).await {
        Ok(ended) => ended,
        Err(_) => bail!("not done within {timeout:?}, the time that --timeout gives"),
    }
}

async fn transcribe(
    mesh: &Mesh,
    args: &Transcribe,
    input: Input,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let mut asr = AsrServiceClient::new(client::connect(mesh).await?);
    let config = config(args);
    // A little more than we wait, so that it is we who say that the time is over.
    let timeout = args.timeout.map(|timeout| timeout.saturating_add(GRACE));
    let (lines, remark) = match input {
        Input::Whole(recording) => recognize(&mut asr, config, recording, timeout).await?,
        Input::Pieces(pieces) if args.stream => {
            return live::run(&mut asr, config, pieces, timeout, format).await;
        }
        Input::Pieces(pieces) => live::collect(&mut asr, config, pieces, timeout).await?,
    };
    if let Some(remark) = remark {
        output::remark(&remark);
    }
    print(&lines, format)?;
    Ok(ExitCode::SUCCESS)
}

async fn recognize(
    asr: &mut AsrServiceClient<Channel>,
    config: pb::RecognitionConfig,
    recording: Vec<u8>,
    timeout: Option<Duration>,
) -> anyhow::Result<(Vec<Line>, Option<String>)> {
    let audio = Media {
        source: Some(media::Source::Inline(recording.into())),
    };
    let mut request = Request::new(pb::RecognizeRequest {
        config: Some(config),
        audio: Some(audio),
    });
    if let Some(timeout) = timeout {
        request.set_timeout(timeout);
    }
    let response = asr.recognize(request).await?.into_inner();
    let lines = response.results.into_iter().filter_map(|result| {
        let best = result.alternatives.into_iter().next()?;
        Some(Line {
            start: duration(result.result_start_offset),
            end: duration(result.result_end_offset),
            text: best.transcript,
            confidence: best.confidence,
            words: best.words,
        })
    });
    Ok((lines.collect(), response.receipt.and_then(degraded)))
}

/// What the caller asked for, in the contract's words.
fn config(args: &Transcribe) -> pb::RecognitionConfig {
    let decoding = args.encoding.map(|encoding| {
        let encoding = match encoding {
            Encoding::Linear16 => AudioEncoding::Linear16,
            Encoding::Float32 => AudioEncoding::Float32,
            Encoding::Mulaw => AudioEncoding::Mulaw,
            Encoding::Alaw => AudioEncoding::Alaw,
        };
        pb::recognition_config::Decoding::ExplicitDecoding(ExplicitDecoding {
            encoding: encoding.into(),
            sample_rate_hertz: args.rate.unwrap_or_default(),
            audio_channel_count: args.channels,
        })
    });
    pb::RecognitionConfig {
        model: args.model.clone().unwrap_or_default(),
        language_codes: args.language.iter().cloned().collect(),
        decoding,
        features: Some(pb::RecognitionFeatures {
            enable_word_time_offsets: Some(true),
            ..Default::default()
        }),
        task: if args.translate {
            pb::Task::Translate
        } else {
            pb::Task::Unspecified
        }
        .into(),
        ..Default::default()
    }
}

fn print(lines: &[Line], format: Format) -> anyhow::Result<()> {
    match format {
        Format::Text => lines.iter().try_for_each(|line| output::line(&line.text)),
        Format::Json => lines.iter().try_for_each(|line| output::object(&object(line))),
        Format::Srt => captions(lines, render::Format::Srt),
        Format::Vtt => captions(lines, render::Format::Vtt),
    }
}

fn captions(lines: &[Line], format: render::Format) -> anyhow::Result<()> {
    let cues = lines.iter().map(|line| render::Cue {
        start: line.start,
        end: line.end,
        text: &line.text,
    });
    output::line(render::render(format, cues).trim_end())
}

fn object(line: &Line) -> Value {
    let words: Vec<Value> = line
        .words
        .iter()
        .map(|word| {
            json!({
                "word": word.word,
                "start": duration(word.start_offset).as_secs_f64(),
                "end": duration(word.end_offset).as_secs_f64(),
                "confidence": word.confidence,
            })
        })
        .collect();
    json!({
        "start": line.start.as_secs_f64(),
        "end": line.end.as_secs_f64(),
        "text": line.text,
        "confidence": line.confidence,
        "words": words,
    })
}

/// A remark when a fallback was taken: nothing degrades silently.
fn degraded(receipt: polyphony_proto::types::v1::Receipt) -> Option<String> {
    receipt
        .degraded
        .map(|degraded| format!("note: {}", degraded.message))
}

/// An offset of the wire; absent and negative ones are 0.
fn duration(offset: Option<prost_types::Duration>) -> Duration {
    offset
        .and_then(|offset| time::from_wire(&offset).ok())
        .unwrap_or_default()
}
