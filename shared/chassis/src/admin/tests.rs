use std::sync::Mutex;

use polyphony_testing::{Exposition, eventually, listener};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;

const PATIENCE: Duration = Duration::from_secs(10);

struct Running {
    addr: std::net::SocketAddr,
    awaited: Arc<Mutex<Vec<String>>>,
    readiness: Readiness,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

async fn start() -> Running {
    let (listener, addr) = listener().await;
    let awaited = Arc::new(Mutex::new(Vec::new()));
    let (stop, stopped) = oneshot::channel::<()>();
    let metrics = Metrics::install("asr").expect("the only recorder");
    let list = Arc::clone(&awaited);
    let readiness = Readiness::new();
    readiness.register("a.B");
    let admin = Admin::new(
        metrics,
        &readiness,
        move || list.lock().expect("whole").clone(),
        "[asr]\n",
    );
    let task = tokio::spawn(admin.serve(listener, async { drop(stopped.await) }));
    Running {
        addr,
        awaited,
        readiness,
        stop,
        task,
    }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.expect("listens")
    }

    /// Sends bytes and reads until the server closes.
    async fn raw(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.expect("open");
        let mut answer = Vec::new();
        // A refusal may come while we are still sending.
        drop(
            timeout(PATIENCE, stream.read_to_end(&mut answer))
                .await
                .expect("closes"),
        );
        String::from_utf8(answer).expect("text")
    }

    /// The status, the head and the body of a GET.
    async fn get(&self, path: &str) -> (u16, String, String) {
        let answer = self
            .raw(&format!(
                "GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n"
            ))
            .await;
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        (status(&answer), head.to_owned(), body.to_owned())
    }
}

fn status(answer: &str) -> u16 {
    let code = answer
        .split(' ')
        .nth(1)
        .unwrap_or_else(|| panic!("no status in {answer:?}"));
    code.parse().expect("a number")
}

#[tokio::test]
async fn each_page_answers() {
    let server = start().await;
    ::metrics::counter!("admin_test_total").increment(2);
    assert_eq!(server.get("/livez").await.0, 200);
    let (status, head, body) = server.get("/metrics?x=1").await;
    assert!(
        status == 200 && head.contains("text/plain; version=0.0.4"),
        "{head}"
    );
    let page = Exposition::parse(&body).expect("well-formed");
    assert_eq!(page.value("admin_test_total", &[]), Some(2.0));
    assert_eq!(server.get("/configz").await.2, "[asr]\n");
    let (status, _, index) = server.get("/").await;
    assert_eq!(status, 200);
    for page in ["/livez", "/readyz", "/metrics", "/configz"] {
        assert!(index.contains(page), "{index}");
    }
    assert_eq!(server.get("/etc/passwd").await.0, 404);
}

#[tokio::test]
async fn ready_says_what_is_awaited() {
    let server = start().await;
    assert_eq!(server.get("/readyz").await.0, 200);
    server
        .awaited
        .lock()
        .expect("whole")
        .push("model \"tiny\"".to_owned());
    let (status, head, body) = server.get("/readyz").await;
    assert!(status == 503 && head.contains("application/json"), "{head}");
    let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(
        body,
        serde_json::json!({"ready": false, "awaiting": ["model \"tiny\""], "methods_awaiting": []})
    );
    assert_eq!(server.get("/livez").await.0, 200, "waiting is not dying");
}

#[tokio::test]
async fn a_method_that_waits_is_told_and_the_process_is_ready() {
    let server = start().await;
    let worker = server.readiness.guard("a.B/Make", "the worker");
    let (status, _, body) = server.get("/readyz").await;
    let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let told =
        serde_json::json!({"ready": true, "awaiting": [], "methods_awaiting": ["a.B/Make: the worker"]});
    assert_eq!((status, body), (200, told));
    drop(worker);
    assert!(server.get("/readyz").await.2.contains("\"methods_awaiting\":[]"));
}

#[tokio::test]
async fn a_probe_in_plaintext_hears_of_readiness_and_that_waiting_and_draining_are_not_dying() {
    let server = start().await;
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", server.addr))
        .expect("an address")
        .connect()
        .await
        .expect("listens");
    let health = tonic_health::pb::health_client::HealthClient::new(channel);
    let check = async |service: &str| {
        let request = tonic_health::pb::HealthCheckRequest {
            service: service.to_owned(),
        };
        let answer = health.clone().check(request).await;
        answer.map(|answer| answer.into_inner().status().as_str_name())
    };
    assert_eq!(check("").await.expect("known"), "SERVING");
    assert_eq!(check("a.B").await.expect("known"), "SERVING");
    let loading = server.readiness.guard("a.B", "the model");
    assert_eq!(check("").await.expect("known"), "NOT_SERVING");
    assert_eq!(check("liveness").await.expect("known"), "SERVING");
    drop(loading);
    server.readiness.drain();
    assert_eq!(check("").await.expect("known"), "NOT_SERVING");
    assert_eq!(check("liveness").await.expect("known"), "SERVING");
    assert_eq!(
        check("c.D").await.expect_err("unknown").code(),
        tonic::Code::NotFound
    );
    assert_eq!(server.get("/livez").await.0, 200, "the pages are beside it");
}

#[tokio::test]
async fn nothing_but_get_is_answered() {
    let server = start().await;
    for method in ["POST", "PUT", "DELETE", "HEAD", "OPTIONS"] {
        let request =
            format!("{method} /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        let answer = server.raw(&request).await;
        assert!(
            status(&answer) == 405 && answer.contains("allow: GET"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn nonsense_and_excess_are_refused() {
    let server = start().await;
    let long = "x".repeat(MAX_HEAD * 2);
    let many = "a: b\r\n".repeat(MAX_HEADERS + 1);
    for request in [
        "\u{16}\u{3}\u{1} hello\r\n\r\n".to_owned(),
        format!("GET / HTTP/1.1\r\nhost: a\r\nx: {long}\r\n\r\n"),
        format!("GET /{long} HTTP/1.1\r\nhost: a\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n"),
    ] {
        let answer = server.raw(&request).await;
        assert!(
            answer.is_empty() || (400..500).contains(&status(&answer)),
            "{answer}"
        );
    }
    assert_eq!(server.get("/livez").await.0, 200);
}

#[tokio::test]
async fn a_client_that_never_ends_its_head_is_let_go() {
    let server = start().await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: ").await.expect("open");
    let begun = Instant::now();
    let mut rest = Vec::new();
    drop(
        timeout(HEADER_TIMEOUT * 2, stream.read_to_end(&mut rest))
            .await
            .expect("let go"),
    );
    assert!(begun.elapsed() > HEADER_TIMEOUT / 2, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn idle_clients_beyond_the_limit_do_not_shut_probes_out_for_long() {
    let server = start().await;
    let mut idle = Vec::new();
    for _ in 0..MAX_CONNECTIONS + 8 {
        idle.push(server.connect().await);
    }
    // The header timeout frees the slots.
    assert_eq!(server.get("/livez").await.0, 200);
}

#[tokio::test]
async fn the_port_closes_on_shutdown_even_with_open_connections() {
    let server = start().await;
    let mut kept = server.connect().await;
    kept.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .expect("open");
    let mut first = [0; 12];
    kept.read_exact(&mut first).await.expect("an answer");
    assert_eq!(&first, b"HTTP/1.1 200");
    let _mute = server.connect().await;
    server.stop.send(()).expect("runs");
    timeout(CLOSE_GRACE * 3, server.task)
        .await
        .expect("ends")
        .expect("no panic");
    let mut rest = Vec::new();
    timeout(PATIENCE, kept.read_to_end(&mut rest))
        .await
        .expect("closed")
        .expect("in order");
    let closed = || std::net::TcpStream::connect(server.addr).is_err();
    eventually(PATIENCE, "the port to close", closed).await;
}
