//! Separation through a real socket, with a tiny network of random weights that a folder of the catalogue names: what
//! the engine gives comes out whole, in order, in small pieces, in every encoding.

use std::fs;
use std::path::PathBuf;

use polyphony_analysis::domain::{SeparationOptions, SeparationPlan, StemBlock};
use polyphony_analysis::engine::htdemucs::HtDemucs;
use polyphony_analysis::engine::{Error, SeparationEngine, StemSink};
use polyphony_audio::decode::decode;
use polyphony_audio::limits::{Cancel as Stop, Limits};
use polyphony_audio::pcm::{Encoding, Pcm, Spec};
use polyphony_audio::write::{WavFormat, wav};
use polyphony_inference::Cancel;
use polyphony_proto::analysis::v1 as pb;
use polyphony_proto::analysis::v1::FeatureKind as Kind;
use polyphony_proto::analysis::v1::separate_response::Event;
use tempfile::TempDir;
use tokio::time::timeout;
use tonic::{Code, Status};

use crate::engines::{CONFIG, RUNTIME};
use crate::support::{SOON, Served, assert_refused, collect, features, inline, seconds, served};

const MODEL: &str = "tiny/htdemucs";
const RATE: u32 = 44_100;

/// The program over a store whose catalogue names the tiny network.
struct Mesh {
    served: Served,
    _store: TempDir,
}

/// What came out, stem by stem.
#[derive(Debug, Default, PartialEq)]
struct Stems(Vec<Vec<f32>>);

impl StemSink for Stems {
    fn block(&mut self, block: StemBlock) -> Result<(), Error> {
        self.0.resize(block.stems.len(), Vec::new());
        for (stem, samples) in self.0.iter_mut().zip(block.stems) {
            stem.extend(samples);
        }
        Ok(())
    }
}

fn fixtures() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/engines"))
}

async fn mesh(settings: &[&str]) -> Mesh {
    let store = tempfile::tempdir().expect("a folder");
    let entry = format!(
        r#"
        [[model]]
        id = "{MODEL}"
        task = "separation"
        engine = "htdemucs"
        description = "random weights"
        licence = "CC0-1.0"
        source = {{ kind = "folder", path = {:?} }}
        variant = [{{ name = "fp32", memory_bytes = 1, files = [{{ path = "htdemucs_core.onnx" }}] }}]
        "#,
        fixtures()
    );
    fs::create_dir(store.path().join("catalogue.d")).expect("a folder");
    fs::write(store.path().join("catalogue.d/tiny.toml"), entry).expect("written");
    let dir = format!("models.dir={}", store.path().display());
    let mut all = vec![dir.as_str()];
    all.extend(settings);
    Mesh {
        served: served(&all).await,
        _store: store,
    }
}

/// Stereo noise over tones, as it is after it was written as 16 bits.
fn mix(frames: u32, rate: u32) -> Pcm {
    let mut state = 1u32;
    let samples = (0..2 * frames)
        .map(|n| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = (f64::from(state) / 4_294_967_296.0 - 0.5) * 0.2;
            let tone = 0.3 * (f64::from(n / 2) * (0.03 + 0.02 * f64::from(n % 2))).sin();
            ((noise + tone) * 32_768.0).round() as f32 / 32_768.0
        })
        .collect();
    Pcm::new(samples, Spec::new(rate, 2).expect("valid"))
}

fn file(mix: &Pcm) -> Vec<u8> {
    wav(mix, WavFormat::S16).expect("small")
}

/// The engine, asked without a socket.
fn engine() -> HtDemucs {
    HtDemucs::load(
        &[fixtures().join("htdemucs_core.onnx")],
        MODEL,
        "sha256:0",
        &RUNTIME,
        &CONFIG,
    )
    .expect("loads")
}

fn plan(engine: &HtDemucs) -> SeparationPlan {
    let options = SeparationOptions {
        shifts: 0,
        ..SeparationOptions::default()
    };
    engine.plan(&options).expect("a plan")
}

/// Without shifts nothing is random.
fn config(encoding: pb::StemEncoding) -> pb::SeparationConfig {
    pb::SeparationConfig {
        shifts: Some(0),
        stem_encoding: encoding.into(),
        ..Default::default()
    }
}

/// The events of a separation that ends well: what was ready, each stem's bytes, and the end.
fn sorted(events: Vec<Event>) -> (pb::SeparationReady, Vec<Vec<u8>>, pb::SeparationEnded) {
    let mut events = events.into_iter();
    let Some(Event::Ready(ready)) = events.next() else {
        panic!("not ready first")
    };
    let mut stems = vec![Vec::new(); ready.stems.len()];
    let (mut ended, mut done) = (None, 0.0);
    for event in events {
        assert!(ended.is_none(), "nothing comes after the end");
        match event {
            Event::Ready(_) => panic!("ready twice"),
            Event::Chunk(chunk) => {
                assert!(chunk.audio_content.len() <= 32 << 10);
                let at = ready
                    .stems
                    .iter()
                    .position(|stem| *stem == chunk.stem)
                    .expect("a stem");
                stems[at].extend(chunk.audio_content);
            }
            Event::Progress(progress) => {
                let now = seconds(progress.done_duration);
                assert!(now >= done, "progress never falls");
                done = now;
            }
            Event::Ended(end) => ended = Some(end),
        }
    }
    (ready, stems, ended.expect("an end"))
}

impl Mesh {
    async fn separate(&self, config: pb::SeparationConfig, bytes: Vec<u8>) -> Result<Vec<Event>, Status> {
        let request = pb::SeparateRequest {
            config: Some(config),
            audio: inline(bytes),
        };
        let (replies, ended) = collect(self.served.client.clone().separate(request).await).await;
        ended?;
        Ok(replies.into_iter().filter_map(|reply| reply.event).collect())
    }

    async fn stream(
        &self,
        config: pb::SeparationConfig,
        bytes: &[u8],
        cut: usize,
    ) -> Result<Vec<pb::StreamingSeparateResponse>, Status> {
        use pb::streaming_separate_request::Request;
        let mut all = vec![Request::Config(config)];
        all.extend(
            bytes
                .chunks(cut)
                .map(|piece| Request::Audio(piece.to_vec().into())),
        );
        let requests: Vec<_> = all
            .into_iter()
            .map(|request| pb::StreamingSeparateRequest {
                request: Some(request),
            })
            .collect();
        let answer = self
            .served
            .client
            .clone()
            .streaming_separate(tokio_stream::iter(requests))
            .await;
        let (replies, ended) = collect(answer).await;
        ended.map(|()| replies)
    }
}

#[tokio::test]
async fn stems_come_whole_and_in_every_encoding() {
    let mesh = mesh(&[]).await;
    let mix = mix(30_000, RATE);
    let engine = engine();
    let mut expected = Stems::default();
    engine
        .separate(&mix, &plan(&engine), &Cancel::default(), &mut expected)
        .expect("stems");

    let events = mesh
        .separate(config(pb::StemEncoding::Float32), file(&mix))
        .await
        .expect("stems");
    let (ready, stems, ended) = sorted(events);
    assert_eq!(ready.stems, ["drums", "bass", "other", "vocals"]);
    assert_eq!((ready.sample_rate_hertz, ready.audio_channel_count), (RATE, 2));
    let effective = ready.effective_config.expect("a config");
    assert_eq!((effective.overlap, effective.shifts), (Some(0.25), Some(0)));
    assert!(effective.segment_duration.is_some() && effective.stems.len() == 4);
    let receipt = ended.receipt.expect("a receipt");
    assert_eq!(
        (receipt.engine.as_str(), receipt.model.as_str()),
        ("htdemucs", MODEL)
    );
    assert!(receipt.model_digest.starts_with("sha256:"));
    assert!((seconds(ended.audio_duration) - 30_000.0 / f64::from(RATE)).abs() < 1e-6);
    for (bytes, expected) in stems.iter().zip(&expected.0) {
        let mut samples = Vec::new();
        Encoding::F32.decode_into(bytes, &mut samples);
        assert_eq!(samples, *expected);
    }

    let events = mesh
        .separate(config(pb::StemEncoding::Unspecified), file(&mix))
        .await
        .expect("stems");
    let (_, linear, _) = sorted(events);
    let events = mesh
        .separate(config(pb::StemEncoding::Flac), file(&mix))
        .await
        .expect("stems");
    let (_, flac, _) = sorted(events);
    for (flac, linear) in flac.iter().zip(&linear) {
        let mut samples = Vec::new();
        Encoding::S16.decode_into(linear, &mut samples);
        assert_eq!(samples.len(), 60_000);
        let decoded = decode(flac, &Limits::default(), &Stop::new()).expect("one file");
        assert_eq!(decoded.pcm.samples(), samples);
    }
}

#[tokio::test]
async fn a_stream_gives_what_the_engine_gives_a_stream_however_it_is_cut() {
    let mesh = mesh(&[]).await;
    let mix = mix(30_000, RATE);
    let engine = engine();
    let mut expected = Stems::default();
    let mut separator = engine
        .separator(mix.spec(), &plan(&engine), &Cancel::default())
        .expect("begins");
    separator.accept(mix.samples(), &mut expected).expect("stems");
    separator.finish(&mut expected).expect("stems");
    for cut in [32 << 10, 5_001] {
        let replies = mesh
            .stream(config(pb::StemEncoding::Float32), &file(&mix), cut)
            .await
            .expect("stems");
        let sequence: Vec<u64> = replies.iter().map(|reply| reply.sequence).collect();
        assert_eq!(sequence, (1..=replies.len() as u64).collect::<Vec<_>>());
        let acked: Vec<f64> = replies
            .iter()
            .map(|reply| seconds(reply.acked_audio_offset))
            .collect();
        assert!(
            acked.is_sorted() && acked.last().is_some_and(|last| *last > 0.68),
            "{acked:?}"
        );
        let events = replies
            .into_iter()
            .filter_map(|reply| reply.response.and_then(|response| response.event))
            .collect();
        let (_, stems, _) = sorted(events);
        for (bytes, expected) in stems.iter().zip(&expected.0) {
            let mut samples = Vec::new();
            Encoding::F32.decode_into(bytes, &mut samples);
            assert_eq!(samples, *expected, "cut into {cut}");
        }
    }
}

#[tokio::test]
async fn one_stem_and_the_rest_and_a_seed_are_told_back() {
    let mesh = mesh(&[]).await;
    let asked = pb::SeparationConfig {
        stems: vec!["vocals".to_owned()],
        include_rest: Some(true),
        shifts: Some(1),
        ..Default::default()
    };
    let bytes = file(&mix(9_000, RATE));
    let events = mesh.separate(asked.clone(), bytes.clone()).await.expect("stems");
    let (ready, first, ended) = sorted(events);
    assert_eq!(ready.stems, ["vocals", "no_vocals"]);
    let seed = ended.receipt.and_then(|receipt| receipt.seed).expect("a seed");
    let again = pb::SeparationConfig {
        seed: Some(seed),
        ..asked
    };
    let (_, second, _) = sorted(mesh.separate(again, bytes).await.expect("stems"));
    assert_eq!(first, second, "the seed makes it repeatable");
}

#[tokio::test]
async fn what_the_model_cannot_do_is_refused_by_field_whole_and_streamed() {
    let mesh = mesh(&[]).await;
    let with = |change: fn(&mut pb::SeparationConfig)| {
        let mut asked = config(pb::StemEncoding::Linear16);
        change(&mut asked);
        asked
    };
    let bytes = file(&mix(4_000, RATE));
    for (field, asked) in [
        (
            "config.stems[0]",
            with(|asked| asked.stems = vec!["kazoo".to_owned()]),
        ),
        (
            "config.segment_duration",
            with(|asked| {
                asked.segment_duration = Some(prost_types::Duration {
                    seconds: 3_600,
                    nanos: 0,
                });
            }),
        ),
    ] {
        let whole = mesh
            .separate(asked.clone(), bytes.clone())
            .await
            .expect_err(field);
        assert_refused(&whole, Code::InvalidArgument, field);
        let stream = mesh.stream(asked, &bytes, 4_096).await.expect_err(field);
        assert_refused(&stream, Code::InvalidArgument, field);
    }
    let flac = config(pb::StemEncoding::Flac);
    let high = file(&mix(20_000, 192_000));
    let whole = mesh
        .separate(flac.clone(), high.clone())
        .await
        .expect_err("no such FLAC");
    assert_refused(&whole, Code::InvalidArgument, "config.stem_encoding");
    let stream = mesh.stream(flac, &high, 4_096).await.expect_err("no such FLAC");
    assert_refused(&stream, Code::InvalidArgument, "config.stem_encoding");
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_frees_its_worker() {
    let mesh = mesh(&["analysis.workers=1"]).await;
    let request = pb::SeparateRequest {
        config: Some(config(pb::StemEncoding::Linear16)),
        audio: inline(file(&mix(60 * RATE, RATE))),
    };
    let mut replies = mesh
        .served
        .client
        .clone()
        .separate(request)
        .await
        .expect("opens")
        .into_inner();
    let first = replies.message().await.expect("ok").expect("a reply");
    assert!(matches!(first.event, Some(Event::Ready(_))));
    drop(replies);
    let quick = mesh
        .served
        .features(features(&[Kind::Rms]), file(&mix(4_000, RATE)));
    timeout(SOON, quick)
        .await
        .expect("the worker is free")
        .expect("measured");
}
