//! The synthesiser as a program: from its configuration to the end of its drain.

use std::time::{Duration, SystemTime};

use polyphony_chassis::accept::Ended;
use polyphony_chassis::config::ServerConfig;
use polyphony_chassis::models::Models;
use polyphony_chassis::{Program, Runtime, Server};
use polyphony_config::{Dump, Layers};
use polyphony_proto::tts::v1 as pb;
use polyphony_proto::tts::v1::tts_service_server::{SERVICE_NAME, TtsServiceServer};
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
    /// The store of models cannot be opened, or the server cannot serve.
    #[error(transparent)]
    Serve(#[from] polyphony_chassis::Error),
    /// The store of voices cannot be opened.
    #[error("cannot open the store of voices")]
    Voices(#[source] voices::Error),
}

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
        let (store, residents, models) = Models::open(&config.models, &runtime)?;
        let synthesizers =
            Synthesizers::of_store(&store, residents, &config).map_err(polyphony_chassis::Error::from)?;
        let storage =
            Storage::new(&config.voices, |name| std::env::var_os(name)).map_err(StartError::Voices)?;
        let server = Server::new(Self::NAME, &config.server).models(models);
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
    let sweep = tokio::spawn(sweep(voices.clone()));
    let (awaited, preload) = (synthesizers.clone(), config.preload);
    let limits = config.server.limits.clone();
    let tts = TtsServiceServer::new(grpc::Tts::new(config, synthesizers, voices));
    let ended = server
        .within(&runtime)
        .awaits(SERVICE_NAME, "the default model", move || awaited.ready(preload))
        .service(polyphony_chassis::server!(tts, &limits), pb::FILE_DESCRIPTOR_SET)
        .serve(listener, runtime.shutdown)
        .await;
    sweep.abort();
    Ok(ended?)
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
