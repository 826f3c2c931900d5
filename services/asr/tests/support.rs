//! A server on port 0, a client, and an engine that counts seconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use polyphony_asr::config::Config;
use polyphony_asr::domain::{
    CancelFlag, Commit, DecodeOptions, EngineInfo, SAMPLE_RATE, Segment, TimingSource, Transcript, Word,
};
use polyphony_asr::engine::{Engine, Utterance};
use polyphony_asr::recognizers::Builder;
use polyphony_asr::vad::{FRAME, Vad, VoiceActivity};
use polyphony_asr::{Error, serve};
use polyphony_chassis::accept::Ended;
use polyphony_chassis::{Admission, Readiness, Runtime, Server, Shutdown, Trigger};
use polyphony_models::{ResidencyPolicy, Residents, Spec};
use polyphony_proto::asr::v1 as pb;
use polyphony_proto::asr::v1::asr_service_client::AsrServiceClient;
use polyphony_proto::google::longrunning::operations_client::OperationsClient;
use polyphony_proto::types::v1 as types;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt;

pub(crate) const RATE: usize = SAMPLE_RATE as usize;

/// A running server.
pub(crate) struct Served {
    pub(crate) client: AsrServiceClient<Channel>,
    pub(crate) operations: OperationsClient<Channel>,
    pub(crate) trigger: Trigger,
    pub(crate) ended: JoinHandle<Ended>,
    /// Utterances and recordings that the engine holds now.
    pub(crate) held: Arc<AtomicUsize>,
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

    fn recognize(&self, audio: &[f32], _: &DecodeOptions, cancel: &CancelFlag) -> Result<Transcript, Error> {
        let _held = Held::new(&self.held);
        for _ in 0..audio.len().div_ceil(RATE) {
            thread::sleep(self.step);
            if cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
        }
        Ok(count(audio.len()))
    }

    fn utterance(&self, _: &DecodeOptions, _: &CancelFlag) -> Result<Box<dyn Utterance>, Error> {
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

    fn speech(&self, audio: &[f32], _: &CancelFlag) -> Result<Vec<std::ops::Range<usize>>, Error> {
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
pub(crate) async fn served(config: Config, step: Duration) -> Served {
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
        .add(spec, None, || true, move |_| Ok(Arc::clone(&engine)))
        .expect("once")
        .build();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let uri = format!("http://{}", listener.local_addr().expect("an address"));
    let (trigger, shutdown) = Shutdown::manual();
    let readiness = Readiness::new();
    let runtime = Runtime {
        shutdown,
        readiness: readiness.clone(),
        admission: Admission::new(512),
    };
    let server = Server::new("asr", &config.server);
    let ended = tokio::spawn(async move {
        serve(server, config, recognizers, runtime, listener)
            .await
            .expect("serves")
    });
    while readiness.is_serving("polyphony.asr.v1.AsrService") != Some(true) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let channel = Channel::from_shared(uri)
        .expect("a uri")
        .connect()
        .await
        .expect("connects");
    let client = AsrServiceClient::new(channel.clone());
    Served {
        client,
        operations: OperationsClient::new(channel),
        trigger,
        ended,
        held,
    }
}

fn info() -> EngineInfo {
    EngineInfo {
        engine: "counter",
        version: "1".to_owned(),
        model: "counter".to_owned(),
        digest: format!("sha256:{}", "0".repeat(64)),
        device: "cpu".to_owned(),
        languages: vec!["en".to_owned(), "de".to_owned()],
        detects_language: false,
        translates: false,
        takes_prompt: false,
        word_confidence: false,
        commit: Commit::LocalAgreement,
        partial_interval: Duration::from_millis(500),
        degraded: None,
    }
}

// --- requests ---

/// Raw 16-bit samples at 16 kHz.
pub(crate) fn linear16() -> pb::RecognitionConfig {
    pb::RecognitionConfig {
        decoding: Some(pb::recognition_config::Decoding::ExplicitDecoding(
            types::ExplicitDecoding {
                encoding: types::AudioEncoding::Linear16.into(),
                sample_rate_hertz: SAMPLE_RATE,
                audio_channel_count: 1,
            },
        )),
        ..Default::default()
    }
}

pub(crate) fn streaming(config: pb::RecognitionConfig) -> pb::StreamingRecognitionConfig {
    pb::StreamingRecognitionConfig {
        config: Some(config),
        ..Default::default()
    }
}

/// Seconds of silence and sound, by turns, as raw 16-bit samples.
pub(crate) fn sound(turns: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (at, seconds) in turns.iter().enumerate() {
        let sample: i16 = if at % 2 == 0 { 0 } else { 8_000 };
        for _ in 0..(seconds * SAMPLE_RATE as f32) as usize {
            bytes.extend_from_slice(&sample.to_le_bytes());
        }
    }
    bytes
}

pub(crate) fn inline(bytes: impl Into<Vec<u8>>) -> Option<types::Media> {
    let bytes: Vec<u8> = bytes.into();
    Some(types::Media {
        source: Some(types::media::Source::Inline(bytes.into())),
    })
}

pub(crate) fn first(config: pb::StreamingRecognitionConfig) -> pb::StreamingRecognizeRequest {
    request(pb::streaming_recognize_request::Request::StreamingConfig(config))
}

pub(crate) fn audio(bytes: &[u8]) -> pb::StreamingRecognizeRequest {
    request(pb::streaming_recognize_request::Request::Audio(
        bytes.to_vec().into(),
    ))
}

pub(crate) fn marker(id: &str) -> pb::StreamingRecognizeRequest {
    request(pb::streaming_recognize_request::Request::Marker(types::Marker {
        id: id.to_owned(),
    }))
}

pub(crate) fn flush() -> pb::StreamingRecognizeRequest {
    request(pb::streaming_recognize_request::Request::Flush(types::Flush {}))
}

fn request(request: pb::streaming_recognize_request::Request) -> pb::StreamingRecognizeRequest {
    pb::StreamingRecognizeRequest {
        request: Some(request),
    }
}

// --- streams ---

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

    pub(crate) async fn open_streams(&self) -> u32 {
        let capabilities = self
            .client
            .clone()
            .get_capabilities(pb::GetCapabilitiesRequest {})
            .await;
        capabilities.expect("capabilities").into_inner().open_streams
    }
}

pub(crate) fn pieces(bytes: &[u8], size: usize) -> Vec<pb::StreamingRecognizeRequest> {
    bytes.chunks(size).map(audio).collect()
}

/// The results among the replies.
pub(crate) fn results(replies: &[pb::StreamingRecognizeResponse]) -> Vec<&pb::StreamingRecognitionResult> {
    let mut found = Vec::new();
    for reply in replies {
        if let Some(pb::streaming_recognize_response::Event::Result(result)) = &reply.event {
            found.push(result);
        }
    }
    found
}

pub(crate) fn finals(replies: &[pb::StreamingRecognizeResponse]) -> Vec<String> {
    let finals = results(replies).into_iter().filter(|result| result.is_final);
    finals
        .map(|result| result.alternatives[0].transcript.clone())
        .collect()
}

pub(crate) fn ended(replies: &[pb::StreamingRecognizeResponse]) -> Option<&pb::StreamEnded> {
    match &replies.last()?.event {
        Some(pb::streaming_recognize_response::Event::Ended(ended)) => Some(ended),
        _ => None,
    }
}

/// That a status has this code, this field among its violations, and a reason.
#[track_caller]
pub(crate) fn assert_refused(status: &Status, code: Code, field: &str) {
    assert_eq!(status.code(), code, "{status:?}");
    let details = status.get_error_details();
    assert!(details.error_info().is_some(), "{status:?}");
    let fields: Vec<String> = details
        .bad_request()
        .map(|bad| bad.field_violations.iter().map(|v| v.field.clone()).collect())
        .unwrap_or_default();
    assert!(
        fields.iter().any(|found| found == field),
        "{field} is not among {fields:?}: {}",
        status.message()
    );
}
