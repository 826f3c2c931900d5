//! The analyser as a program: from its configuration to the end of its drain.

use polyphony_chassis::accept::Ended;
use polyphony_chassis::config::ServerConfig;
use polyphony_chassis::models::Models;
use polyphony_chassis::{Error, Program, Runtime, Server};
use polyphony_config::{Dump, Layers};
use polyphony_proto::analysis::v1 as pb;
use polyphony_proto::analysis::v1::analysis_service_server::{AnalysisServiceServer, SERVICE_NAME};
use tokio::net::TcpListener;

use crate::analyzers::Analyzers;
use crate::config::Config;
use crate::grpc::Service;

/// The program, for `polyphony_chassis::main` and for `polyphony up`.
///
/// It is ready at once: features need no model, and who asks for what does is told what is missing. Only with `preload`
/// is the model for pitch awaited.
#[derive(Debug)]
pub struct Analysis;

// === impl Analysis ===

impl Program for Analysis {
    const NAME: &'static str = "analysis";
    const PORT: u16 = 7009;
    type Config = Config;
    type Error = Error;

    fn read(layers: &Layers) -> Result<Config, polyphony_config::Error> {
        Config::read(layers)
    }

    fn dump<'a>(config: &Config, dump: Dump<'a>) -> Result<Dump<'a>, polyphony_config::Error> {
        dump.section("analysis", config)?
            .section("models", &config.models)?
            .section("inference", &config.inference)
    }

    fn server(config: &Config) -> &ServerConfig {
        &config.server
    }

    async fn run(config: Config, runtime: Runtime, listener: TcpListener) -> Result<Ended, Error> {
        let (store, residents, models) = Models::open(&config.models, &runtime)?;
        let analyzers = Analyzers::of_store(&store, &residents, &config)?;
        let mut server = Server::new(Self::NAME, &config.server)
            .within(&runtime)
            .models(models);
        if config.preload {
            let awaited = analyzers.clone();
            let what = "the default model for pitch";
            server = server.awaits(SERVICE_NAME, what, move || awaited.pitch_ready(true));
        }
        if let Err(remedy) = analyzers.pitch_ready(false).await {
            tracing::warn!(%remedy, "features are served, pitch is not yet");
        }
        let limits = config.server.limits.clone();
        let service = AnalysisServiceServer::new(Service::new(config, analyzers));
        server
            .service(
                polyphony_chassis::server!(service, &limits),
                pb::FILE_DESCRIPTOR_SET,
            )
            .serve(listener, runtime.shutdown)
            .await
    }
}
