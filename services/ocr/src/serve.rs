//! Text recognition as a program: from its configuration to the end of its drain.

use polyphony_chassis::accept::Ended;
use polyphony_chassis::config::ServerConfig;
use polyphony_chassis::models::{Models, await_ready};
use polyphony_chassis::{Program, Runtime, Server};
use polyphony_config::{Dump, Layers};
use polyphony_proto::google::longrunning;
use polyphony_proto::google::longrunning::operations_server::OperationsServer;
use polyphony_proto::models::v1 as models;
use polyphony_proto::models::v1::model_service_server::ModelServiceServer;
use polyphony_proto::ocr::v1 as pb;
use polyphony_proto::ocr::v1::ocr_service_server::OcrServiceServer;
use tokio::net::TcpListener;

use crate::config::Config;
use crate::engines::{self, Engines};
use crate::grpc::Service;
use crate::reader::{NoProgram, Readers};

/// The program, for `polyphony_chassis::main` and for `polyphony up`.
#[derive(Debug)]
pub struct Ocr;

/// Text recognition cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The model store cannot be opened.
    #[error("cannot open the model store")]
    Models(#[source] polyphony_models::Error),
    /// Nothing can open documents.
    #[error(transparent)]
    Reader(#[from] NoProgram),
    /// The server cannot serve.
    #[error("cannot serve")]
    Serve(#[source] polyphony_chassis::Error),
}

/// The full gRPC name, as readiness knows it.
const SERVICE: &str = "polyphony.ocr.v1.OcrService";

// === impl Ocr ===

impl Program for Ocr {
    const NAME: &'static str = "ocr";
    const PORT: u16 = 7006;
    type Config = Config;
    type Error = StartError;

    fn read(layers: &Layers) -> Result<Config, polyphony_config::Error> {
        Config::read(layers)
    }

    fn dump<'a>(config: &Config, dump: Dump<'a>) -> Result<Dump<'a>, polyphony_config::Error> {
        dump.section("ocr", config)?
            .section("models", &config.models)?
            .section("inference", &config.inference)
    }

    fn server(config: &Config) -> &ServerConfig {
        &config.server
    }

    async fn run(config: Config, runtime: Runtime, listener: TcpListener) -> Result<Ended, StartError> {
        let (store, residents, models) =
            Models::open(&config.models, &runtime).map_err(StartError::Models)?;
        let engines = engines::of_store(&store, residents, &config).map_err(StartError::Models)?;
        let server = Server::new(Self::NAME, &config.server).service(
            polyphony_chassis::server!(ModelServiceServer::new(models), &config.server.limits),
            models::FILE_DESCRIPTOR_SET,
        );
        serve(server, config, engines, runtime, listener).await
    }
}

/// Serves recognition with these engines, besides what `server` serves already, until the runtime says stop.
///
/// # Errors
/// When the server cannot start.
pub async fn serve(
    server: Server,
    config: Config,
    engines: Engines,
    runtime: Runtime,
    listener: TcpListener,
) -> Result<Ended, StartError> {
    let readers = Readers::new(&config.reader, config.bounds())?;
    let limits = config.server.limits.clone();
    let guard = runtime.readiness.guard(SERVICE, "the default model");
    let (awaited, preload) = (engines.clone(), config.preload);
    let watch = tokio::spawn(await_ready(guard, move || {
        let engines = awaited.clone();
        async move {
            let look = engines.clone();
            tokio::task::spawn_blocking(move || look.ready())
                .await
                .map_err(|error| error.to_string())??;
            if preload {
                engines.acquire("").await.map_err(|fault| fault.to_string())?;
            }
            Ok(())
        }
    }));
    let operations = runtime.residents.operations();
    let service = Service::new(config, engines, readers, operations.clone());
    let ended = server
        .readiness(&runtime.readiness)
        .admission(&runtime.admission)
        .service(
            polyphony_chassis::server!(OcrServiceServer::new(service), &limits),
            pb::FILE_DESCRIPTOR_SET,
        )
        .service(
            polyphony_chassis::server!(OperationsServer::new(operations), &limits),
            longrunning::FILE_DESCRIPTOR_SET,
        )
        .serve(listener, runtime.shutdown)
        .await;
    watch.abort();
    ended.map_err(StartError::Serve)
}
