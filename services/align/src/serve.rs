//! The aligner as a program: from its configuration to the end of its drain.

use polyphony_chassis::accept::Ended;
use polyphony_chassis::config::ServerConfig;
use polyphony_chassis::models::Models;
use polyphony_chassis::{Error, Program, Runtime, Server};
use polyphony_config::{Dump, Layers};
use polyphony_proto::align::v1 as pb;
use polyphony_proto::align::v1::align_service_server::{AlignServiceServer, SERVICE_NAME};
use tokio::net::TcpListener;

use crate::aligners;
use crate::config::Config;
use crate::grpc::Service;

/// The program, for `polyphony_chassis::main` and for `polyphony up`.
#[derive(Debug)]
pub struct Align;

// === impl Align ===

impl Program for Align {
    const NAME: &'static str = "align";
    const PORT: u16 = 7002;
    type Config = Config;
    type Error = Error;

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

    async fn run(config: Config, runtime: Runtime, listener: TcpListener) -> Result<Ended, Error> {
        let (store, residents, models) = Models::open(&config.models, &runtime)?;
        let aligners = aligners::of_store(&store, residents, &config)?;
        let (awaited, preload) = (aligners.clone(), config.preload);
        let server = Server::new(Self::NAME, &config.server)
            .within(&runtime)
            .models(models);
        let limits = config.server.limits.clone();
        let service = AlignServiceServer::new(Service::new(config, aligners));
        server
            .awaits(SERVICE_NAME, "the default model", move || awaited.ready(preload))
            .service(
                polyphony_chassis::server!(service, &limits),
                pb::FILE_DESCRIPTOR_SET,
            )
            .serve(listener, runtime.shutdown)
            .await
    }
}
