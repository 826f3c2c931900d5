//! A proxy on free ports, and clients of both its doors.

pub(crate) mod messages;
pub(crate) mod upstream;

use std::net::SocketAddr;
use std::time::Duration;

use polyphony_chassis::accept::Ended;
use polyphony_chassis::{Admission, Readiness, Runtime, Shutdown, Trigger};
use polyphony_config::HumanDuration;
use polyphony_llm_proxy::config::{Kind, UpstreamConfig};
use polyphony_llm_proxy::{Config, LlmProxy};
use polyphony_proto::llm::v1 as pb;
use polyphony_proto::llm::v1::llm_service_client::LlmServiceClient;
use polyphony_testing::listener;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::Status;
use tonic::transport::Channel;

pub(crate) use messages::*;
pub(crate) use upstream::*;

/// Long for what takes a moment on a busy machine, short for what would never come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running proxy.
pub(crate) struct Served {
    pub(crate) client: LlmServiceClient<Channel>,
    pub(crate) door: SocketAddr,
    pub(crate) trigger: Trigger,
    pub(crate) ended: JoinHandle<Ended>,
}

/// What came of an answer.
pub(crate) struct Heard {
    pub(crate) events: Vec<pb::chat_response::Event>,
    pub(crate) end: Result<(), Status>,
}

/// A config for tests: it looks for nobody, and does not wait long.
pub(crate) fn config(upstreams: &[(&str, Kind, SocketAddr)]) -> Config {
    let mut config = Config {
        discover: false,
        timeout: HumanDuration::from_secs(10),
        ..Config::default()
    };
    config.health.interval = HumanDuration::from_millis(100);
    config.health.timeout = HumanDuration::from_millis(1_000);
    config.retry.backoff = HumanDuration::from_millis(10);
    config.server.drain.deadline = HumanDuration::from_millis(300);
    for (name, kind, address) in upstreams {
        let upstream = UpstreamConfig::new(format!("http://{address}/v1"), *kind);
        config.upstreams.insert((*name).to_owned(), upstream);
    }
    config
}

/// Serves in plaintext.
pub(crate) async fn served(config: Config) -> Served {
    let ((grpc, address), (http, door)) = (listener().await, listener().await);
    let (trigger, shutdown) = Shutdown::manual();
    let readiness = Readiness::new();
    let runtime = Runtime {
        shutdown,
        readiness: readiness.clone(),
        admission: Admission::new(512),
        residents: Default::default(),
    };
    let ended = tokio::spawn(async move {
        LlmProxy::serve(config, runtime, grpc, Some(http))
            .await
            .expect("serves")
    });
    while readiness.is_serving("polyphony.llm.v1.LlmService") != Some(true) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let channel = Channel::from_shared(format!("http://{address}"))
        .expect("a uri")
        .connect()
        .await;
    Served {
        client: LlmServiceClient::new(channel.expect("connects")),
        door,
        trigger,
        ended,
    }
}

/// A proxy before one upstream.
pub(crate) async fn before(kind: Kind, upstream: &Upstream) -> Served {
    served(config(&[("one", kind, upstream.address)])).await
}

impl Served {
    /// Everything that is said in reply to a request.
    pub(crate) async fn chat(&self, request: pb::ChatRequest) -> Heard {
        let mut events = Vec::new();
        let end = timeout(PATIENCE, async {
            let mut replies = self.client.clone().chat(request).await?.into_inner();
            while let Some(reply) = replies.message().await? {
                events.push(reply.event.expect("an event"));
            }
            Ok(())
        });
        let end = end.await.expect("ends");
        Heard { events, end }
    }

    /// The status and the rest of the reply to an HTTP request, read to the end of the connection. None: it was cut.
    pub(crate) async fn http(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(self.door).await.expect("connects");
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut all = Vec::new();
        let read = timeout(PATIENCE, stream.read_to_end(&mut all))
            .await
            .expect("ends");
        Answer::parse(&all, read.is_ok())
    }

    /// A request in JSON to the HTTP door.
    pub(crate) async fn post(&self, path: &str, body: &serde_json::Value) -> Answer {
        self.http("POST", path, "", &body.to_string()).await
    }
}

/// An HTTP reply.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
    /// It came to its end.
    pub(crate) is_whole: bool,
}

impl Answer {
    fn parse(all: &[u8], was_closed_well: bool) -> Self {
        let text = String::from_utf8_lossy(all);
        let (head, body) = text
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("no reply: {text:?}"));
        let head = head.to_ascii_lowercase();
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .expect("a status");
        let (body, is_whole) = if head.contains("transfer-encoding: chunked") {
            dechunked(body)
        } else {
            (body.to_owned(), true)
        };
        Self {
            status,
            head,
            body,
            is_whole: is_whole && was_closed_well,
        }
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

fn dechunked(mut rest: &str) -> (String, bool) {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a size");
        if size == 0 {
            return (body, true);
        }
        if after.len() < size + 2 {
            return (body + after, false);
        }
        body.push_str(&after[..size]);
        rest = &after[size + 2..];
    }
    (body, false)
}

impl Heard {
    /// The text of all deltas.
    pub(crate) fn text(&self) -> String {
        let deltas = self.events.iter().filter_map(|event| match event {
            pb::chat_response::Event::Delta(delta) => Some(delta.content.as_str()),
            _ => None,
        });
        deltas.collect()
    }

    /// The last event of an answer that is complete.
    pub(crate) fn completed(&self) -> &pb::ChatCompleted {
        match (self.events.last(), &self.end) {
            (Some(pb::chat_response::Event::Completed(completed)), Ok(())) => completed,
            (last, end) => panic!("not complete: {last:?}, {end:?}"),
        }
    }

    /// Why it is not complete.
    pub(crate) fn failed(&self) -> &Status {
        let is_completed = self
            .events
            .iter()
            .any(|event| matches!(event, pb::chat_response::Event::Completed(_)));
        assert!(!is_completed, "{:?}", self.events);
        self.end.as_ref().expect_err("it failed")
    }
}
