//! The diarizer as a program: from its configuration to the end of its drain.

use polyphony_chassis::accept::Ended;
use polyphony_chassis::config::ServerConfig;
use polyphony_chassis::models::{Models, await_ready};
use polyphony_chassis::{Program, Runtime, Server};
use polyphony_config::{Dump, Layers, data_dir};
use polyphony_proto::diar::v1 as pb;
use polyphony_proto::diar::v1::diar_service_server::DiarServiceServer;
use polyphony_proto::models::v1 as models;
use polyphony_proto::models::v1::model_service_server::ModelServiceServer;
use tokio::net::TcpListener;
use tokio::task;

use crate::config::Config;
use crate::diarizers::{self, Diarizers};
use crate::grpc::Service;
use crate::speakers::Speakers;

/// The program, for `polyphony_chassis::main` and for `polyphony up`.
#[derive(Debug)]
pub struct Diar;

/// The diarizer cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The model store cannot be opened.
    #[error("cannot open the model store")]
    Models(#[source] polyphony_models::Error),
    /// There is no folder for enrolled speakers.
    #[error("nothing says where enrolled speakers are kept; set diar.speakers_dir, or $HOME")]
    NoFolder,
    /// The server cannot serve.
    #[error("cannot serve")]
    Serve(#[source] polyphony_chassis::Error),
}

/// The full gRPC name, as readiness knows it.
const SERVICE: &str = "polyphony.diar.v1.DiarService";

// === impl Diar ===

impl Program for Diar {
    const NAME: &'static str = "diar";
    const PORT: u16 = 7003;
    type Config = Config;
    type Error = StartError;

    fn read(layers: &Layers) -> Result<Config, polyphony_config::Error> {
        Config::read(layers)
    }

    fn dump<'a>(config: &Config, dump: Dump<'a>) -> Result<Dump<'a>, polyphony_config::Error> {
        dump.section("diar", config)?
            .section("models", &config.models)?
            .section("inference", &config.inference)
    }

    fn server(config: &Config) -> &ServerConfig {
        &config.server
    }

    async fn run(config: Config, runtime: Runtime, listener: TcpListener) -> Result<Ended, StartError> {
        let (store, residents, models) =
            Models::open(&config.models, &runtime).map_err(StartError::Models)?;
        let diarizers = diarizers::of_store(&store, residents, &config).map_err(StartError::Models)?;
        let server = Server::new(Self::NAME, &config.server).service(
            polyphony_chassis::server!(ModelServiceServer::new(models), &config.server.limits),
            models::FILE_DESCRIPTOR_SET,
        );
        serve(server, config, diarizers, runtime, listener).await
    }
}

/// Serves diarization with these diarizers, besides what `server` serves already, until the runtime says stop.
///
/// # Errors
/// When the server cannot start.
pub async fn serve(
    server: Server,
    config: Config,
    diarizers: Diarizers,
    runtime: Runtime,
    listener: TcpListener,
) -> Result<Ended, StartError> {
    let limits = config.server.limits.clone();
    let guard = runtime.readiness.guard(SERVICE, "the default model");
    let (awaited, preload) = (diarizers.clone(), config.preload);
    let watch = tokio::spawn(await_ready(guard, move || {
        let diarizers = awaited.clone();
        async move {
            let looked = diarizers.clone();
            let ready = task::spawn_blocking(move || looked.ready()).await;
            ready.unwrap_or_else(|error| Err(error.to_string()))?;
            if preload {
                diarizers.acquire("").await.map_err(|fault| fault.to_string())?;
            }
            Ok(())
        }
    }));
    let kept = || data_dir(|name| std::env::var_os(name)).map(|data| data.join("speakers"));
    let folder = config
        .speakers_dir
        .clone()
        .or_else(kept)
        .ok_or(StartError::NoFolder)?;
    let speakers = Speakers::new(folder, config.max_speakers);
    let service = Service::new(config, diarizers, speakers);
    let ended = server
        .readiness(&runtime.readiness)
        .admission(&runtime.admission)
        .service(
            polyphony_chassis::server!(DiarServiceServer::new(service), &limits),
            pb::FILE_DESCRIPTOR_SET,
        )
        .serve(listener, runtime.shutdown)
        .await;
    watch.abort();
    ended.map_err(StartError::Serve)
}
