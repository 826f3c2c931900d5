//! The synthesiser as a program: from its configuration to the end of its drain.

use std::time::{Duration, SystemTime};

use polyphony_chassis::accept::Ended;
use polyphony_chassis::config::ServerConfig;
use polyphony_chassis::models::{Models, await_ready};
use polyphony_chassis::{Program, Runtime, Server};
use polyphony_config::{Dump, Layers};
use polyphony_proto::models::v1 as models;
use polyphony_proto::models::v1::model_service_server::ModelServiceServer;
use polyphony_proto::tts::v1 as pb;
use polyphony_proto::tts::v1::tts_service_server::TtsServiceServer;
use tokio::net::TcpListener;
use tokio::time;

use crate::config::Config;
use crate::grpc;
use crate::synthesizers::Synthesizers;
use crate::voices::storage::Storage;
use crate::voices::{self, Voices};

/// The program, for `polyphony_chassis::main` and for `polyphony up`.
#[derive(Debug)]
pub struct Tts;

/// The synthesiser cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The model store cannot be opened.
    #[error("cannot open the model store")]
    Models(#[source] polyphony_models::Error),
    /// The store of voices cannot be opened.
    #[error("cannot open the store of voices")]
    Voices(#[source] voices::Error),
    /// The server cannot serve.
    #[error("cannot serve")]
    Serve(#[source] polyphony_chassis::Error),
}

/// The full gRPC name, as readiness knows it.
const SERVICE: &str = "polyphony.tts.v1.TtsService";
/// How often voices are looked for whose time is over.
const SWEEP: Duration = Duration::from_secs(60);

// === impl Tts ===

impl Program for Tts {
    const NAME: &'static str = "tts";
    const PORT: u16 = 7005;
    type Config = Config;
    type Error = StartError;

    fn read(layers: &Layers) -> Result<Config, polyphony_config::Error> {
        Config::read(layers)
    }

    fn dump<'a>(config: &Config, dump: Dump<'a>) -> Result<Dump<'a>, polyphony_config::Error> {
        dump.section("tts", config)?
            .section("models", &config.models)?
            .section("inference", &config.inference)
    }

    fn server(config: &Config) -> &ServerConfig {
        &config.server
    }

    async fn run(config: Config, runtime: Runtime, listener: TcpListener) -> Result<Ended, StartError> {
        let (store, residents, models) =
            Models::open(&config.models, &runtime).map_err(StartError::Models)?;
        let synthesizers = Synthesizers::of_store(&store, residents, &config).map_err(StartError::Models)?;
        let storage =
            Storage::new(&config.voices, |name| std::env::var_os(name)).map_err(StartError::Voices)?;
        let server = Server::new(Self::NAME, &config.server).service(
            polyphony_chassis::server!(ModelServiceServer::new(models), &config.server.limits),
            models::FILE_DESCRIPTOR_SET,
        );
        serve(
            server,
            config,
            synthesizers,
            Voices::new(storage),
            runtime,
            listener,
        )
        .await
    }
}

/// Serves synthesis with these synthesisers, besides what `server` serves already, until the runtime says stop.
///
/// # Errors
/// When the server cannot start.
pub async fn serve(
    server: Server,
    config: Config,
    synthesizers: Synthesizers,
    voices: Voices,
    runtime: Runtime,
    listener: TcpListener,
) -> Result<Ended, StartError> {
    let limits = config.server.limits.clone();
    let guard = runtime.readiness.guard(SERVICE, "the default model");
    let (awaited, preload) = (synthesizers.clone(), config.preload);
    let watch = tokio::spawn(await_ready(guard, move || {
        let synthesizers = awaited.clone();
        async move {
            synthesizers.ready().await?;
            if preload {
                let loaded = synthesizers.acquire("", |_| true).await;
                loaded.map_err(|fault| fault.to_string())?;
            }
            Ok(())
        }
    }));
    let sweep = tokio::spawn(sweep(voices.clone()));
    let tts = grpc::Tts::new(config, synthesizers, voices);
    let ended = server
        .readiness(&runtime.readiness)
        .admission(&runtime.admission)
        .service(
            polyphony_chassis::server!(TtsServiceServer::new(tts), &limits),
            pb::FILE_DESCRIPTOR_SET,
        )
        .serve(listener, runtime.shutdown)
        .await;
    watch.abort();
    sweep.abort();
    ended.map_err(StartError::Serve)
}

/// Deletes voices whose time is over, as long as it runs.
async fn sweep(voices: Voices) {
    let mut ticks = time::interval(SWEEP);
    ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(fault) = voices.sweep(SystemTime::now()).await {
            tracing::warn!(error = %polyphony_error::chain(&fault), "voices whose time is over cannot be deleted");
        }
    }
}
