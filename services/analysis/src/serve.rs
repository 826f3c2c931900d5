//! The analyser as a program: from its configuration to the end of its drain.

use polyphony_chassis::accept::Ended;
use polyphony_chassis::config::ServerConfig;
use polyphony_chassis::models::{Models, await_ready};
use polyphony_chassis::{Program, Runtime, Server};
use polyphony_config::{Dump, Layers};
use polyphony_proto::analysis::v1 as pb;
use polyphony_proto::analysis::v1::analysis_service_server::AnalysisServiceServer;
use polyphony_proto::models::v1 as models;
use polyphony_proto::models::v1::model_service_server::ModelServiceServer;
use tokio::net::TcpListener;

use crate::analyzers::Analyzers;
use crate::config::Config;
use crate::grpc::Service;

/// The program, for `polyphony_chassis::main` and for `polyphony up`.
#[derive(Debug)]
pub struct Analysis;

/// The analyser cannot start.
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
const SERVICE: &str = "polyphony.analysis.v1.AnalysisService";

// === impl Analysis ===

impl Program for Analysis {
    const NAME: &'static str = "analysis";
    const PORT: u16 = 7009;
    type Config = Config;
    type Error = StartError;

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

    async fn run(config: Config, runtime: Runtime, listener: TcpListener) -> Result<Ended, StartError> {
        let (store, residents, models) =
            Models::open(&config.models, &runtime).map_err(StartError::Models)?;
        let analyzers = Analyzers::of_store(&store, &residents, &config).map_err(StartError::Models)?;
        let server = Server::new(Self::NAME, &config.server).service(
            polyphony_chassis::server!(ModelServiceServer::new(models), &config.server.limits),
            models::FILE_DESCRIPTOR_SET,
        );
        serve(server, config, analyzers, runtime, listener).await
    }
}

/// Serves analysis with these models, besides what `server` serves already, until the runtime says stop.
///
/// It is ready at once: features need no model, and who asks for what does is told what is missing. Only with `preload`
/// is the model for pitch awaited.
///
/// # Errors
/// When the server cannot start.
pub async fn serve(
    server: Server,
    config: Config,
    analyzers: Analyzers,
    runtime: Runtime,
    listener: TcpListener,
) -> Result<Ended, StartError> {
    let limits = config.server.limits.clone();
    runtime.readiness.register(SERVICE);
    let watch = config.preload.then(|| {
        let guard = runtime.readiness.guard(SERVICE, "the default model for pitch");
        let awaited = analyzers.clone();
        tokio::spawn(await_ready(guard, move || {
            let analyzers = awaited.clone();
            async move {
                let loaded = analyzers.pitch("").await;
                loaded.map(drop).map_err(|fault| fault.to_string())
            }
        }))
    });
    if let Err(remedy) = analyzers.pitch_ready().await {
        tracing::warn!(%remedy, "features are served, pitch is not yet");
    }
    let service = Service::new(config, analyzers);
    let ended = server
        .readiness(&runtime.readiness)
        .admission(&runtime.admission)
        .service(
            polyphony_chassis::server!(AnalysisServiceServer::new(service), &limits),
            pb::FILE_DESCRIPTOR_SET,
        )
        .serve(listener, runtime.shutdown)
        .await;
    if let Some(watch) = watch {
        watch.abort();
    }
    ended.map_err(StartError::Serve)
}
