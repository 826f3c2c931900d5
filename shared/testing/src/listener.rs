//! A socket on a port that nobody else has.

use std::net::SocketAddr;

use tokio::net::TcpListener;

/// A listener on 127.0.0.1, on a port that the system chose, and its address.
pub async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let addr = listener.local_addr().expect("a bound socket has an address");
    (listener, addr)
}
