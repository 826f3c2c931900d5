//! The faulty network and the patience are themselves put to the test, over real sockets.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use polyphony_testing::{Authority, End, FaultProxy, Faults, Leaf, eventually, eventually_some, listener};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(5);

/// A server that sends back what it gets until its client ends, and then ends too.
async fn echo() -> SocketAddr {
    let (listener, addr) = listener().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                drop(tokio::io::copy(&mut from, &mut to).await);
                drop(to.shutdown().await);
            });
        }
    });
    addr
}

async fn through(faults: Faults) -> (FaultProxy, TcpStream) {
    let proxy = FaultProxy::start(echo().await, faults).await;
    let stream = TcpStream::connect(proxy.addr()).await.expect("the proxy listens");
    (proxy, stream)
}

/// Sends `bytes`, and everything that came back with how it ended.
async fn exchange(stream: &mut TcpStream, bytes: &[u8]) -> (Vec<u8>, Result<(), ErrorKind>) {
    let (mut from, mut to) = stream.split();
    let mut answer = Vec::new();
    let send = async {
        // The other side may be gone before all is sent.
        drop(to.write_all(bytes).await);
        drop(to.shutdown().await);
    };
    let (_, end) = tokio::join!(
        send,
        tokio::time::timeout(PATIENCE, from.read_to_end(&mut answer))
    );
    let end = end.expect("ends in time").map(drop).map_err(|error| error.kind());
    (answer, end)
}

#[tokio::test]
async fn a_sound_proxy_changes_nothing() {
    let (proxy, mut stream) = through(Faults::default()).await;
    let bytes: Vec<u8> = (0..=255).cycle().take(200_000).collect();
    assert_eq!(exchange(&mut stream, &bytes).await, (bytes, Ok(())));
    assert_eq!(proxy.accepted(), 1);
}

#[tokio::test]
async fn slices_arrive_whole_and_in_order() {
    let (_proxy, mut stream) = through(Faults::byte_by_byte()).await;
    let bytes: Vec<u8> = (0..=255).cycle().take(3000).collect();
    assert_eq!(exchange(&mut stream, &bytes).await, (bytes, Ok(())));
}

#[tokio::test]
async fn latency_is_felt() {
    let (_proxy, mut stream) = through(Faults::late_by(Duration::from_millis(40))).await;
    let start = Instant::now();
    assert_eq!(exchange(&mut stream, b"hello").await.0, b"hello");
    assert!(
        start.elapsed() >= Duration::from_millis(80),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn a_cut_ends_after_exactly_so_many_bytes() {
    let (_proxy, mut stream) = through(Faults::answer_ends(End::CutAfter(7))).await;
    assert_eq!(exchange(&mut stream, b"hello").await, (b"hello".to_vec(), Ok(())));
    let (_proxy, mut stream) = through(Faults::answer_ends(End::CutAfter(3))).await;
    stream.write_all(b"hello").await.expect("open");
    let mut answer = Vec::new();
    // The bytes that the cut left unread may turn the close into a reset.
    drop(
        tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer))
            .await
            .expect("ends"),
    );
    assert_eq!(answer, b"hel");
}

#[tokio::test]
async fn a_reset_is_a_reset() {
    let (_proxy, mut stream) = through(Faults::answer_ends(End::ResetAfter(2))).await;
    stream.write_all(b"hello").await.expect("open");
    let mut answer = Vec::new();
    let end = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .expect("ends");
    assert_eq!(end.map_err(|error| error.kind()), Err(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn a_refusing_proxy_resets_at_once() {
    let refusing = Faults {
        refuse: true,
        ..Faults::default()
    };
    let (_proxy, mut stream) = through(refusing).await;
    let end = tokio::time::timeout(PATIENCE, stream.read_u8())
        .await
        .expect("ends");
    assert_eq!(end.map_err(|error| error.kind()), Err(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn half_a_close_leaves_the_other_half() {
    let mut faults = Faults::default();
    faults.to_server.end = End::HalfCloseAfter(5);
    let (_proxy, mut stream) = through(faults).await;
    stream.write_all(b"hello, and what is lost").await.expect("open");
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .expect("the echo ends, for its client did")
        .expect("in order");
    assert_eq!(answer, b"hello");
    stream.write_all(b"still open").await.expect("our half is open");
}

#[tokio::test]
async fn an_open_connection_can_fall_silent_and_come_back() {
    let (proxy, mut stream) = through(Faults::default()).await;
    stream.write_all(b"a").await.expect("open");
    assert_eq!(stream.read_u8().await.expect("an answer"), b'a');
    proxy.set(Faults::blackhole());
    stream.write_all(b"b").await.expect("nobody tells us");
    let silence = tokio::time::timeout(Duration::from_millis(100), stream.read_u8()).await;
    assert!(silence.is_err(), "{silence:?}");
    proxy.set(Faults::default());
    stream.write_all(b"c").await.expect("open");
    assert_eq!(stream.read_u8().await.expect("an answer"), b'c');
}

#[tokio::test]
async fn connections_end_with_the_proxy() {
    let (proxy, mut stream) = through(Faults::default()).await;
    stream.write_all(b"a").await.expect("open");
    assert_eq!(stream.read_u8().await.expect("an answer"), b'a');
    drop(proxy);
    let end = tokio::time::timeout(PATIENCE, stream.read_u8())
        .await
        .expect("ends");
    assert!(end.is_err());
}

#[tokio::test(start_paused = true)]
async fn patience_waits_and_ends() {
    let mut n = 0;
    eventually(PATIENCE, "the third look", || {
        n += 1;
        n == 3
    })
    .await;
    let found = eventually_some(PATIENCE, "a number", async || Some(5)).await;
    assert_eq!(found, 5);
    let vain = tokio::spawn(eventually(PATIENCE, "what never comes", || false)).await;
    assert!(vain.expect_err("panics").is_panic());
    let hanging = tokio::spawn(async {
        eventually_some(PATIENCE, "a hanging attempt", async || {
            std::future::pending::<Option<()>>().await
        })
        .await;
    });
    assert!(hanging.await.expect_err("panics").is_panic());
}

#[test]
fn certificates_say_what_they_were_told() {
    let ca = Authority::new("test root");
    let dir = tempfile::tempdir().expect("a folder");
    let leaf = ca.issue(Leaf::server().uri("spiffe://mesh/ns/default/sa/asr"));
    let files = leaf.write_to(dir.path(), "server");
    let root = ca.write_to(dir.path());
    for (path, label) in [
        (&files.cert, "CERTIFICATE"),
        (&files.key, "PRIVATE KEY"),
        (&root, "CERTIFICATE"),
    ] {
        let text = std::fs::read_to_string(path).expect("written");
        assert!(text.starts_with(&format!("-----BEGIN {label}-----")), "{path:?}");
    }
    assert_ne!(ca.issue(Leaf::client()).key_pem, leaf.key_pem);
}
