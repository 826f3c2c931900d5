//! HTTP/2 by hand, for what a well-behaved gRPC client never does.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use http::Request;
use prost::Message;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tonic::Status;

use crate::echo::NAME;
use crate::harness::soon;

/// A connection with these settings, and the task that drives it to its end.
pub(crate) async fn connect(
    addr: SocketAddr,
    builder: &Builder,
) -> (SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>) {
    let tcp = TcpStream::connect(addr).await.expect("a connection");
    let (requests, connection) = soon(builder.handshake(tcp)).await.expect("HTTP/2");
    (requests, tokio::spawn(connection))
}

/// The head of a call to this method of the echo.
pub(crate) fn head(method: &str, headers: &[(&str, &str)]) -> Request<()> {
    let request = Request::post(format!("http://localhost/{NAME}/{method}"))
        .header("te", "trailers")
        .header("content-type", "application/grpc");
    let request = headers
        .iter()
        .fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(()).expect("a request")
}

/// A message as gRPC frames it.
pub(crate) fn framed(message: &impl Message) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend((message.encoded_len() as u32).to_be_bytes());
    bytes.extend(message.encode_to_vec());
    bytes
}

/// One call to `Unary` with this body, on a connection of its own.
pub(crate) async fn unary(addr: SocketAddr, body: Vec<u8>, headers: &[(&str, &str)]) -> Result<(), Status> {
    let (requests, driver) = connect(addr, &Builder::new()).await;
    let mut requests = soon(requests.ready()).await.expect("room for a stream");
    let (response, mut stream) = requests
        .send_request(head("Unary", headers), false)
        .expect("a stream");
    // The server may answer before it has read all.
    drop(stream.send_data(body.into(), true));
    let response = soon(response).await.expect("headers");
    let status = match Status::from_header_map(response.headers()) {
        Some(status) => status,
        None => {
            let mut body = response.into_body();
            while let Some(data) = soon(body.data()).await {
                let length = data.expect("data").len();
                body.flow_control().release_capacity(length).expect("capacity");
            }
            let trailers = soon(body.trailers()).await.expect("an end").expect("trailers");
            Status::from_header_map(&trailers).expect("a status")
        }
    };
    driver.abort();
    if status.code() == tonic::Code::Ok {
        Ok(())
    } else {
        Err(status)
    }
}
