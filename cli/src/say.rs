//! `polyphony say`: a text to a sound file, spoken as it comes.
//!
//! The mesh sends raw samples in a stream, so any length can be said and the first words are there at once; what the
//! file is made of is decided here.

mod sink;
mod voices;

use std::io::{self, BufRead};
use std::process::ExitCode;

use anyhow::{Context, bail};
use polyphony_proto::tts::v1 as pb;
use polyphony_proto::tts::v1::streaming_synthesize_request::Request as Message;
use polyphony_proto::tts::v1::streaming_synthesize_response::Event;
use polyphony_proto::tts::v1::tts_service_client::TtsServiceClient;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};

use crate::args::{Mesh, Say};
use crate::{client, output, source, wire};
use sink::Sink;

/// Characters of one message of a stream.
const MOST_PIECE: usize = 5_000;

pub(crate) async fn run(mesh: &Mesh, json: bool, args: Say) -> anyhow::Result<ExitCode> {
    let said = async {
        let mut tts = TtsServiceClient::new(client::connect(mesh).await?);
        if args.list_voices {
            return voices::list(&mut tts, &args, json).await;
        }
        let (Some(text), Some(place)) = (&args.text, &args.output) else {
            bail!("give a text and --output FILE");
        };
        let mut sink = Sink::open(place)?;
        let config = Message::StreamingConfig(pb::StreamingSynthesisConfig {
            config: Some(config(&args, &sink)),
            max_buffer_duration: None,
        });
        let messages = tokio_stream::once(config)
            .chain(inputs(text, args.ssml)?)
            .map(|request| pb::StreamingSynthesizeRequest {
                request: Some(request),
            });
        let mut events = tts
            .streaming_synthesize(client::request(messages, args.timeout))
            .await?
            .into_inner();
        let mut ended = false;
        while let Some(response) = events.next().await {
            match response?.event {
                Some(Event::Ready(ready)) => {
                    if let Some(remark) = ready.receipt.clone().and_then(wire::degraded) {
                        output::remark(&remark);
                    }
                    sink.begin(rate(ready)?)?;
                }
                Some(Event::Audio(frame)) => {
                    for word in frame.words.iter().filter(|_| args.words) {
                        show(word, json)?;
                    }
                    sink.push(&frame.audio_content)?;
                }
                Some(Event::Ended(_)) => ended = true,
                Some(Event::Marker(_) | Event::Cancelled(_)) | None => {}
            }
        }
        if !ended {
            bail!("the stream broke off: the mesh ended it without saying how");
        }
        sink.finish(json)?;
        Ok(ExitCode::SUCCESS)
    };
    client::within(args.timeout, said).await
}

fn config(args: &Say, sink: &Sink) -> pb::SynthesisConfig {
    pb::SynthesisConfig {
        model: args.model.clone().unwrap_or_default(),
        language_code: args.language.clone().unwrap_or_default(),
        voice: args.voice.clone().unwrap_or_default(),
        audio_config: Some(pb::AudioConfig {
            audio_encoding: pb::OutputEncoding::Linear16.into(),
            sample_rate_hertz: sink.rate(),
            speaking_rate: args.rate,
            pitch: args.pitch,
            volume_gain_db: args.volume,
            bit_rate: None,
        }),
        enable_word_time_offsets: args.words.then_some(true),
        ..Default::default()
    }
}

/// The text in messages; standard input line by line, as it comes.
fn inputs(text: &str, ssml: bool) -> anyhow::Result<Box<dyn Stream<Item = Message> + Send + Unpin>> {
    let input = |input| {
        Message::Input(pb::StreamingSynthesisInput {
            input: Some(input),
            prompt: String::new(),
        })
    };
    if ssml {
        let document = if text == "-" {
            io::read_to_string(io::stdin()).context("cannot read standard input")?
        } else {
            text.to_owned()
        };
        let message = input(pb::streaming_synthesis_input::Input::Ssml(document));
        return Ok(Box::new(tokio_stream::once(message)));
    }
    let spoken = move |piece: String| input(pb::streaming_synthesis_input::Input::Text(piece));
    if text != "-" {
        let pieces: Vec<_> = source::cut(text, MOST_PIECE)
            .map(|piece| spoken(piece.to_owned()))
            .collect();
        return Ok(Box::new(tokio_stream::iter(pieces)));
    }
    let (lines, receiver) = mpsc::channel(4);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            // Input that is no text ends what is said.
            let Ok(line) = line else { return };
            for piece in source::cut(&format!("{line}\n"), MOST_PIECE) {
                if lines.blocking_send(spoken(piece.to_owned())).is_err() {
                    return;
                }
            }
        }
    });
    Ok(Box::new(ReceiverStream::new(receiver)))
}

/// Samples a second of what will come.
fn rate(ready: pb::StreamingSynthesizeReady) -> anyhow::Result<u32> {
    let audio = ready
        .effective_config
        .and_then(|config| config.config)
        .and_then(|config| config.audio_config);
    audio
        .and_then(|audio| audio.sample_rate_hertz)
        .context("the mesh does not say how many samples a second it sends")
}

fn show(word: &pb::SpokenWord, as_json: bool) -> anyhow::Result<()> {
    let (start, end) = (
        wire::duration(word.start_offset).as_secs_f64(),
        wire::duration(word.end_offset).as_secs_f64(),
    );
    if as_json {
        return output::object(&json!({ "word": word.word, "start": start, "end": end }));
    }
    output::line(&format!("{start:8.3} {end:8.3}  {}", word.word))
}
