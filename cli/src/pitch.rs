//! `polyphony pitch`: the pitch of a voice or instrument over time.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use polyphony_proto::analysis::v1 as pb;
use polyphony_proto::analysis::v1::analysis_service_client::AnalysisServiceClient;
use polyphony_proto::time;
use serde_json::json;
use tokio_stream::StreamExt;
use tonic::transport::Channel;

use crate::args::{Mesh, Pitch, PitchFormat};
use crate::source::{self, Input, Pieces};
use crate::{client, output, wire};

pub(crate) async fn run(mesh: &Mesh, json: bool, args: Pitch) -> anyhow::Result<ExitCode> {
    let format = if json { PitchFormat::Json } else { args.format };
    let audio = source::open(&args.audio, source::MOST_WHOLE)?;
    client::within(args.timeout, async {
        let mut analysis = AnalysisServiceClient::new(client::connect(mesh).await?);
        let config = config(&args);
        if format == PitchFormat::Csv {
            output::line("time,frequency,periodicity")?;
        }
        match audio {
            Input::Whole(bytes) => {
                let request = pb::PitchRequest {
                    config: Some(config),
                    audio: source::inline(bytes),
                };
                let response = analysis
                    .pitch(client::request(request, args.timeout))
                    .await?
                    .into_inner();
                print(&response.track.unwrap_or_default(), format)?;
            }
            Input::Pieces(pieces) => stream(&mut analysis, config, pieces, args.timeout, format).await?,
        }
        Ok(ExitCode::SUCCESS)
    })
    .await
}

/// A recording that does not fit into one message goes as a stream, and its frames are printed as they come.
async fn stream(
    analysis: &mut AnalysisServiceClient<Channel>,
    config: pb::PitchConfig,
    pieces: Pieces,
    timeout: Option<Duration>,
    format: PitchFormat,
) -> anyhow::Result<()> {
    use pb::streaming_pitch_request::Request as Message;
    use pb::streaming_pitch_response::Event;
    let (messages, failure) = source::messages(vec![Message::Config(config)], pieces, |bytes| {
        Message::Audio(bytes.into())
    });
    let messages = messages.map(|request| pb::StreamingPitchRequest {
        request: Some(request),
    });
    let streamed = async {
        let mut events = analysis
            .streaming_pitch(client::request(messages, timeout))
            .await?
            .into_inner();
        let mut ended = false;
        while let Some(response) = events.next().await {
            match response?.event {
                Some(Event::Track(track)) => print(&track, format)?,
                Some(Event::Ended(_)) => ended = true,
                Some(Event::Ready(_) | Event::Marker(_)) | None => {}
            }
        }
        if !ended {
            bail!("the stream broke off: the mesh ended it without saying how");
        }
        Ok(())
    };
    failure.explain(streamed.await)
}

fn config(args: &Pitch) -> pb::PitchConfig {
    let hop = args
        .hop
        .map(|milliseconds| Duration::from_millis(milliseconds.into()));
    pb::PitchConfig {
        model: args.model.clone().unwrap_or_default(),
        explicit_decoding: args.raw.decoding(),
        hop_duration: hop.map(time::to_wire),
        min_frequency_hertz: args.min,
        max_frequency_hertz: args.max,
        voicing_threshold: args.voicing,
        ..Default::default()
    }
}

fn print(track: &pb::PitchTrack, format: PitchFormat) -> anyhow::Result<()> {
    let (start, hop) = (
        wire::duration(track.start_offset).as_secs_f64(),
        wire::duration(track.hop_duration).as_secs_f64(),
    );
    let frames = track.frequency_hertz.iter().zip(&track.periodicity);
    for (at, (frequency, periodicity)) in frames.enumerate() {
        let time = start + at as f64 * hop;
        match format {
            PitchFormat::Csv => output::line(&format!("{time:.3},{frequency:.3},{periodicity:.4}"))?,
            PitchFormat::Json => output::object(&json!({
                "time": time,
                "frequency": frequency,
                "periodicity": periodicity,
            }))?,
        }
    }
    Ok(())
}
