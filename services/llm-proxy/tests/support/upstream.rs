//! An upstream that does what a test says, byte by byte, over a raw socket.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use polyphony_testing::listener;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// A running upstream.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    /// Requests for answers, in order; those about itself are not among them.
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

/// A request that came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) head: String,
    pub(crate) body: Value,
    pub(crate) raw: String,
}

type Answering = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Upstream {
    /// One that has model "m", and answers by this.
    pub(crate) async fn start<F>(act: impl Fn(Seen, Wire) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::with_models(&["m"], act).await
    }

    /// One that has these models.
    pub(crate) async fn with_models<F>(
        models: &[&str],
        act: impl Fn(Seen, Wire) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let list: Vec<Value> = models
            .iter()
            .map(|id| json!({"id": id, "object": "model", "owned_by": "test"}))
            .collect();
        let list = json!({"object": "list", "data": list});
        Self::full(move |seen, mut wire| {
            let asked: Answering = match seen.path.as_str() {
                "/v1/models" => {
                    let list = list.clone();
                    Box::pin(async move { wire.json(200, &list).await })
                }
                "/health" => Box::pin(async move { wire.json(200, &json!({})).await }),
                "/version" => Box::pin(async move { wire.json(200, &json!({"version": "0.11.0"})).await }),
                "/metrics" | "/props" | "/slots" | "/get_load" | "/get_model_info" | "/get_server_info" => {
                    Box::pin(async move { wire.json(404, &json!({})).await })
                }
                _ => return (Box::pin(act(seen, wire)) as Answering, true),
            };
            (asked, false)
        })
        .await
    }

    /// One of which every answer is this test's: what counts as a request for an answer is told by the flag.
    pub(crate) async fn full(act: impl Fn(Seen, Wire) -> (Answering, bool) + Send + Sync + 'static) -> Self {
        let (listener, address) = listener().await;
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (noted, act) = (Arc::clone(&seen), Arc::new(act));
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    return;
                };
                let (noted, act) = (Arc::clone(&noted), Arc::clone(&act));
                tokio::spawn(async move {
                    let mut wire = Wire(stream);
                    let Some(request) = wire.request().await else {
                        return;
                    };
                    let (answering, counts) = act(request.clone(), wire);
                    if counts {
                        noted.lock().expect("a lock").push(request);
                    }
                    answering.await;
                });
            }
        });
        Self { address, seen, task }
    }

    /// One that always gives the same stream.
    pub(crate) async fn streaming(stream: String) -> Self {
        Self::start(move |_, mut wire| {
            let stream = stream.clone();
            async move { wire.sse(&stream).await }
        })
        .await
    }

    /// One that always gives the same JSON.
    pub(crate) async fn giving(answer: Value) -> Self {
        Self::start(move |_, mut wire| {
            let answer = answer.clone();
            async move { wire.json(200, &answer).await }
        })
        .await
    }

    /// How many requests for answers came.
    pub(crate) fn count(&self) -> usize {
        self.seen.lock().expect("a lock").len()
    }

    /// The last request for an answer.
    pub(crate) fn last(&self) -> Seen {
        self.seen
            .lock()
            .expect("a lock")
            .last()
            .cloned()
            .expect("a request")
    }

    /// It is gone, with its port.
    pub(crate) async fn stop(self) {
        self.task.abort();
        assert!(self.task.await.expect_err("aborted").is_cancelled());
    }
}

/// The connection of a request. Each serves one.
pub(crate) struct Wire(TcpStream);

impl Wire {
    async fn request(&mut self) -> Option<Seen> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            if self.0.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
        let length: usize = length.unwrap_or(0);
        let mut body = bytes.split_off(end + 4);
        while body.len() < length {
            if self.0.read_buf(&mut body).await.ok()? == 0 {
                return None;
            }
        }
        let path = String::from_utf8_lossy(&bytes[..end])
            .split(' ')
            .nth(1)?
            .to_owned();
        Some(Seen {
            path,
            body: serde_json::from_slice(&body).unwrap_or_default(),
            raw: String::from_utf8_lossy(&body).into_owned(),
            head,
        })
    }

    /// These bytes. Who has gone away is not waited for.
    pub(crate) async fn bytes(&mut self, bytes: &str) {
        drop(self.0.write_all(bytes.as_bytes()).await);
        drop(self.0.flush().await);
    }

    /// A whole answer in JSON.
    pub(crate) async fn json(&mut self, status: u16, body: &Value) {
        self.reply(status, "", "application/json", &body.to_string())
            .await;
    }

    /// A whole answer.
    pub(crate) async fn reply(&mut self, status: u16, headers: &str, kind: &str, body: &str) {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status} X\r\n{headers}Content-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        self.bytes(&(head + body)).await;
    }

    /// The head of a stream.
    pub(crate) async fn head(&mut self) {
        self.bytes(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
        )
        .await;
    }

    /// A piece of a stream.
    pub(crate) async fn chunk(&mut self, text: &str) {
        self.bytes(&format!("{:x}\r\n{text}\r\n", text.len())).await;
    }

    /// A whole stream, an event a chunk.
    pub(crate) async fn sse(&mut self, stream: &str) {
        self.head().await;
        for one in stream.split_inclusive("\n\n") {
            self.chunk(one).await;
        }
        self.bytes("0\r\n\r\n").await;
    }

    /// Resets the connection.
    pub(crate) fn reset(self) {
        self.0.set_zero_linger().expect("a socket");
    }

    /// Waits until the other side has gone.
    pub(crate) async fn gone(&mut self) {
        let mut byte = [0];
        while matches!(self.0.read(&mut byte).await, Ok(read) if read > 0) {}
    }
}
