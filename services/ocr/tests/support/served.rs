//! The service on a port of its own, with an engine that looks at pictures instead of reading them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use polyphony_chassis::accept::Ended;
use polyphony_chassis::{Server, Trigger};
use polyphony_inference::Cancel;
use polyphony_models::{Loaded, Provenance, ResidencyPolicy, Residents, Roster, Spec};
use polyphony_ocr::domain::{
    Block, EngineInfo, Line, Options, PageReading, Paragraph, Picture, Point, Quad, Word,
};
use polyphony_ocr::engine::Engine;
use polyphony_ocr::{Config, Error, serve};
use polyphony_proto::google::longrunning::operations_client::OperationsClient;
use polyphony_proto::ocr::v1 as pb;
use polyphony_proto::ocr::v1::ocr_service_client::OcrServiceClient;
use polyphony_proto::ocr::v1::ocr_service_server::SERVICE_NAME;
use polyphony_proto::types::v1 as types;
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// A condition is met within this.
const PATIENCE: Duration = Duration::from_secs(20);

/// Says of each picture how large it is, in one line of two words, and takes its time. It fails on pictures whose first
/// pixel is red.
#[derive(Debug)]
struct Looker {
    info: EngineInfo,
    step: Duration,
    held: Arc<AtomicUsize>,
}

/// The service, and what reaches it.
pub(crate) struct Served {
    pub(crate) client: OcrServiceClient<Channel>,
    pub(crate) operations: OperationsClient<Channel>,
    pub(crate) trigger: Trigger,
    pub(crate) ended: JoinHandle<Ended>,
    /// Pages that the engine has in its hands.
    pub(crate) held: Arc<AtomicUsize>,
    /// Where its batches are kept.
    pub(crate) _folder: Option<tempfile::TempDir>,
}

// === impl Looker ===

impl Engine for Looker {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn read(&self, page: &Picture, _: &Options, cancel: &Cancel) -> Result<PageReading, Error> {
        self.held.fetch_add(1, Ordering::SeqCst);
        let began = Instant::now();
        while began.elapsed() < self.step && !cancel.is_cancelled() {
            std::thread::sleep(Duration::from_millis(2));
        }
        self.held.fetch_sub(1, Ordering::SeqCst);
        if cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        if page.get_pixel(0, 0).0 == [255, 0, 0] {
            return Err(Error::engine("looker", "it does not like red"));
        }
        Ok(reading(page.width(), page.height()))
    }
}

fn reading(width: u32, height: u32) -> PageReading {
    let quad = |left: f32, right: f32| {
        let point = |x, y| Point { x, y };
        Quad([
            point(left, 0.0),
            point(right, 0.0),
            point(right, 10.0),
            point(left, 10.0),
        ])
    };
    let (first, second) = (width.to_string(), height.to_string());
    let text = format!("{first} {second}");
    let word = |text: &str, start: usize, left: f32| Word {
        outline: quad(left, left + 10.0),
        text: text.to_owned(),
        range: start..start + text.len(),
        confidence: 0.75,
        symbols: Vec::new(),
    };
    let line = Line {
        outline: quad(0.0, 20.0),
        confidence: 0.75,
        angle_degrees: 0.0,
        words: vec![word(&first, 0, 0.0), word(&second, first.len() + 1, 10.0)],
        text,
    };
    let outline = line.outline;
    PageReading {
        width,
        height,
        lines: vec![line],
        blocks: vec![Block {
            outline,
            confidence: 0.75,
            paragraphs: vec![Paragraph {
                outline,
                confidence: 0.75,
                lines: 0..1,
            }],
            ..Block::default()
        }],
        ..PageReading::default()
    }
}

/// A config for tests: small and quick.
pub(crate) fn config() -> Config {
    let mut config = Config {
        max_streams: 2,
        workers: 2,
        max_queue: 1,
        max_pages: 100,
        reader: PathBuf::from(env!("CARGO_BIN_EXE_polyphony-ocr")),
        ..Config::default()
    };
    config.server.drain.deadline = polyphony_config::HumanDuration::from_millis(300);
    config.server.limits.take_media();
    config
}

/// Serves the looker, each page taking `step`.
pub(crate) async fn served(mut config: Config, step: Duration) -> Served {
    let own = config.jobs.data_dir.as_os_str().is_empty();
    let folder = own.then(|| tempfile::tempdir().expect("a folder"));
    if let Some(folder) = &folder {
        config.jobs.data_dir = folder.path().to_owned();
    }
    config.jobs.min_free = polyphony_config::ByteSize::mib(1);
    let held = Arc::new(AtomicUsize::new(0));
    let spec = Spec {
        model: "looker".parse().expect("a name"),
        task: "ocr".to_owned(),
        engine: "looker".to_owned(),
        memory_bytes: 0,
    };
    let engine: Arc<dyn Engine> = Arc::new(Looker {
        info: info(),
        step,
        held: Arc::clone(&held),
    });
    let engines = Roster::builder(
        Residents::new(ResidencyPolicy::default()),
        |engine: &Arc<dyn Engine>| engine.info().clone(),
        "nothing",
    )
    .add(
        spec,
        || None,
        || true,
        move || {
            Ok(Loaded {
                value: Arc::clone(&engine),
                memory_bytes: None,
                device: None,
            })
        },
    )
    .expect("once")
    .build();
    let running = polyphony_harness::running(SERVICE_NAME, |runtime, listener| {
        let server = Server::new("ocr", &config.server);
        serve(server, config, engines, runtime, listener)
    });
    let running = running.await;
    let channel = running.channel().await;
    Served {
        client: OcrServiceClient::new(channel.clone()),
        operations: OperationsClient::new(channel),
        trigger: running.trigger,
        ended: running.ended,
        held,
        _folder: folder,
    }
}

fn info() -> EngineInfo {
    EngineInfo {
        provenance: Provenance {
            engine: "looker",
            version: "1".to_owned(),
            model: "looker".to_owned(),
            digest: format!("sha256:{}", "0".repeat(64)),
            device: "cpu".to_owned(),
            degraded: None,
        },
        languages: vec!["en".to_owned(), "zh".to_owned()],
        max_side: 2_000,
        pixel_threshold: 0.3,
        box_threshold: 0.5,
        unclip_ratio: 1.6,
    }
}

pub(crate) fn inline(bytes: impl Into<Vec<u8>>) -> Option<types::Media> {
    let bytes: Vec<u8> = bytes.into();
    Some(types::Media {
        source: Some(types::media::Source::Inline(bytes.into())),
    })
}

/// A document read to its end: the events, and how it ended.
pub(crate) type Streamed = (Vec<pb::stream_document_response::Event>, Result<(), Status>);

impl Served {
    pub(crate) async fn image(
        &self,
        config: pb::OcrConfig,
        bytes: Vec<u8>,
    ) -> Result<pb::RecognizeImageResponse, Status> {
        let request = pb::RecognizeImageRequest {
            config: Some(config),
            image: inline(bytes),
        };
        let answer = self.client.clone().recognize_image(request).await;
        answer.map(tonic::Response::into_inner)
    }

    pub(crate) async fn document(&self, request: pb::StreamDocumentRequest) -> Streamed {
        let mut events = match self.client.clone().stream_document(request).await {
            Ok(events) => events.into_inner(),
            Err(status) => return (Vec::new(), Err(status)),
        };
        let mut seen = Vec::new();
        loop {
            match events.message().await {
                Ok(Some(message)) => seen.push(message.event.expect("an event")),
                Ok(None) => return (seen, Ok(())),
                Err(status) => return (seen, Err(status)),
            }
        }
    }

    /// Until the engine holds so many pages.
    pub(crate) async fn until_held(&self, enough: impl Fn(usize) -> bool) {
        let began = Instant::now();
        while !enough(self.held.load(Ordering::SeqCst)) {
            assert!(began.elapsed() < PATIENCE, "{:?} are held", self.held);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
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

/// The reason of a status.
pub(crate) fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    details
        .error_info()
        .map(|info| info.reason.clone())
        .unwrap_or_default()
}
