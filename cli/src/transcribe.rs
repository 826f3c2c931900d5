//! `polyphony transcribe`: a recording or standard input to text, at once or while it is spoken.

mod live;
mod source;

use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use polyphony_asr::render;
use polyphony_proto::asr::v1 as pb;
use polyphony_proto::asr::v1::asr_service_client::AsrServiceClient;
use polyphony_proto::time;
use polyphony_proto::types::v1::{AudioEncoding, ExplicitDecoding, Media, media};
use serde_json::{Value, json};
use tonic::Request;
use tonic::transport::Channel;

use crate::args::{Encoding, Format, Transcribe};
use crate::{client, output};

/// What fits into one message, with room for the config. Longer recordings are streamed.
const INLINE_BYTES: usize = 4 * 1024 * 1024 - 64 * 1024;

/// A stretch of speech, as both ways of recognising give it.
#[derive(Debug)]
struct Line {
    start: Duration,
    end: Duration,
    text: String,
    confidence: Option<f32>,
    words: Vec<pb::WordInfo>,
}

pub(crate) async fn run(gateway: &str, json: bool, args: Transcribe) -> anyhow::Result<ExitCode> {
    let format = if json { Format::Json } else { args.format };
    let config = config(&args);
    let mut asr = AsrServiceClient::new(client::connect(gateway).await?);

    if args.stream {
        live::run(&mut asr, config, source::open(&args)?, &args, format).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let recording = read(&args)?;
    let (lines, remark) = if recording.len() <= INLINE_BYTES {
        recognize(&mut asr, config, recording, args.timeout).await?
    } else {
        live::collect(&mut asr, config, source::buffered(recording), args.timeout).await?
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

fn read(args: &Transcribe) -> anyhow::Result<Vec<u8>> {
    let mut recording = Vec::new();
    if args.file.as_os_str() == "-" {
        std::io::stdin()
            .lock()
            .read_to_end(&mut recording)
            .context("cannot read standard input")?;
    } else {
        recording =
            std::fs::read(&args.file).with_context(|| format!("cannot read {}", args.file.display()))?;
    }
    Ok(recording)
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
