//! Text recognition as a program: from its configuration to the end of its drain.

use polyphony_chassis::accept::Ended;
use polyphony_chassis::config::ServerConfig;
use polyphony_chassis::models::Models;
use polyphony_chassis::{Program, Runtime, Server};
use polyphony_config::{Dump, Layers};
use polyphony_proto::ocr::v1 as pb;
use polyphony_proto::ocr::v1::ocr_service_server::{OcrServiceServer, SERVICE_NAME};
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
    /// The store of models cannot be opened, or the server cannot serve.
    #[error(transparent)]
    Serve(#[from] polyphony_chassis::Error),
    /// Nothing can open documents.
    #[error(transparent)]
    Reader(#[from] NoProgram),
}

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
        let (store, residents, models) = Models::open(&config.models, &runtime)?;
        let engines =
            engines::of_store(&store, residents, &config).map_err(polyphony_chassis::Error::from)?;
        let server = Server::new(Self::NAME, &config.server).models(models);
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
    let (awaited, preload) = (engines.clone(), config.preload);
    let (operations, limits) = (runtime.residents.operations(), config.server.limits.clone());
    let ocr = OcrServiceServer::new(Service::new(config, engines, readers, operations.clone()));
    let ended = server
        .within(&runtime)
        .awaits(SERVICE_NAME, "the default model", move || awaited.ready(preload))
        .service(polyphony_chassis::server!(ocr, &limits), pb::FILE_DESCRIPTOR_SET)
        .operations(operations)
        .serve(listener, runtime.shutdown)
        .await?;
    Ok(ended)
}
