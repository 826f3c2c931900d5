//! Servers on port 0 that speak with the real espeak-ng, and clients.

mod messages;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use polyphony_chassis::accept::Ended;
use polyphony_chassis::config::TlsConfig;
use polyphony_chassis::{Server, Trigger};
use polyphony_harness::{Running, running};
use polyphony_models::{ResidencyPolicy, Residents, Spec};
use polyphony_proto::tts::v1 as pb;
use polyphony_proto::tts::v1::tts_service_client::TtsServiceClient;
use polyphony_proto::tts::v1::tts_service_server::SERVICE_NAME;
use polyphony_tts::config::Config;
use polyphony_tts::engine::Engine;
use polyphony_tts::engine::espeak::EspeakEngine;
use polyphony_tts::serve;
use polyphony_tts::synthesizers::Builder;
use polyphony_tts::voices::Voices;
use polyphony_tts::voices::storage::Storage;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

pub(crate) use messages::*;

/// A client is told within this what is wrong.
pub(crate) const SOON: Duration = Duration::from_secs(5);
/// Long for what takes a moment on a busy machine, short for what would never come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running server.
pub(crate) struct Served {
    pub(crate) client: TtsServiceClient<Channel>,
    pub(crate) trigger: Trigger,
    pub(crate) ended: JoinHandle<Ended>,
    /// Where voices are stored.
    pub(crate) voices: PathBuf,
    _dir: TempDir,
}

/// An open stream.
pub(crate) struct Open {
    pub(crate) requests: mpsc::Sender<pb::StreamingSynthesizeRequest>,
    pub(crate) replies: Streaming<pb::StreamingSynthesizeResponse>,
}

/// The engine, opened once for all tests.
pub(crate) fn espeak() -> Arc<dyn Engine> {
    static ENGINE: OnceLock<Arc<dyn Engine>> = OnceLock::new();
    let engine = ENGINE.get_or_init(|| {
        let data = polyphony_config::data_dir(|name| std::env::var_os(name)).expect("a home");
        let folder = data.join("wheels/espeakng_loader");
        let digest = format!("sha256:{}", "0".repeat(64));
        match EspeakEngine::open(&folder, "espeak-ng".to_owned(), digest) {
            Ok(engine) => Arc::new(engine),
            Err(error) => panic!("{}; `make setup` installs it", polyphony_error::chain(&error)),
        }
    });
    Arc::clone(engine)
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

/// Serves espeak-ng in plaintext.
pub(crate) async fn served(config: Config) -> Served {
    let dir = tempfile::tempdir().expect("a folder");
    let voices = dir.path().join("voices");
    let running = start(config, &voices).await;
    Served {
        client: TtsServiceClient::new(running.channel().await),
        trigger: running.trigger,
        ended: running.ended,
        voices,
        _dir: dir,
    }
}

/// Serves espeak-ng in TLS, to clients whose certificates are signed.
pub(crate) async fn served_in_tls(tls: TlsConfig, voices: &Path) -> (String, Trigger) {
    let mut config = config();
    config.server.tls = Some(tls);
    let running = start(config, voices).await;
    (format!("https://{}", running.address), running.trigger)
}

async fn start(config: Config, voices: &Path) -> Running {
    let spec = Spec {
        model: "espeak-ng".parse().expect("a name"),
        task: "tts".to_owned(),
        engine: "espeak".to_owned(),
        memory_bytes: 0,
    };
    let synthesizers = Builder::new(Residents::new(ResidencyPolicy::default()))
        .add(spec, || Some(espeak().info().clone()), || true, || Ok(espeak()))
        .expect("once")
        .build();
    let voices = Voices::new(Storage::folder(voices));
    let serving = running(SERVICE_NAME, |runtime, listener| {
        let server = Server::new("tts", &config.server);
        serve(server, config, synthesizers, voices, runtime, listener)
    });
    serving.await
}

impl Served {
    pub(crate) async fn synthesize(
        &self,
        config: pb::SynthesisConfig,
        input: pb::SynthesisInput,
    ) -> Result<pb::SynthesizeResponse, Status> {
        let request = pb::SynthesizeRequest {
            config: Some(config),
            input: Some(input),
        };
        let mut client = self.client.clone();
        client.synthesize(request).await.map(tonic::Response::into_inner)
    }

    /// What is wrong with a text or config, told soon.
    pub(crate) async fn refused(&self, config: pb::SynthesisConfig, input: pb::SynthesisInput) -> Status {
        let answer = timeout(SOON, self.synthesize(config, input)).await.expect("soon");
        answer.expect_err("refused")
    }

    pub(crate) async fn open(&self) -> Result<Open, Status> {
        let (requests, outgoing) = mpsc::channel(64);
        let replies = self
            .client
            .clone()
            .streaming_synthesize(ReceiverStream::new(outgoing))
            .await?
            .into_inner();
        Ok(Open { requests, replies })
    }

    /// Sends all, closes, and collects the events and the status.
    pub(crate) async fn stream(
        &self,
        all: Vec<pb::StreamingSynthesizeRequest>,
    ) -> (Vec<pb::StreamingSynthesizeResponse>, Result<(), Status>) {
        let open = self.open().await;
        let mut open = match open {
            Ok(open) => open,
            Err(status) => return (Vec::new(), Err(status)),
        };
        for request in all {
            // A stream that failed takes no more.
            if open.requests.send(request).await.is_err() {
                break;
            }
        }
        drop(open.requests);
        let mut seen = Vec::new();
        loop {
            match timeout(PATIENCE, open.replies.message()).await.expect("goes on") {
                Ok(Some(reply)) => seen.push(reply),
                Ok(None) => return (seen, Ok(())),
                Err(status) => return (seen, Err(status)),
            }
        }
    }
}

impl Open {
    pub(crate) async fn send(&self, request: pb::StreamingSynthesizeRequest) {
        self.requests.send(request).await.expect("sends");
    }

    pub(crate) async fn next(&mut self) -> Option<pb::streaming_synthesize_response::Event> {
        let reply = timeout(PATIENCE, self.replies.message()).await.expect("comes");
        reply.expect("no failure").and_then(|reply| reply.event)
    }
}
