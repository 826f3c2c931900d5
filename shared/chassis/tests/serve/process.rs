//! A process from the outside: flags, exit codes, signals.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use polyphony_testing::{Exposition, Meters, eventually_some};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::harness::{PATIENCE, soon};

/// The example `idle`, which `cargo test` builds beside this test.
fn idle() -> Command {
    let test = std::env::current_exe().expect("this test");
    let target: PathBuf = test.ancestors().nth(2).expect("the target folder").into();
    let program = target.join("examples/idle");
    assert!(
        program.exists(),
        "{} is not built; run the whole package's tests",
        program.display()
    );
    let mut command = Command::new(program);
    command.env_clear().kill_on_drop(true).stdin(Stdio::null());
    command.current_dir(std::env::temp_dir());
    command
}

async fn run(args: &[&str]) -> Output {
    soon(idle().args(args).output()).await.expect("it runs")
}

/// A port that was free a moment ago, and whose admin port was too.
async fn free_port() -> u16 {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        if port < u16::MAX - 1000 && TcpListener::bind(("127.0.0.1", port + 1000)).await.is_ok() {
            return port;
        }
    }
}

struct Running {
    child: Child,
    addr: SocketAddr,
}

async fn started() -> (Running, Duration) {
    let addr = SocketAddr::from(([127, 0, 0, 1], free_port().await));
    let began = Instant::now();
    let child = idle()
        .args([
            "--set",
            &format!("flow.server.listen={addr}"),
            "--set",
            "flow.server.drain.deadline=5s",
        ])
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    eventually_some(PATIENCE, "the process to serve", async || {
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{addr}")).ok()?;
        let mut health = HealthClient::new(endpoint.connect().await.ok()?);
        health.check(HealthCheckRequest::default()).await.ok()
    })
    .await;
    (Running { child, addr }, began.elapsed())
}

impl Running {
    async fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it lives").to_string();
        let sent = Command::new("kill")
            .args([name, &pid])
            .status()
            .await
            .expect("kill");
        assert!(sent.success());
    }

    async fn code(mut self) -> Option<i32> {
        soon(self.child.wait()).await.expect("it ends").code()
    }
}

#[tokio::test]
async fn bad_flags_and_bad_configuration_exit_with_64() {
    for args in [
        &["--nonsense"][..],
        &["--set", "flow.server.lisen=127.0.0.1:1"],
        &["--set", "flow.server.listen=everywhere"],
        &["--set", "flwo.x=1"],
        &["--set", "telemetry.sample_ratio=7"],
        &["--config", "/nonexistent/polyphony.toml"],
    ] {
        let output = run(args).await;
        assert_eq!(output.status.code(), Some(64), "{args:?}");
        assert!(!output.stderr.is_empty(), "{args:?} says why");
    }
    let output = run(&["--set", "flow.server.lisen=127.0.0.1:1"]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("did you mean `listen`"), "{said}");
}

#[tokio::test]
async fn the_configuration_can_be_checked_and_printed() {
    assert_eq!(run(&["--check"]).await.status.code(), Some(0));
    let output = run(&["--dump-config", "--set", "flow.server.drain.deadline=7s"]).await;
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(
        text.contains("deadline = \"7s\"  # --set flow.server.drain.deadline"),
        "{text}"
    );
    assert!(text.contains("max_in_flight = 512  # default"), "{text}");
}

#[tokio::test]
async fn a_port_that_is_taken_exits_with_1() {
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = taken.local_addr().expect("an address");
    let output = run(&["--set", &format!("flow.server.listen={addr}")]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&addr.to_string()));
}

#[tokio::test]
async fn a_signal_drains_and_exits_with_0_beside_a_bare_connection() {
    let (running, _) = started().await;
    let bare = TcpStream::connect(running.addr).await.expect("a connection");
    let began = Instant::now();
    running.signal("-TERM").await;
    assert_eq!(running.code().await, Some(0));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    drop(bare);
}

/// The status and the body of an admin page.
async fn page(running: &Running, path: &str) -> (String, String) {
    let admin = SocketAddr::from(([127, 0, 0, 1], running.addr.port() + 1000));
    let mut stream = TcpStream::connect(admin).await.expect("the admin port");
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut text = String::new();
    soon(stream.read_to_string(&mut text)).await.expect("a page");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).expect("a status").to_owned();
    (status, body.to_owned())
}

#[tokio::test]
async fn the_admin_pages_tell_of_calls_and_readiness() {
    let (running, _) = started().await;
    assert_eq!(page(&running, "/readyz").await.0, "200");
    let endpoint =
        tonic::transport::Endpoint::from_shared(format!("http://{}", running.addr)).expect("an address");
    let mut health = HealthClient::new(endpoint.connect().await.expect("a connection"));
    let unknown = HealthCheckRequest {
        service: "no.such.Service".to_owned(),
    };
    health.check(unknown).await.expect_err("unknown");
    let exposition = Exposition::parse(&page(&running, "/metrics").await.1).expect("an exposition");
    let check = [
        ("grpc_service", "grpc.health.v1.Health"),
        ("grpc_method", "Check"),
        ("grpc_type", "unary"),
    ];
    let with_code = |code| [&check[..], &[("grpc_code", code)]].concat();
    assert_eq!(
        exposition.value("grpc_server_handled_total", &with_code("NotFound")),
        Some(1.0)
    );
    assert!(exposition.value("grpc_server_handled_total", &with_code("OK")) >= Some(1.0));
    assert_eq!(exposition.value("grpc_server_in_flight", &check), Some(0.0));
    assert!(exposition.value("grpc_server_handling_seconds_count", &check) >= Some(2.0));
    assert!(exposition.value("polyphony_connections_open", &[]) >= Some(1.0));
    let (status, text) = page(&running, "/configz").await;
    assert!(status == "200" && text.contains("[flow.server.drain]"), "{text}");
}

#[tokio::test]
async fn an_idle_process_is_small_and_starts_soon() {
    let (running, took) = started().await;
    let meters = Meters::of(running.child.id().expect("it lives"));
    // Generous: a debug build on a busy machine. What is claimed is measured by the bench.
    assert!(meters.rss_bytes < 40 << 20, "{} MiB", meters.rss_bytes >> 20);
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(
        meters.threads <= 4 + std::thread::available_parallelism().map_or(1, usize::from),
        "{meters:?}"
    );
    running.signal("-INT").await;
    assert_eq!(running.code().await, Some(0));
}
