//! Servers on port 0, clients, and an engine that counts seconds.

mod bystander;
mod messages;
mod program;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use polyphony_asr::config::Config;
use polyphony_asr::domain::{
    Cancel, Commit, DecodeOptions, EngineInfo, SAMPLE_RATE, Segment, TimingSource, Transcript, Word,
};
use polyphony_asr::engine::{Engine, Utterance};
use polyphony_asr::recognizers::Builder;
use polyphony_asr::vad::{FRAME, Vad, VoiceActivity};
use polyphony_asr::{Error, serve};
use polyphony_chassis::accept::Ended;
use polyphony_chassis::{Server, Trigger};
use polyphony_models::{Provenance, ResidencyPolicy, Residents, Spec};
use polyphony_proto::asr::v1 as pb;
use polyphony_proto::asr::v1::asr_service_client::AsrServiceClient;
use polyphony_proto::asr::v1::asr_service_server::SERVICE_NAME;
use polyphony_proto::google::longrunning::operations_client::OperationsClient;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

pub(crate) use bystander::{SOON, assert_untouched, bystander, day, wav};
pub(crate) use messages::*;
pub(crate) use program::program;

pub(crate) const RATE: usize = SAMPLE_RATE as usize;
/// Long for what takes a moment on a busy machine, short for what would never come.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running server.
pub(crate) struct Served {
    pub(crate) client: AsrServiceClient<Channel>,
    pub(crate) operations: OperationsClient<Channel>,
    pub(crate) trigger: Trigger,
    pub(crate) ended: JoinHandle<Ended>,
    /// Utterances and recordings that the engine holds now.
    pub(crate) held: Arc<AtomicUsize>,
    /// Where its batches are kept.
    pub(crate) _folder: Option<tempfile::TempDir>,
}

/// An engine that says one word for each second, and takes `step` for each second of a whole recording.
pub(crate) struct Counter {
    info: EngineInfo,
    step: Duration,
    held: Arc<AtomicUsize>,
}

/// Speech where a frame is not silent.
struct Loud;

struct Held(Arc<AtomicUsize>);

struct Counting {
    samples: usize,
    _held: Held,
}

impl Held {
    fn new(held: &Arc<AtomicUsize>) -> Self {
        held.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(held))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Engine for Counter {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn recognize(&self, audio: &[f32], _: &DecodeOptions, cancel: &Cancel) -> Result<Transcript, Error> {
        let _held = Held::new(&self.held);
        for _ in 0..audio.len().div_ceil(RATE) {
            thread::sleep(self.step);
            if cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
        }
        Ok(count(audio.len()))
    }

    fn utterance(&self, _: &DecodeOptions, _: &Cancel) -> Result<Box<dyn Utterance>, Error> {
        Ok(Box::new(Counting {
            samples: 0,
            _held: Held::new(&self.held),
        }))
    }
}

impl Utterance for Counting {
    fn accept(&mut self, samples: &[f32]) -> Result<(), Error> {
        self.samples += samples.len();
        Ok(())
    }

    fn hypothesis(&mut self) -> Result<Transcript, Error> {
        Ok(count(self.samples))
    }

    fn finish(self: Box<Self>) -> Result<Transcript, Error> {
        Ok(count(self.samples))
    }
}

impl Vad for Loud {
    fn probability(&mut self, frame: &[f32; FRAME]) -> Result<f32, Error> {
        Ok(if frame.iter().any(|sample| *sample != 0.0) {
            0.99
        } else {
            0.01
        })
    }
}

impl VoiceActivity for Loud {
    fn stream(&self) -> Box<dyn Vad> {
        Box::new(Self)
    }

    fn speech(&self, audio: &[f32], _: &Cancel) -> Result<Vec<std::ops::Range<usize>>, Error> {
        Ok(std::iter::once(0..audio.len()).collect())
    }
}

fn count(samples: usize) -> Transcript {
    let second = Duration::from_secs(1);
    let word = |at: u32| Word {
        text: format!("w{at}"),
        start: second * at,
        end: second * at + second / 2,
        confidence: None,
        log_prob: None,
        timing: TimingSource::Model,
    };
    let words: Vec<Word> = (0..samples.div_ceil(RATE) as u32).map(word).collect();
    let text = words
        .iter()
        .map(|word| word.text.clone())
        .collect::<Vec<_>>()
        .join(" ");
    let end = words.last().map(|word| word.end).unwrap_or_default();
    Transcript {
        segments: vec![Segment {
            text,
            words,
            end,
            ..Segment::default()
        }],
        language: Some("en".to_owned()),
    }
}

/// A config for tests: small and quick.
pub(crate) fn config() -> Config {
    let mut config = Config {
        max_streams: 4,
        workers: 2,
        max_queue: 2,
        ..Config::default()
    };
    config.server.drain.deadline = polyphony_config::HumanDuration::from_millis(300);
    config
}

/// Serves the counter, each second of a recording taking `step`.
pub(crate) async fn served(mut config: Config, step: Duration) -> Served {
    let own = config.jobs.data_dir.as_os_str().is_empty();
    let folder = own.then(|| tempfile::tempdir().expect("a folder"));
    if let Some(folder) = &folder {
        config.jobs.data_dir = folder.path().to_owned();
    }
    config.jobs.min_free = polyphony_config::ByteSize::mib(1);
    let held = Arc::new(AtomicUsize::new(0));
    let residents = Residents::new(ResidencyPolicy::default());
    let vad = Arc::new(|| Ok(Arc::new(Loud) as Arc<dyn VoiceActivity>));
    let spec = Spec {
        model: "counter".parse().expect("a name"),
        task: "asr".to_owned(),
        engine: "counter".to_owned(),
        memory_bytes: 0,
    };
    let engine: Arc<dyn Engine> = Arc::new(Counter {
        info: info(),
        step,
        held: Arc::clone(&held),
    });
    let recognizers = Builder::new(residents, vad, || Ok(()))
        .add(spec, || None, || true, move |_| Ok(Arc::clone(&engine)))
        .expect("once")
        .build();
    let running = polyphony_harness::running(SERVICE_NAME, |runtime, listener| {
        let server = Server::new("asr", &config.server);
        serve(server, config, recognizers, runtime, listener)
    });
    let running = running.await;
    let channel = running.channel().await;
    Served {
        client: AsrServiceClient::new(channel.clone()),
        operations: OperationsClient::new(channel),
        trigger: running.trigger,
        ended: running.ended,
        held,
        _folder: folder,
    }
}

fn info() -> EngineInfo {
    EngineInfo {
        made: Provenance {
            engine: "counter",
            version: "1".to_owned(),
            model: "counter".to_owned(),
            digest: format!("sha256:{}", "0".repeat(64)),
            device: "cpu".to_owned(),
            degraded: None,
        },
        languages: vec!["en".to_owned(), "de".to_owned()],
        detects_language: false,
        translates: false,
        takes_prompt: false,
        word_confidence: false,
        commit: Commit::LocalAgreement,
        partial_interval: Duration::from_millis(500),
    }
}

/// An open stream.
pub(crate) struct Open {
    pub(crate) requests: mpsc::Sender<pb::StreamingRecognizeRequest>,
    pub(crate) replies: Streaming<pb::StreamingRecognizeResponse>,
}

impl Served {
    pub(crate) async fn open(&self) -> Result<Open, Status> {
        let (requests, outgoing) = mpsc::channel(4);
        let replies = self
            .client
            .clone()
            .streaming_recognize(ReceiverStream::new(outgoing))
            .await?
            .into_inner();
        Ok(Open { requests, replies })
    }

    /// Sends all, closes, and collects the events and the status.
    pub(crate) async fn stream(
        &self,
        all: Vec<pb::StreamingRecognizeRequest>,
    ) -> (Vec<pb::StreamingRecognizeResponse>, Result<(), Status>) {
        let replies = self
            .client
            .clone()
            .streaming_recognize(tokio_stream::iter(all))
            .await;
        let mut replies = match replies {
            Ok(replies) => replies.into_inner(),
            Err(status) => return (Vec::new(), Err(status)),
        };
        let mut seen = Vec::new();
        loop {
            match replies.message().await {
                Ok(Some(reply)) => seen.push(reply),
                Ok(None) => return (seen, Ok(())),
                Err(status) => return (seen, Err(status)),
            }
        }
    }

    pub(crate) async fn recognize(
        &self,
        config: pb::RecognitionConfig,
        bytes: Vec<u8>,
    ) -> Result<pb::RecognizeResponse, Status> {
        let request = pb::RecognizeRequest {
            config: Some(config),
            audio: inline(bytes),
        };
        self.client
            .clone()
            .recognize(request)
            .await
            .map(tonic::Response::into_inner)
    }

    /// Until the engine holds so many utterances and recordings.
    pub(crate) async fn until_held(&self, enough: impl Fn(usize) -> bool) {
        let began = Instant::now();
        while !enough(self.held.load(Ordering::SeqCst)) {
            assert!(began.elapsed() < PATIENCE, "{:?} are held", self.held);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Until so many streams are open.
    pub(crate) async fn until_open(&self, enough: impl Fn(u32) -> bool) {
        let began = Instant::now();
        while !enough(self.open_streams().await) {
            assert!(
                began.elapsed() < PATIENCE,
                "{} are open",
                self.open_streams().await
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn open_streams(&self) -> u32 {
        let capabilities = self
            .client
            .clone()
            .get_capabilities(pb::GetCapabilitiesRequest {})
            .await;
        capabilities.expect("capabilities").into_inner().open_streams
    }
}
