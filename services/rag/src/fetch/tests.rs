//! Addresses that must not be fetched, and those that may, with a canary that hears of every connection.

use std::net::{Ipv4Addr, Ipv6Addr};

use futures_util::FutureExt as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// Knows a few names, and takes what is an address for one, as the system does.
#[derive(Debug)]
struct Names {
    port: u16,
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, std::io::Result<Vec<SocketAddr>>> {
        let v4 = |a, b, c, d| IpAddr::from(Ipv4Addr::new(a, b, c, d));
        let addresses = match host {
            "loopback.example.org" | "good.example.org" => vec![v4(127, 0, 0, 1)],
            "private.example.org" => vec![v4(10, 0, 0, 1)],
            "metadata.example.org" => vec![v4(169, 254, 169, 254)],
            "mixed.example.org" => vec![v4(93, 184, 216, 34), v4(127, 0, 0, 1)],
            "six.example.org" => vec![IpAddr::from(Ipv6Addr::LOCALHOST)],
            "mapped.example.org" => vec![IpAddr::from(Ipv4Addr::LOCALHOST.to_ipv6_mapped())],
            "nat64.example.org" => vec![IpAddr::from(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0x7f00, 1))],
            "local6.example.org" => vec![IpAddr::from(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254))],
            "zero.example.org" => vec![v4(0, 0, 0, 0)],
            "many.example.org" => vec![v4(224, 0, 0, 1)],
            "none.example.org" => Vec::new(),
            _ => return Box::pin(async { Err(std::io::Error::other("no such name")) }),
        };
        let port = if host == "good.example.org" {
            self.port
        } else {
            port
        };
        let addresses = addresses
            .into_iter()
            .map(|ip| SocketAddr::new(ip, port))
            .collect();
        Box::pin(async { Ok(addresses) })
    }
}

fn fetcher(port: u16, is_allowed: fn(IpAddr) -> bool) -> Fetcher {
    let entries = [
        "*.example.org".to_owned(),
        format!("*.example.org:{port}"),
        "odd.test:6379".to_owned(),
    ];
    let hosts = Hosts::parse(&entries, true).expect("hosts");
    Fetcher::new(hosts, Duration::from_secs(5)).with(Arc::new(Names { port }), is_allowed)
}

async fn get(fetcher: &Fetcher, address: &str) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    fetcher
        .fetch(address, |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })
        .await?;
    Ok(bytes)
}

#[tokio::test]
async fn no_address_leads_to_what_is_not_public() {
    let canary = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = canary.local_addr().expect("an address").port();
    let fetcher = fetcher(port, is_public);
    let addresses = [
        // Where names lead.
        format!("http://loopback.example.org:{port}/"),
        format!("http://mixed.example.org:{port}/"),
        format!("http://six.example.org:{port}/"),
        format!("http://mapped.example.org:{port}/"),
        format!("http://nat64.example.org:{port}/"),
        format!("http://zero.example.org:{port}/"),
        "http://private.example.org/".to_owned(),
        "http://metadata.example.org/latest/meta-data/".to_owned(),
        "http://local6.example.org/".to_owned(),
        "http://many.example.org/".to_owned(),
        // This machine in all its spellings.
        format!("http://127.0.0.1:{port}/"),
        format!("http://127.1:{port}/"),
        format!("http://0x7f000001:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://0177.0.0.1:{port}/"),
        format!("http://0x7f.0x0.0x0.0x1:{port}/"),
        format!("http://localhost:{port}/"),
        format!("http://localhost.:{port}/"),
        format!("http://LOCALHOST:{port}/"),
        format!("http://0:{port}/"),
        format!("http://0.0.0.0:{port}/"),
        format!("http://[::1]:{port}/"),
        format!("http://[::]:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://[::ffff:7f00:1]:{port}/"),
        format!("http://[64:ff9b::7f00:1]:{port}/"),
        format!("http://①②⑦.⓪.⓪.①:{port}/"),
        // Others' machines.
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://[fd00:ec2::254]/latest/".to_owned(),
        "http://metadata.google.internal/".to_owned(),
        "http://10.0.0.1/".to_owned(),
        "http://192.168.1.1/".to_owned(),
        // Other ways in.
        "file:///etc/passwd".to_owned(),
        "gopher://127.0.0.1:6379/_FLUSHALL".to_owned(),
        "ftp://good.example.org/".to_owned(),
        "data:text/plain,hello".to_owned(),
        "jar:http://good.example.org!/".to_owned(),
        "unix:/run/docker.sock".to_owned(),
        "http://good.example.org:6379/".to_owned(),
        "http://good.example.org:22/".to_owned(),
        // Hosts that only look allowed.
        format!("http://good.example.org@127.0.0.1:{port}/"),
        format!("http://user:pass@good.example.org:{port}/"),
        format!("http://127.0.0.1:{port}#good.example.org"),
        format!("http://127.0.0.1:{port}?good.example.org"),
        format!("http://127.0.0.1:{port}\\@good.example.org/"),
        format!("http://good.example.org.evil.test:{port}/"),
        format!("http://evilexample.org:{port}/"),
        format!("http://good.example.org%00.evil.test:{port}/"),
        "http:///etc/passwd".to_owned(),
        "//good.example.org/".to_owned(),
        "".to_owned(),
    ];
    assert!(addresses.len() >= 40);
    for address in &addresses {
        let fault = get(&fetcher, address).await.expect_err(address);
        assert!(
            matches!(fault.kind, Kind::PermissionDenied | Kind::InvalidArgument),
            "{address}: {fault:?}"
        );
        assert!(!fault.message.contains("pass@"), "{fault}");
    }
    assert!(canary.accept().now_or_never().is_none(), "a connection was made");
}

#[tokio::test]
async fn nothing_is_allowed_unless_somebody_says_so() {
    let fetcher = Fetcher::new(Hosts::default(), Duration::from_secs(5));
    let fault = get(&fetcher, "https://good.example.org/").await.expect_err("off");
    assert_eq!(
        (fault.kind, fault.reason),
        (Kind::PermissionDenied, "URI_NOT_ALLOWED")
    );
}

/// Answers each connection with the next of these, and tells what was asked.
async fn server(answers: Vec<String>) -> (u16, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let serving = tokio::spawn(async move {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut socket, _) = listener.accept().await.expect("a connection");
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                socket.read_exact(&mut byte).await.expect("a request");
                request.push(byte[0]);
            }
            asked.push(String::from_utf8_lossy(&request).into_owned());
            socket.write_all(answer.as_bytes()).await.expect("an answer");
        }
        asked
    });
    (port, serving)
}

fn anything(_: IpAddr) -> bool {
    true
}

#[tokio::test]
async fn an_allowed_host_is_asked_at_the_very_address_that_was_looked_at() {
    let moved = "HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    let (port, serving) = server(vec![moved.to_owned(), answer.to_owned()]).await;
    let fetcher = fetcher(port, anything);
    let bytes = get(&fetcher, &format!("http://good.example.org:{port}/here"))
        .await
        .expect("bytes");
    assert_eq!(bytes, b"hello");
    let asked = serving.await.expect("served");
    assert!(asked[0].starts_with("GET /here HTTP/1.1\r\n"), "{asked:?}");
    assert!(asked[1].starts_with("GET /there HTTP/1.1\r\n"), "{asked:?}");
    assert!(asked[1].contains("good.example.org"), "{asked:?}");
}

#[tokio::test]
async fn a_redirect_to_elsewhere_an_error_and_a_broken_transfer_are_told() {
    for (answer, kind) in [
        (
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n",
            Kind::PermissionDenied,
        ),
        (
            "HTTP/1.1 302 Found\r\nLocation: http://other.example.org/\r\n",
            Kind::PermissionDenied,
        ),
        (
            "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n",
            Kind::PermissionDenied,
        ),
        ("HTTP/1.1 302 Found\r\n", Kind::FailedPrecondition),
        ("HTTP/1.1 404 Not Found\r\n", Kind::FailedPrecondition),
    ] {
        let answer = format!("{answer}Content-Length: 0\r\nConnection: close\r\n\r\n");
        let (port, serving) = server(vec![answer.clone()]).await;
        let fault = get(
            &fetcher(port, anything),
            &format!("http://good.example.org:{port}/"),
        )
        .await
        .expect_err("refused");
        assert_eq!(fault.kind, kind, "{answer}: {fault}");
        serving.await.expect("served");
    }
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 50\r\nConnection: close\r\n\r\nhello";
    let (port, serving) = server(vec![cut.to_owned()]).await;
    let fault = get(
        &fetcher(port, anything),
        &format!("http://good.example.org:{port}/"),
    )
    .await
    .expect_err("cut");
    assert_eq!(fault.reason, "URI_FAILED");
    serving.await.expect("served");
}

#[tokio::test]
async fn a_sink_that_is_full_ends_the_transfer() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    let (port, serving) = server(vec![answer.to_owned()]).await;
    let full = || Fault::exhausted("FULL", "x", "full", None);
    let ended = fetcher(port, anything)
        .fetch(&format!("http://good.example.org:{port}/"), |_| Err(full()))
        .await;
    assert_eq!(ended.expect_err("full").reason, "FULL");
    serving.await.expect("served");
}
