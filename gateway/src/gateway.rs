//! The gateway as a program: built from its section, served on its listeners.

use std::io;
use std::net::SocketAddr;

use polyphony_chassis::accept::{self, Ended};
use polyphony_chassis::config::ServerConfig;
use polyphony_chassis::telemetry::TelemetryConfig;
use polyphony_chassis::tls::{self, ServerTls};
use polyphony_chassis::{Drain, Program, Runtime};
use polyphony_config::{Dump, Layers};
use polyphony_gateway_core as core;
use polyphony_gateway_core::Mesh;
use polyphony_gateway_proxy::{self as proxy, Proxy};
use tokio::net::TcpListener;

use crate::config::{GatewayConfig, Keys, TlsKeys};
use crate::door::Door;
use crate::reflection::Index;

/// A gateway that is ready to be served.
#[derive(Debug)]
pub struct Gateway {
    config: GatewayConfig,
    mesh: Mesh,
}

/// Its sockets.
#[derive(Debug)]
pub struct Listeners {
    /// HTTP/2 in plaintext.
    pub plain: TcpListener,
    /// HTTP/2 in TLS, with the keys of `gateway.tls`.
    pub tls: Option<TcpListener>,
}

/// The gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Routes or clusters do not hold together.
    #[error("the section `gateway` does not describe a mesh")]
    Mesh(#[source] core::Error),
    /// Plaintext where others could listen in.
    #[error(
        "`gateway.listen` is reachable from other machines in plaintext; listen on 127.0.0.1, use `gateway.tls`, or set \
         `gateway.allow_plaintext = true`"
    )]
    Plaintext,
    /// A cluster cannot be set up.
    #[error("cannot set up the clusters")]
    Clusters(#[source] proxy::StartError),
    /// The certificate, key or authorities of the gateway itself cannot be used.
    #[error("`gateway.tls` cannot be used")]
    Tls(#[source] tls::Error),
    /// The TLS address cannot be listened on.
    #[error("cannot listen on {addr} for TLS; give `gateway.tls.listen` another address")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

// === impl Gateway ===

impl Gateway {
    /// Checks the section and builds the gateway, which does nothing yet.
    ///
    /// # Errors
    /// [`Error::Mesh`] and [`Error::Plaintext`].
    pub fn new(config: GatewayConfig) -> Result<Self, Error> {
        if !config.is_private() {
            return Err(Error::Plaintext);
        }
        let mesh = config.mesh().map_err(Error::Mesh)?;
        Ok(Self { config, mesh })
    }

    /// Serves until [`Runtime::shutdown`], then drains. The process is ready when every endpoint has been asked once
    /// whether it serves, whatever it said: what is down says so in the health of its services.
    ///
    /// # Errors
    /// When TLS files cannot be used; before the first connection only.
    pub async fn serve(self, listeners: Listeners, runtime: Runtime) -> Result<Ended, Error> {
        let Self { config, mesh } = self;
        let keys = config.keys();
        let tls = match (&listeners.tls, &keys.tls) {
            (Some(_), Some(keys)) => Some(ServerTls::load(&keys.into(), false).map_err(Error::Tls)?),
            _ => None,
        };
        let checking = runtime
            .readiness
            .guard("", "the first health checks of the upstreams");
        runtime.readiness.started();
        let proxy = Proxy::start(mesh, config.spans()).map_err(Error::Clusters)?;
        let index = Index::start(&proxy);
        let ready = async {
            proxy.checked().await;
            index.filled().await;
            drop(checking);
            runtime.shutdown.asked().await;
            runtime.readiness.drain();
        };

        let serve = |listener: TcpListener, tls: Option<ServerTls>| {
            let stages = Drain::new();
            let door = Door::new(
                proxy.with_drain(stages.clone()),
                index.clone(),
                runtime.readiness.clone(),
                stages.clone(),
            );
            let options = accept::Options {
                connections: keys.connections.clone(),
                drain: keys.drain.clone(),
                tls,
                http1: false,
                stages,
            };
            tracing::info!(
                server = Self::NAME,
                addr = listener.local_addr().ok().map(tracing::field::display),
                tls = options.tls.is_some(),
                "listening",
            );
            accept::serve(listener, door, options, runtime.shutdown.clone())
        };
        let plain = serve(listeners.plain, None);
        let secure = listeners
            .tls
            .zip(tls)
            .map(|(listener, tls)| serve(listener, Some(tls)));
        let secure = async {
            match secure {
                Some(secure) => secure.await,
                None => Ended::Drained,
            }
        };
        let (plain, secure, ()) = tokio::join!(plain, secure, ready);
        let ended = match (plain, secure) {
            (Ended::Aborted(a), Ended::Aborted(b)) => Ended::Aborted(a + b),
            (Ended::Drained, other) | (other, Ended::Drained) => other,
        };
        tracing::info!(server = Self::NAME, ?ended, "stopped");
        Ok(ended)
    }
}

impl Program for Gateway {
    const NAME: &'static str = "gateway";
    const PORT: u16 = 8080;
    type Config = GatewayConfig;
    type Error = Error;

    fn read(layers: &Layers) -> Result<GatewayConfig, polyphony_config::Error> {
        let keys: Keys = layers.section(Self::NAME)?;
        let telemetry: TelemetryConfig = layers.section("telemetry")?;
        let config = GatewayConfig::from(keys).with_spans(telemetry.otlp_endpoint.is_some());
        match Self::new(config.clone()) {
            Ok(_) => Ok(config),
            Err(error @ Error::Plaintext) => Err(layers.invalid("gateway.listen", error.to_string())),
            Err(error) => Err(layers.invalid("gateway", polyphony_error::chain(&error).to_string())),
        }
    }

    fn dump<'a>(config: &GatewayConfig, dump: Dump<'a>) -> Result<Dump<'a>, polyphony_config::Error> {
        dump.section(Self::NAME, config.keys())
    }

    fn server(config: &GatewayConfig) -> &ServerConfig {
        config.server()
    }

    async fn run(config: GatewayConfig, runtime: Runtime, listener: TcpListener) -> Result<Ended, Error> {
        let tls = match &config.keys().tls {
            Some(TlsKeys { listen: addr, .. }) => {
                let bound = TcpListener::bind(addr).await;
                Some(bound.map_err(|source| Error::Bind { addr: *addr, source })?)
            }
            None => None,
        };
        let listeners = Listeners { plain: listener, tls };
        Self::new(config)?.serve(listeners, runtime).await
    }
}
