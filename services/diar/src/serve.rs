//! The diarizer as a program: from its configuration to the end of its drain.

use polyphony_chassis::accept::Ended;
use polyphony_chassis::config::ServerConfig;
use polyphony_chassis::models::Models;
use polyphony_chassis::{Program, Runtime, Server};
use polyphony_config::{Dump, Layers, data_dir};
use polyphony_proto::diar::v1 as pb;
use polyphony_proto::diar::v1::diar_service_server::{DiarServiceServer, SERVICE_NAME};
use tokio::net::TcpListener;

use crate::config::Config;
use crate::diarizers;
use crate::grpc::Service;
use crate::speakers::Speakers;

/// The program, for `polyphony_chassis::main` and for `polyphony up`.
#[derive(Debug)]
pub struct Diar;

/// The diarizer cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store of models cannot be opened, or the server cannot serve.
    #[error(transparent)]
    Serve(#[from] polyphony_chassis::Error),
    /// There is no folder for enrolled speakers.
    #[error("nothing says where enrolled speakers are kept; set diar.speakers_dir, or $HOME")]
    NoFolder,
}

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
        let (store, residents, models) = Models::open(&config.models, &runtime)?;
        let diarizers =
            diarizers::of_store(&store, residents, &config).map_err(polyphony_chassis::Error::from)?;
        let kept = || data_dir(|name| std::env::var_os(name)).map(|data| data.join("speakers"));
        let folder = config.speakers_dir.clone().or_else(kept);
        let speakers = Speakers::new(folder.ok_or(StartError::NoFolder)?, config.max_speakers);
        let (awaited, preload) = (diarizers.clone(), config.preload);
        let server = Server::new(Self::NAME, &config.server)
            .within(&runtime)
            .models(models);
        let limits = config.server.limits.clone();
        let service = DiarServiceServer::new(Service::new(config, diarizers, speakers));
        let ended = server
            .awaits(SERVICE_NAME, "the default model", move || awaited.ready(preload))
            .service(
                polyphony_chassis::server!(service, &limits),
                pb::FILE_DESCRIPTOR_SET,
            )
            .serve(listener, runtime.shutdown)
            .await?;
        Ok(ended)
    }
}
