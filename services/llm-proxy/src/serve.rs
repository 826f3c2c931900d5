//! The proxy as a program: from its configuration to the end of its drain.

use std::net::SocketAddr;
use std::sync::Arc;

use polyphony_chassis::accept::Ended;
use polyphony_chassis::config::ServerConfig;
use polyphony_chassis::models::Models;
use polyphony_chassis::{Program, Runtime, Server};
use polyphony_config::{Dump, Layers};
use polyphony_proto::llm::v1 as pb;
use polyphony_proto::llm::v1::llm_service_server::LlmServiceServer;
use tokio::net::TcpListener;

use crate::config::Config;
use crate::fleet::Fleet;
use crate::grpc;
use crate::http;
use crate::keys::{self, FileError, Keys};
use crate::local::Local;
use crate::proxy::Proxy;
use crate::upstream::{SetupError, Upstream};
use crate::watch;

/// The program, for `polyphony_chassis::main` and for `polyphony up`.
#[derive(Debug)]
pub struct LlmProxy;

/// The proxy cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An upstream cannot be used as it is configured.
    #[error("cannot use llm-proxy.upstreams.{name}")]
    Upstream {
        /// Its name.
        name: String,
        /// Why.
        source: SetupError,
    },
    /// The keys or the usage cannot be read.
    #[error("cannot use llm-proxy.keys")]
    Keys(#[source] FileError),
    /// The HTTP door cannot be opened.
    #[error(
        "cannot listen on {addr} (llm-proxy.http.listen); give another address or stop what listens there"
    )]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The HTTP door's TLS cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[source] polyphony_chassis::tls::Error),
    /// The server cannot serve.
    #[error("cannot serve")]
    Serve(#[from] polyphony_chassis::Error),
}

/// The full gRPC name, as readiness knows it.
const SERVICE: &str = "polyphony.llm.v1.LlmService";

// === impl LlmProxy ===

impl Program for LlmProxy {
    const NAME: &'static str = "llm-proxy";
    const PORT: u16 = 7004;
    type Config = Config;
    type Error = StartError;

    fn read(layers: &Layers) -> Result<Config, polyphony_config::Error> {
        Config::read(layers)
    }

    fn dump<'a>(config: &Config, dump: Dump<'a>) -> Result<Dump<'a>, polyphony_config::Error> {
        dump.section("llm-proxy", config)?
            .section("models", &config.models)?
            .section("inference", &config.inference)
    }

    fn server(config: &Config) -> &ServerConfig {
        &config.server
    }

    async fn run(config: Config, runtime: Runtime, listener: TcpListener) -> Result<Ended, StartError> {
        // The check of the configuration has parsed it before.
        let door = match config.http.address().ok().flatten() {
            Some(addr) => Some(
                TcpListener::bind(addr)
                    .await
                    .map_err(|source| StartError::Bind { addr, source })?,
            ),
            None => None,
        };
        Self::serve(config, runtime, listener, door).await
    }
}

impl LlmProxy {
    /// Serves on `listener`, and OpenAI's API on `door`, until the runtime says stop.
    ///
    /// # Errors
    /// When it cannot start.
    pub async fn serve(
        config: Config,
        runtime: Runtime,
        listener: TcpListener,
        door: Option<TcpListener>,
    ) -> Result<Ended, StartError> {
        let (store, residents, models) = Models::open(&config.models, &runtime)?;
        let local = Local::of_store(&store, residents, &config).map_err(polyphony_chassis::Error::from)?;
        let proxy = Arc::new(build(&config, local)?);
        // Those of this mesh on loopback are no language models.
        let mut own_ports = vec![7004, 8004, 8080, 9004];
        for listener in std::iter::once(&listener).chain(&door) {
            own_ports.extend(listener.local_addr().map(|addr| addr.port()));
        }
        let guard = runtime
            .readiness
            .guard(SERVICE, "the first look at the upstreams");
        let (watched, server_config) = (Arc::clone(&proxy), config.server.clone());
        let watching = tokio::spawn(async move {
            watch::first(&watched, &own_ports).await;
            drop(guard);
            watch::forever(watched, own_ports).await;
        });
        let keeping = tokio::spawn(keys::keep(Arc::clone(&proxy)));

        let llm = grpc::Llm::new(Arc::clone(&proxy));
        let limits = &server_config.limits;
        let serving = Server::new(Self::NAME, &server_config)
            .models(models)
            .within(&runtime)
            .service(
                polyphony_chassis::server!(LlmServiceServer::new(llm), limits),
                pb::FILE_DESCRIPTOR_SET,
            )
            .serve(listener, runtime.shutdown.clone());
        let door = async {
            match door {
                Some(door) => {
                    http::serve(door, Arc::clone(&proxy), &server_config, runtime.shutdown.clone()).await
                }
                None => Ok(()),
            }
        };
        let ended = tokio::try_join!(async { serving.await.map_err(StartError::from) }, door);
        watching.abort();
        keeping.abort();
        proxy.keys.write();
        ended.map(|(ended, ())| ended)
    }
}

fn build(config: &Config, local: Local) -> Result<Proxy, StartError> {
    let mut upstreams = Vec::with_capacity(config.upstreams.len());
    for (name, upstream) in &config.upstreams {
        let built = Upstream::new(name, upstream.clone(), &config.breaker);
        let built = built.map_err(|source| StartError::Upstream {
            name: name.clone(),
            source,
        })?;
        upstreams.push(Arc::new(built));
    }
    let data = polyphony_config::data_dir(|name| std::env::var_os(name));
    let keys = Keys::open(&config.keys, data).map_err(StartError::Keys)?;
    let fleet = Fleet::new(
        upstreams,
        config.aliases.clone(),
        config.default_model.clone(),
        config.policy,
    );
    Ok(Proxy::new(config.clone(), fleet, keys, local))
}
