//! The aligner as a program: from its configuration to the end of its drain.

use polyphony_chassis::accept::Ended;
use polyphony_chassis::config::ServerConfig;
use polyphony_chassis::models::{Models, await_ready};
use polyphony_chassis::{Program, Runtime, Server};
use polyphony_config::{Dump, Layers};
use polyphony_proto::align::v1 as pb;
use polyphony_proto::align::v1::align_service_server::AlignServiceServer;
use polyphony_proto::models::v1 as models;
use polyphony_proto::models::v1::model_service_server::ModelServiceServer;
use tokio::net::TcpListener;
use tokio::task;

use crate::aligners::{self, Aligners};
use crate::config::Config;
use crate::grpc;

/// The program, for `polyphony_chassis::main` and for `polyphony up`.
#[derive(Debug)]
pub struct Align;

/// The aligner cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The model store cannot be opened.
    #[error("cannot open the model store")]
    Models(#[source] polyphony_models::Error),
    /// The server cannot serve.
    #[error("cannot serve")]
    Serve(#[source] polyphony_chassis::Error),
}

/// The full gRPC name, as readiness knows it.
const SERVICE: &str = "polyphony.align.v1.AlignService";

// === impl Align ===

impl Program for Align {
    const NAME: &'static str = "align";
    const PORT: u16 = 7002;
    type Config = Config;
    type Error = StartError;

    fn read(layers: &Layers) -> Result<Config, polyphony_config::Error> {
        Config::read(layers)
    }

    fn dump<'a>(config: &Config, dump: Dump<'a>) -> Result<Dump<'a>, polyphony_config::Error> {
        dump.section("align", config)?
            .section("models", &config.models)?
            .section("inference", &config.inference)
    }

    fn server(config: &Config) -> &ServerConfig {
        &config.server
    }

    async fn run(config: Config, runtime: Runtime, listener: TcpListener) -> Result<Ended, StartError> {
        let (store, residents, models) =
            Models::open(&config.models, &runtime).map_err(StartError::Models)?;
        let aligners = aligners::of_store(&store, residents, &config).map_err(StartError::Models)?;
        let server = Server::new(Self::NAME, &config.server).service(
            polyphony_chassis::server!(ModelServiceServer::new(models), &config.server.limits),
            models::FILE_DESCRIPTOR_SET,
        );
        serve(server, config, aligners, runtime, listener).await
    }
}

/// Serves alignment with these aligners, besides what `server` serves already, until the runtime says stop.
///
/// # Errors
/// When the server cannot start.
pub async fn serve(
    server: Server,
    config: Config,
    aligners: Aligners,
    runtime: Runtime,
    listener: TcpListener,
) -> Result<Ended, StartError> {
    let limits = config.server.limits.clone();
    let guard = runtime.readiness.guard(SERVICE, "the default model");
    let (awaited, preload) = (aligners.clone(), config.preload);
    let watch = tokio::spawn(await_ready(guard, move || {
        let aligners = awaited.clone();
        async move {
            let looked = aligners.clone();
            let ready = task::spawn_blocking(move || looked.ready()).await;
            ready.unwrap_or_else(|error| Err(error.to_string()))?;
            if preload {
                aligners.acquire("").await.map_err(|fault| fault.to_string())?;
            }
            Ok(())
        }
    }));
    let service = grpc::Service::new(config, aligners);
    let ended = server
        .readiness(&runtime.readiness)
        .admission(&runtime.admission)
        .service(
            polyphony_chassis::server!(AlignServiceServer::new(service), &limits),
            pb::FILE_DESCRIPTOR_SET,
        )
        .serve(listener, runtime.shutdown)
        .await;
    watch.abort();
    ended.map_err(StartError::Serve)
}
