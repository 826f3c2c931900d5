//! `Diarize`: one recording that came whole.

use std::time::Instant;

use polyphony_error::Fault;
use polyphony_proto::diar::v1 as pb;
use polyphony_wire::{Spent, media, receipt, wire_duration};
use tokio::task;

use super::Shared;
use crate::convert::request::{Asked, Plan};
use crate::convert::response;
use crate::domain::{Diarization, Segment};
use crate::identify::{Known, Names};
use crate::metrics::{self, Mode};
use crate::rttm;
use crate::whole::{Abandon, Recording};

pub(super) async fn diarize(
    shared: &Shared,
    request: pb::DiarizeRequest,
    id: String,
    owner: String,
) -> Result<pb::DiarizeResponse, Fault> {
    let pb::DiarizeRequest {
        config,
        audio,
        output_formats,
    } = request;
    let asked = Asked::parse(config, "config.")?;
    let formats = formats(output_formats)?;
    let bytes = media::inline(audio, "audio", "the recording")?;
    let abandon = Abandon::default();
    let longest = shared.config.max_diarize_duration.get();
    let recording = Recording::open(bytes, asked.format, "audio", longest, &shared.places, &abandon).await?;
    let diarizer = shared.diarizers.acquire(&asked.model).await?;
    let plan = asked.fit(diarizer.info())?;
    let Recording {
        samples,
        length,
        place,
        began,
    } = recording;
    let (load, waited, flag) = (diarizer.load, place.waited, abandon.engine.clone());
    let (speakers, candidates) = (shared.speakers.clone(), asked.identify.clone());
    let work = task::spawn_blocking(move || {
        let _place = place;
        let started = Instant::now();
        let info = diarizer.info().clone();
        let known = match &candidates {
            Some(candidates) => Some(Known::of(&speakers, &owner, candidates, &info)?),
            None => None,
        };
        let diarization = diarizer.diarize(&samples, &plan.options, &flag)?;
        metrics::diarized(info.made.engine, Mode::Whole, length, started.elapsed());
        let names = known.map(|known| known.name(&diarization.speakers, plan.identification));
        Ok::<_, Fault>((
            diarization,
            names.unwrap_or_default(),
            info,
            plan,
            started.elapsed(),
        ))
    });
    let (diarization, names, info, plan, inference) = work.await.map_err(Fault::internal)??;
    let spent = Spent {
        queue: Some(waited),
        load,
        inference: Some(inference),
        total: Some(began.elapsed()),
    };
    let rendered = formats
        .into_iter()
        .map(|format| rendered(format, &diarization, &names))
        .collect();
    let Plan {
        exclusive,
        embeddings,
        effective,
        ..
    } = plan;
    let segments = |segments: &[Segment]| {
        let wire = segments.iter().map(|segment| response::segment(segment, &names));
        wire.collect::<Vec<_>>()
    };
    Ok(pb::DiarizeResponse {
        segments: segments(&diarization.segments),
        exclusive_segments: if exclusive {
            segments(&diarization.exclusive)
        } else {
            Vec::new()
        },
        speakers: response::speakers(&diarization.speakers, &names, embeddings),
        overlaps: diarization.overlaps.into_iter().map(response::overlap).collect(),
        rendered,
        audio_duration: Some(wire_duration(length)),
        effective_config: Some(effective),
        receipt: Some(receipt(&id, &info.made, spent)),
    })
}

fn formats(asked: Vec<i32>) -> Result<Vec<pb::OutputFormat>, Fault> {
    let parse = |(at, format): (usize, i32)| match pb::OutputFormat::try_from(format) {
        Ok(pb::OutputFormat::Rttm) => Ok(pb::OutputFormat::Rttm),
        _ => Err(Fault::invalid(
            format!("output_formats[{at}]"),
            "must be OUTPUT_FORMAT_RTTM",
        )),
    };
    asked.into_iter().take(8).enumerate().map(parse).collect()
}

fn rendered(format: pb::OutputFormat, diarization: &Diarization, names: &Names) -> pb::RenderedDiarization {
    let who = |speaker: usize| match names.name(speaker) {
        "" => crate::domain::label(speaker),
        name => name.trim_start_matches("speakers/").to_owned(),
    };
    pb::RenderedDiarization {
        format: format.into(),
        content: rttm::write_named("recording", &diarization.segments, who),
    }
}
