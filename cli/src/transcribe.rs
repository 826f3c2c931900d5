//! `polyphony transcribe`: a recording or standard input to text, at once or while it is spoken.

mod aligned;
mod live;
mod people;

use std::borrow::Cow;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use polyphony_asr::render;
use polyphony_proto::asr::v1 as pb;
use polyphony_proto::asr::v1::asr_service_client::AsrServiceClient;
use polyphony_proto::diar::v1::DiarizationConfig;
use polyphony_proto::diar::v1::diar_service_client::DiarServiceClient;
use serde_json::{Value, json};
use tonic::transport::Channel;

use crate::args::{Format, Mesh, Transcribe};
use crate::source::{self, Input};
use crate::wire::{degraded, duration};
use crate::{client, diarize, output};

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
    /// Who speaks, when it was asked for.
    speaker: Option<String>,
}

pub(crate) async fn run(mesh: &Mesh, json: bool, args: Transcribe) -> anyhow::Result<ExitCode> {
    let format = if json { Format::Json } else { args.format };
    // Before the mesh: what cannot be read needs none, and what is slow to come keeps no connection waiting.
    if args.align || args.diarize {
        let Input::Whole(recording) = source::open(&args.file, source::MOST_WHOLE)? else {
            bail!(
                "the recording is larger than {} MiB, too large for --align and --diarize; give it as FLAC or Opus",
                source::MOST_WHOLE >> 20
            );
        };
        return client::within(args.timeout, enrich(mesh, &args, recording, format)).await;
    }
    let input = if args.stream {
        let pace = args.realtime.then(|| args.raw.bytes_per_second()).flatten();
        Input::Pieces(source::pieces(&args.file, pace)?)
    } else {
        source::open(&args.file, INLINE_BYTES)?
    };
    client::within(args.timeout, transcribe(mesh, &args, input, format)).await
}

async fn transcribe(
    mesh: &Mesh,
    args: &Transcribe,
    input: Input,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let mut asr = AsrServiceClient::new(client::connect(mesh).await?);
    let config = config(args);
    let timeout = args.timeout;
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

/// Recognises, then asks the other services about the same recording.
async fn enrich(
    mesh: &Mesh,
    args: &Transcribe,
    recording: Vec<u8>,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let channel = client::connect(mesh).await?;
    let mut asr = AsrServiceClient::new(channel.clone());
    let (mut lines, remark) = match source::of_bytes(recording.clone(), INLINE_BYTES) {
        Input::Whole(recording) => recognize(&mut asr, config(args), recording, args.timeout).await?,
        Input::Pieces(pieces) => live::collect(&mut asr, config(args), pieces, args.timeout).await?,
    };
    if let Some(remark) = remark {
        output::remark(&remark);
    }
    if args.align {
        aligned::refine(channel.clone(), args, recording.clone(), &mut lines).await?;
    }
    if args.diarize {
        let config = DiarizationConfig {
            explicit_decoding: args.raw.decoding(),
            num_speakers: args.speakers,
            ..DiarizationConfig::default()
        };
        let mut diar = DiarServiceClient::new(channel);
        let audio = Input::Whole(recording);
        let segments = diarize::segments(&mut diar, config, audio, true, args.timeout).await?;
        lines = people::assign(lines, &segments);
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
    let request = pb::RecognizeRequest {
        config: Some(config),
        audio: source::inline(recording),
    };
    let response = asr
        .recognize(client::request(request, timeout))
        .await?
        .into_inner();
    let lines = response.results.into_iter().filter_map(|result| {
        let best = result.alternatives.into_iter().next()?;
        Some(Line {
            start: duration(result.result_start_offset),
            end: duration(result.result_end_offset),
            text: best.transcript,
            confidence: best.confidence,
            words: best.words,
            speaker: None,
        })
    });
    Ok((lines.collect(), response.receipt.and_then(degraded)))
}

/// What the caller asked for, in the contract's words.
fn config(args: &Transcribe) -> pb::RecognitionConfig {
    let decoding = args
        .raw
        .decoding()
        .map(pb::recognition_config::Decoding::ExplicitDecoding);
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

// === impl Line ===

impl Line {
    /// The text, after who says it.
    fn said(&self) -> Cow<'_, str> {
        match &self.speaker {
            Some(speaker) => Cow::Owned(format!("{speaker}: {}", self.text)),
            None => Cow::Borrowed(&self.text),
        }
    }
}

fn print(lines: &[Line], format: Format) -> anyhow::Result<()> {
    match format {
        Format::Text => lines.iter().try_for_each(|line| output::line(&line.said())),
        Format::Json => lines.iter().try_for_each(|line| output::object(&object(line))),
        Format::Srt => captions(lines, render::Format::Srt),
        Format::Vtt => captions(lines, render::Format::Vtt),
    }
}

fn captions(lines: &[Line], format: render::Format) -> anyhow::Result<()> {
    let said: Vec<_> = lines.iter().map(Line::said).collect();
    let cues = lines.iter().zip(&said).map(|(line, said)| render::Cue {
        start: line.start,
        end: line.end,
        text: said,
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
                "speaker": (!word.speaker_label.is_empty()).then_some(&word.speaker_label),
            })
        })
        .collect();
    json!({
        "start": line.start.as_secs_f64(),
        "end": line.end.as_secs_f64(),
        "text": line.text,
        "confidence": line.confidence,
        "speaker": line.speaker,
        "words": words,
    })
}
