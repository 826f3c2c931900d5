//! Documents by their address: fetched only from hosts that the operator allows, and only from the public network.
//!
//! Off by default. A name is resolved once; all of its addresses must be allowed, and the connection is made to those very
//! addresses, so an answer that changes between the look and the connection changes nothing. A redirect is a new address
//! and is checked as one; it may not lead to another host. No proxy, no cookie, no credentials, and an end in size and time.

mod address;
mod target;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use polyphony_error::{Fault, Kind, chain};
use reqwest::header::LOCATION;
use reqwest::{Client, Response, StatusCode, Url};
use rustls::crypto::CryptoProvider;
use tokio::time::timeout;

use address::is_public;
pub(crate) use target::Hosts;
use target::Target;

/// Fetches documents. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Fetcher {
    hosts: Hosts,
    is_allowed: fn(IpAddr) -> bool,
    resolve: Arc<dyn Resolve>,
    /// For all of a document.
    time: Duration,
}

/// Finds the addresses of a name.
pub(crate) trait Resolve: fmt::Debug + Send + Sync {
    /// All of them.
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, std::io::Result<Vec<SocketAddr>>>;
}

/// Asks the system.
#[derive(Debug)]
pub(crate) struct SystemResolver;

/// Redirects that are followed on one host.
const MOST_REDIRECTS: usize = 3;
/// For TCP and TLS together.
const CONNECT: Duration = Duration::from_secs(10);
/// The field of an ingestion that an address stands in.
const FIELD: &str = "document.media.uri";

// === impl Fetcher ===

impl Fetcher {
    /// Fetches from these hosts, each document within `time`.
    pub(crate) fn new(hosts: Hosts, time: Duration) -> Self {
        Self {
            hosts,
            is_allowed: is_public,
            resolve: Arc::new(SystemResolver),
            time,
        }
    }

    /// The same with another resolver, and another rule of which addresses may be connected to.
    #[cfg(test)]
    pub(crate) fn with(mut self, resolve: Arc<dyn Resolve>, is_allowed: fn(IpAddr) -> bool) -> Self {
        self.resolve = resolve;
        self.is_allowed = is_allowed;
        self
    }

    /// Fetches a document and gives its bytes to `sink` as they come; it may end the transfer with a fault.
    ///
    /// # Errors
    /// PERMISSION_DENIED `URI_NOT_ALLOWED`, FAILED_PRECONDITION `URI_FAILED` when the server does not give it,
    /// DEADLINE_EXCEEDED `URI_TOO_SLOW`, and what `sink` says.
    pub(crate) async fn fetch(
        &self,
        address: &str,
        mut sink: impl FnMut(&[u8]) -> Result<(), Fault> + Send,
    ) -> Result<(), Fault> {
        let work = async {
            let mut target = self.hosts.target(address)?;
            for _ in 0..=MOST_REDIRECTS {
                let response = self.get(&target).await?;
                if response.status().is_redirection() {
                    target = self.redirected(&target, &response)?;
                    continue;
                }
                return copy(response, &mut sink).await;
            }
            Err(failed("it redirects more than 3 times"))
        };
        timeout(self.time, work).await.unwrap_or_else(|_| {
            let text = format!("{FIELD}: not fetched within {:?} (rag.uri_timeout)", self.time);
            Err(Fault::new(Kind::DeadlineExceeded, "URI_TOO_SLOW", text))
        })
    }

    async fn get(&self, target: &Target) -> Result<Response, Fault> {
        let addresses = self.addresses(target).await?;
        let client = client(target, &addresses)?;
        let response = client.get(target.url().clone()).send().await;
        response.map_err(|error| failed("the server cannot be reached").because(error.without_url()))
    }

    /// The addresses of the target, all of which are allowed.
    async fn addresses(&self, target: &Target) -> Result<Vec<SocketAddr>, Fault> {
        let found = self.resolve.resolve(target.host(), target.port()).await;
        let found = found.map_err(|error| failed("its host has no address").because(error))?;
        if found.is_empty() {
            return Err(failed("its host has no address"));
        }
        // One that is not public among them is the mark of an attack, not an address to leave out.
        if !found.iter().all(|address| (self.is_allowed)(address.ip())) {
            return Err(target::denied("its host is not on the public network"));
        }
        Ok(found)
    }

    fn redirected(&self, target: &Target, response: &Response) -> Result<Target, Fault> {
        let location = response
            .headers()
            .get(LOCATION)
            .and_then(|location| location.to_str().ok());
        let next = location.and_then(|location| target.url().join(location).ok());
        let next = next.ok_or_else(|| failed("it redirects to no address"))?;
        let next = self.hosts.check(next)?;
        if next.host() != target.host() {
            return Err(target::denied("it redirects to another host"));
        }
        Ok(next)
    }
}

/// A client that knows one host, and connects to these addresses of it alone.
fn client(target: &Target, addresses: &[SocketAddr]) -> Result<Client, Fault> {
    if CryptoProvider::get_default().is_none() {
        // Somebody else may have been faster; every crate here installs the same one.
        drop(rustls::crypto::ring::default_provider().install_default());
    }
    Client::builder()
        .user_agent(concat!("polyphony/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT)
        .resolve_to_addrs(target.host(), addresses)
        .build()
        .map_err(|error| {
            tracing::warn!(error = %chain(&error), "no client for documents can be made");
            failed("no TLS client can be made here").because(error)
        })
}

async fn copy(
    response: Response,
    sink: &mut (impl FnMut(&[u8]) -> Result<(), Fault> + Send),
) -> Result<(), Fault> {
    let status = response.status();
    if status != StatusCode::OK {
        return Err(failed(&format!("the server answers {}", status.as_u16())));
    }
    let expected = response.content_length();
    let mut had = 0;
    let mut bytes = response.bytes_stream();
    while let Some(piece) = bytes.next().await {
        let piece = piece.map_err(|error| failed("the transfer broke off").because(error.without_url()))?;
        had += piece.len() as u64;
        sink(&piece)?;
    }
    if expected.is_some_and(|expected| expected != had) {
        return Err(failed("the transfer broke off"));
    }
    Ok(())
}

fn failed(why: &str) -> Fault {
    let text = format!("{FIELD}: cannot be fetched: {why}");
    Fault::new(Kind::FailedPrecondition, "URI_FAILED", text)
}

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, std::io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}

/// The host of an address for messages: nothing else of it, for it may hold a secret.
fn shown(url: &Url) -> String {
    url.host_str().unwrap_or_default().chars().take(100).collect()
}

#[cfg(test)]
mod tests;
