//! How the commands reach the mesh.

use std::io;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use hyper_util::rt::TokioIo;
use polyphony_chassis::config::ClientTlsConfig;
use polyphony_chassis::tls::ClientTls;
use tokio::net::TcpStream;
use tonic::Request;
use tonic::codegen::http::uri::Scheme;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::args::Mesh;
use crate::output;

/// How long TCP and TLS may take together.
const CONNECT: Duration = Duration::from_secs(5);
/// A mesh that is silent for so long in the middle of a call is asked whether it is there.
const PING: Duration = Duration::from_secs(30);
/// And when it does not answer within this, it is not.
const PONG: Duration = Duration::from_secs(10);
/// What the mesh gets on top of `--timeout`.
const GRACE: Duration = Duration::from_secs(1);
/// The files are read once: no command runs for as long as a certificate.
const NEVER: u64 = 365 * 24 * 60 * 60;

/// Runs a command that talks to the mesh, on one thread.
pub(crate) fn call<T>(mesh: &Mesh, command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(command).map_err(|error| {
        // In TLS 1.3 a client is turned away only after it thinks itself connected, and all it sees is a closed connection.
        let nameless = mesh.gateway.starts_with("https:") && mesh.cert.is_none();
        if nameless && output::is_broken_connection(&error) {
            return error.context("the mesh may ask for a client certificate (--cert, --key)");
        }
        error
    })
}

/// Does what `--timeout` allows. The mesh is told too ([`request`]), but not trusted to answer at all.
pub(crate) async fn within<T>(
    timeout: Option<Duration>,
    command: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let Some(timeout) = timeout else {
        return command.await;
    };
    match tokio::time::timeout(timeout, command).await {
        Ok(ended) => ended,
        Err(_) => bail!("not done within {timeout:?}, the time that --timeout gives"),
    }
}

/// A request with its deadline: a little more than we wait, so that it is we who say that the time is over.
pub(crate) fn request<M>(message: M, timeout: Option<Duration>) -> Request<M> {
    let mut request = Request::new(message);
    if let Some(timeout) = timeout {
        request.set_timeout(timeout.saturating_add(GRACE));
    }
    request
}

/// Connects to the gateway; `https` is TLS or an error, never plaintext.
pub(crate) async fn connect(mesh: &Mesh) -> anyhow::Result<Channel> {
    let gateway = &mesh.gateway;
    let uri: Uri = gateway.parse().with_context(|| not_an_address(gateway))?;
    if uri.authority().is_none() {
        bail!(not_an_address(gateway));
    }
    // TLS is the connector's: to an endpoint of its own TLS, an `https` address without it is an error.
    let mut parts = uri.clone().into_parts();
    parts.scheme = Some(Scheme::HTTP);
    let endpoint = Endpoint::from(Uri::from_parts(parts).with_context(|| not_an_address(gateway))?)
        .origin(uri.clone())
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(PING)
        .keep_alive_timeout(PONG)
        .user_agent(concat!("polyphony/", env!("CARGO_PKG_VERSION")))?;
    let connected = match uri.scheme_str() {
        Some("http") => endpoint.connect().await,
        Some("https") => {
            let tls = tls(mesh)?;
            let connector = tower::service_fn(move |uri| encrypted(tls.clone(), uri));
            endpoint.connect_with_connector(connector).await
        }
        _ => bail!(not_an_address(gateway)),
    };
    connected.map_err(|error| {
        let why = output::root(&error);
        anyhow!(
            "no mesh answers at {gateway} ({why}); start one with `polyphony up`, or name it with --gateway"
        )
    })
}

fn not_an_address(gateway: &str) -> String {
    format!("--gateway {gateway}: write http://HOST:PORT or https://HOST:PORT")
}

fn tls(mesh: &Mesh) -> anyhow::Result<ClientTls> {
    let ca = mesh
        .ca
        .clone()
        .context("https needs --ca FILE, the authorities that are trusted")?;
    let config = ClientTlsConfig {
        ca,
        cert: mesh.cert.clone(),
        key: mesh.key.clone(),
        server_name: None,
        reload_interval: polyphony_config::HumanDuration::from_secs(NEVER),
    };
    ClientTls::load(&config).context("--ca, --cert, --key")
}

async fn encrypted(
    tls: ClientTls,
    uri: Uri,
) -> io::Result<TokioIo<impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin>> {
    let host = uri.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let tcp = TcpStream::connect((bare, uri.port_u16().unwrap_or(443))).await?;
    tcp.set_nodelay(true)?;
    Ok(TokioIo::new(tls.connect(host, tcp).await?))
}
