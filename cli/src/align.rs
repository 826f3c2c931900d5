//! `polyphony align`: when each word of a known text is said.

mod print;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use polyphony_proto::align::v1 as pb;
use polyphony_proto::align::v1::align_service_client::AlignServiceClient;
use tokio_stream::StreamExt;
use tonic::transport::Channel;

use crate::args::{Align, AlignFormat, Mesh};
use crate::source::{self, Input, Pieces};
use crate::{client, output, wire};

/// A text is not longer: 100,000 characters of four bytes.
const MOST_TEXT: usize = 400_000;
/// Characters of one message of a stream.
const MOST_PIECE: usize = 10_000;
/// Text and audio that agree less than this are probably not of each other.
const DOUBTFUL: f32 = 0.3;

/// Words with their times, and the length of the audio.
pub(crate) struct Aligned {
    pub(crate) words: Vec<pb::AlignedWord>,
    pub(crate) quality: f32,
    pub(crate) audio: Duration,
}

pub(crate) async fn run(mesh: &Mesh, json: bool, args: Align) -> anyhow::Result<ExitCode> {
    let format = if json { AlignFormat::Json } else { args.format };
    let text = match (&args.text, &args.transcript) {
        (Some(text), _) => text.clone(),
        (None, Some(path)) => source::text(path, MOST_TEXT)?,
        (None, None) => bail!("give a file with the text, or --text"),
    };
    let audio = source::open(&args.audio, source::MOST_WHOLE)?;
    let name = source::stem(&args.audio);
    client::within(args.timeout, async {
        let mut align = AlignServiceClient::new(client::connect(mesh).await?);
        let config = config(&args);
        let aligned = match audio {
            Input::Whole(bytes) => {
                let transcript = pb::align_request::Transcript::Text(text);
                whole(&mut align, config, bytes, transcript, args.timeout).await?
            }
            Input::Pieces(pieces) => stream(&mut align, config, pieces, text, args.timeout).await?,
        };
        aligned.doubt();
        print::print(&aligned, &name, format)?;
        Ok(ExitCode::SUCCESS)
    })
    .await
}

/// Aligns a recording that fits into one message.
pub(crate) async fn whole(
    align: &mut AlignServiceClient<Channel>,
    config: pb::AlignmentConfig,
    audio: Vec<u8>,
    transcript: pb::align_request::Transcript,
    timeout: Option<Duration>,
) -> anyhow::Result<Aligned> {
    let request = pb::AlignRequest {
        config: Some(config),
        audio: source::inline(audio),
        transcript: Some(transcript),
    };
    let response = align.align(client::request(request, timeout)).await?.into_inner();
    if let Some(remark) = response.receipt.and_then(wire::degraded) {
        output::remark(&remark);
    }
    Ok(Aligned {
        words: response.words,
        quality: response.alignment_quality,
        audio: wire::duration(response.audio_duration),
    })
}

/// A recording that does not fit into one message goes as a stream, after its text.
async fn stream(
    align: &mut AlignServiceClient<Channel>,
    config: pb::AlignmentConfig,
    pieces: Pieces,
    text: String,
    timeout: Option<Duration>,
) -> anyhow::Result<Aligned> {
    use pb::streaming_align_request::Request as Message;
    use pb::streaming_align_response::Event;
    let first = Message::StreamingConfig(pb::StreamingAlignmentConfig {
        config: Some(config),
        lookahead_duration: None,
    });
    let texts = source::cut(&text, MOST_PIECE).map(|piece| {
        Message::Transcript(pb::TranscriptSegment {
            text: piece.to_owned(),
            ..Default::default()
        })
    });
    let first = std::iter::once(first).chain(texts).collect();
    let (messages, failure) = source::messages(first, pieces, |bytes| Message::Audio(bytes.into()));
    let messages = messages.map(|request| pb::StreamingAlignRequest {
        request: Some(request),
    });
    let streamed = async {
        let request = client::request(messages, timeout);
        let mut events = align.streaming_align(request).await?.into_inner();
        let mut words = Vec::new();
        let mut ended = None;
        while let Some(response) = events.next().await {
            match response?.event {
                Some(Event::Ready(ready)) => {
                    if let Some(remark) = ready.receipt.and_then(wire::degraded) {
                        output::remark(&remark);
                    }
                }
                Some(Event::Words(more)) => words.extend(more.words),
                Some(Event::Ended(how)) => ended = Some(how),
                Some(Event::Marker(_)) | None => {}
            }
        }
        let Some(ended) = ended else {
            bail!("the stream broke off: the mesh ended it without saying how");
        };
        Ok(Aligned {
            words,
            quality: ended.alignment_quality,
            audio: wire::duration(ended.audio_duration),
        })
    };
    failure.explain(streamed.await)
}

fn config(args: &Align) -> pb::AlignmentConfig {
    let fine = [
        args.characters.then_some(pb::Granularity::Character),
        args.phones.then_some(pb::Granularity::Phoneme),
    ];
    pb::AlignmentConfig {
        model: args.model.clone().unwrap_or_default(),
        language_code: args.language.clone(),
        explicit_decoding: args.raw.decoding(),
        granularities: fine.into_iter().flatten().map(Into::into).collect(),
        ..Default::default()
    }
}

// === impl Aligned ===

impl Aligned {
    /// Says so when text and audio are probably not of each other.
    pub(crate) fn doubt(&self) {
        if self.quality < DOUBTFUL {
            output::remark(&format!(
                "note: text and audio agree little ({:.2} of 1): are they of each other, and is the language right?",
                self.quality
            ));
        }
    }
}
