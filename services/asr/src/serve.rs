//! The recogniser as a program: from its configuration to the end of its drain.

use polyphony_chassis::accept::Ended;
use polyphony_chassis::config::ServerConfig;
use polyphony_chassis::models::Models;
use polyphony_chassis::{Error, Program, Runtime, Server};
use polyphony_config::{Dump, Layers};
use polyphony_proto::asr::v1 as pb;
use polyphony_proto::asr::v1::asr_service_server::{AsrServiceServer, SERVICE_NAME};
use tokio::net::TcpListener;

use crate::config::Config;
use crate::grpc;
use crate::recognizers::Recognizers;

/// The program, for `polyphony_chassis::main` and for `polyphony up`.
#[derive(Debug)]
pub struct Asr;

// === impl Asr ===

impl Program for Asr {
    const NAME: &'static str = "asr";
    const PORT: u16 = 7001;
    type Config = Config;
    type Error = Error;

    fn read(layers: &Layers) -> Result<Config, polyphony_config::Error> {
        Config::read(layers)
    }

    fn dump<'a>(config: &Config, dump: Dump<'a>) -> Result<Dump<'a>, polyphony_config::Error> {
        dump.section("asr", config)?
            .section("models", &config.models)?
            .section("inference", &config.inference)
    }

    fn server(config: &Config) -> &ServerConfig {
        &config.server
    }

    async fn run(config: Config, runtime: Runtime, listener: TcpListener) -> Result<Ended, Error> {
        let (store, residents, models) = Models::open(&config.models, &runtime)?;
        let recognizers = Recognizers::of_store(&store, residents, &config)?;
        let server = Server::new(Self::NAME, &config.server).models(models);
        serve(server, config, recognizers, runtime, listener).await
    }
}

/// Serves recognition with these recognisers, besides what `server` serves already, until the runtime says stop.
///
/// # Errors
/// When the server cannot start.
pub async fn serve(
    server: Server,
    config: Config,
    recognizers: Recognizers,
    runtime: Runtime,
    listener: TcpListener,
) -> Result<Ended, Error> {
    let (awaited, preload) = (recognizers.clone(), config.preload);
    let (operations, limits) = (runtime.residents.operations(), config.server.limits.clone());
    let asr = AsrServiceServer::new(grpc::Asr::new(config, recognizers, operations.clone()));
    server
        .within(&runtime)
        .awaits(SERVICE_NAME, "the default model", move || awaited.ready(preload))
        .service(polyphony_chassis::server!(asr, &limits), pb::FILE_DESCRIPTOR_SET)
        .operations(operations)
        .serve(listener, runtime.shutdown)
        .await
}
