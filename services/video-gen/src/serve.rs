//! The video service as a program: from its configuration to the end of its drain.

use std::sync::Arc;
use std::time::Duration;

use polyphony_chassis::accept::Ended;
use polyphony_chassis::config::ServerConfig;
use polyphony_chassis::models::Models;
use polyphony_chassis::operations::Lasting;
use polyphony_chassis::{Program, Runtime, Server};
use polyphony_config::{Dump, Layers};
use polyphony_error::Fault;
use polyphony_proto::video::v1 as pb;
use polyphony_proto::video::v1::video_service_server::{SERVICE_NAME, VideoServiceServer};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::engine::Engine;
use crate::error::Error;
use crate::grpc::{Making, Service};

/// The program, for `polyphony_chassis::main` and for `polyphony up`.
#[derive(Debug)]
pub struct VideoGen;

/// The video service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store of models cannot be opened, or the server cannot serve.
    #[error(transparent)]
    Serve(#[from] polyphony_chassis::Error),
    /// The queue cannot be opened.
    #[error("cannot open the queue of videos")]
    Engine(#[from] Error),
}

/// The worker lets go within a step; a process that ends does not wait for it longer than this, and kills it.
const PARTING: Duration = Duration::from_secs(10);

// === impl VideoGen ===

impl Program for VideoGen {
    const NAME: &'static str = "video-gen";
    const PORT: u16 = 7008;
    type Config = Config;
    type Error = StartError;

    fn read(layers: &Layers) -> Result<Config, polyphony_config::Error> {
        Config::read(layers)
    }

    fn dump<'a>(config: &Config, dump: Dump<'a>) -> Result<Dump<'a>, polyphony_config::Error> {
        dump.section("video-gen", config)?
            .section("models", &config.models)?
            .section("jobs", &config.jobs)
    }

    fn server(config: &Config) -> &ServerConfig {
        &config.server
    }

    async fn run(config: Config, runtime: Runtime, listener: TcpListener) -> Result<Ended, StartError> {
        let (store, residents, models) = Models::open(&config.models, &runtime)?;
        let (server, limits) = (config.server.clone(), config.server.limits.clone());
        let engine = Engine::open(config, store, residents).await?;
        let operations = runtime.residents.operations();
        let making: Lasting<Making> = Lasting::new(engine.queue().clone());
        operations.tell_of(Arc::new(making.clone()));
        let service = VideoServiceServer::new(Service::new(engine.clone(), making));
        let stop = CancellationToken::new();
        let running = {
            let (engine, stop) = (engine.clone(), stop.clone());
            tokio::spawn(async move { engine.run(stop).await })
        };
        let ended = Server::new(Self::NAME, &server)
            .within(&runtime)
            .models(models)
            // The rest of it needs no worker, and is served from the queue and the files without one.
            .method_awaits(SERVICE_NAME, "GenerateVideo", "the video worker", move || {
                let ready = engine.check_worker();
                async move { ready.map_err(|error| Fault::from(error).to_string()) }
            })
            .service(
                polyphony_chassis::server!(service, &limits),
                pb::FILE_DESCRIPTOR_SET,
            )
            .operations(operations)
            .serve(listener, runtime.shutdown)
            .await;
        stop.cancel();
        if tokio::time::timeout(PARTING, running).await.is_err() {
            tracing::warn!("a video is broken off; it is made anew after the next start");
        }
        Ok(ended?)
    }
}
