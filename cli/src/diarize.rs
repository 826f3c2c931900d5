//! `polyphony diarize`: who speaks when in a recording.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use polyphony_proto::diar::v1 as pb;
use polyphony_proto::diar::v1::diar_service_client::DiarServiceClient;
use serde_json::{Value, json};
use tokio_stream::StreamExt;
use tonic::transport::Channel;

use crate::args::{Diarize, DiarizeFormat, Mesh};
use crate::source::{self, Input, Pieces};
use crate::{client, output, wire};

pub(crate) async fn run(mesh: &Mesh, json: bool, args: Diarize) -> anyhow::Result<ExitCode> {
    let format = if json { DiarizeFormat::Json } else { args.format };
    let audio = source::open(&args.audio, source::MOST_WHOLE)?;
    let name = source::stem(&args.audio);
    client::within(args.timeout, async {
        let mut diar = DiarServiceClient::new(client::connect(mesh).await?);
        let config = config(&args);
        let segments = segments(&mut diar, config, audio, args.exclusive, args.timeout).await?;
        print(&segments, &name, format)
    })
    .await
}

/// The segments of a recording, in order of time; one speaker at a time with `exclusive`.
pub(crate) async fn segments(
    diar: &mut DiarServiceClient<Channel>,
    config: pb::DiarizationConfig,
    audio: Input,
    exclusive: bool,
    timeout: Option<Duration>,
) -> anyhow::Result<Vec<pb::SpeakerSegment>> {
    match audio {
        Input::Whole(bytes) => {
            let config = pb::DiarizationConfig {
                include_exclusive: Some(exclusive),
                ..config
            };
            let request = pb::DiarizeRequest {
                config: Some(config),
                audio: source::inline(bytes),
                output_formats: Vec::new(),
            };
            let response = diar
                .diarize(client::request(request, timeout))
                .await?
                .into_inner();
            if let Some(remark) = response.receipt.and_then(wire::degraded) {
                output::remark(&remark);
            }
            Ok(if exclusive {
                response.exclusive_segments
            } else {
                response.segments
            })
        }
        Input::Pieces(_) if exclusive => {
            bail!(
                "the recording is too long for --exclusive: it is diarized as a stream, which has no such view"
            )
        }
        Input::Pieces(pieces) => stream(diar, config, pieces, timeout).await,
    }
}

/// A recording that does not fit into one message goes as a stream; the last revision of each segment counts.
async fn stream(
    diar: &mut DiarServiceClient<Channel>,
    config: pb::DiarizationConfig,
    pieces: Pieces,
    timeout: Option<Duration>,
) -> anyhow::Result<Vec<pb::SpeakerSegment>> {
    use pb::streaming_diarize_request::Request as Message;
    use pb::streaming_diarize_response::Event;
    output::remark(
        "note: the recording is long, so it is diarized as a stream, which hears less of the whole",
    );
    let first = Message::StreamingConfig(pb::StreamingDiarizationConfig {
        config: Some(config),
        ..Default::default()
    });
    let (messages, failure) = source::messages(vec![first], pieces, |bytes| Message::Audio(bytes.into()));
    let messages = messages.map(|request| pb::StreamingDiarizeRequest {
        request: Some(request),
    });
    let streamed = async {
        let mut events = diar
            .streaming_diarize(client::request(messages, timeout))
            .await?
            .into_inner();
        let mut segments: std::collections::BTreeMap<u64, pb::SpeakerSegment> = Default::default();
        let mut ended = false;
        while let Some(response) = events.next().await {
            match response?.event {
                Some(Event::Ready(ready)) => {
                    if let Some(remark) = ready.receipt.and_then(wire::degraded) {
                        output::remark(&remark);
                    }
                }
                Some(Event::Segments(more)) => {
                    segments.extend(
                        more.segments
                            .into_iter()
                            .map(|segment| (segment.segment_id, segment)),
                    );
                }
                Some(Event::Merged(pb::SpeakersMerged {
                    from_label,
                    into_label,
                })) => {
                    let of_it = segments
                        .values_mut()
                        .filter(|segment| segment.speaker_label == from_label);
                    of_it.for_each(|segment| segment.speaker_label.clone_from(&into_label));
                }
                Some(Event::Ended(_)) => ended = true,
                Some(Event::Marker(_)) | None => {}
            }
        }
        if !ended {
            bail!("the stream broke off: the mesh ended it without saying how");
        }
        let mut segments: Vec<_> = segments.into_values().collect();
        segments.sort_by_key(|segment| wire::duration(segment.start_offset));
        Ok(segments)
    };
    failure.explain(streamed.await)
}

fn config(args: &Diarize) -> pb::DiarizationConfig {
    pb::DiarizationConfig {
        model: args.model.clone().unwrap_or_default(),
        explicit_decoding: args.raw.decoding(),
        num_speakers: args.speakers,
        min_speakers: args.min_speakers,
        max_speakers: args.max_speakers,
        identify_speakers: args.identify.then_some(true),
        ..Default::default()
    }
}

/// Who speaks a segment: by name where it is known, else by label.
pub(crate) fn who(segment: &pb::SpeakerSegment) -> &str {
    if segment.speaker.is_empty() {
        &segment.speaker_label
    } else {
        &segment.speaker
    }
}

fn print(segments: &[pb::SpeakerSegment], name: &str, format: DiarizeFormat) -> anyhow::Result<ExitCode> {
    for segment in segments {
        let (start, end) = (
            wire::duration(segment.start_offset).as_secs_f64(),
            wire::duration(segment.end_offset).as_secs_f64(),
        );
        match format {
            DiarizeFormat::Text => output::line(&format!("{start:8.2} {end:8.2}  {}", who(segment)))?,
            DiarizeFormat::Rttm => output::line(&format!(
                "SPEAKER {name} 1 {start:.3} {:.3} <NA> <NA> {} <NA> <NA>",
                end - start,
                who(segment)
            ))?,
            DiarizeFormat::Json => output::object(&object(segment, start, end))?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn object(segment: &pb::SpeakerSegment, start: f64, end: f64) -> Value {
    json!({
        "start": start,
        "end": end,
        "speakerLabel": segment.speaker_label,
        "speaker": (!segment.speaker.is_empty()).then_some(&segment.speaker),
        "confidence": segment.confidence,
    })
}
