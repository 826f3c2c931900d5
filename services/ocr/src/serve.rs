//! Text recognition as a program: from its configuration to the end of its drain.

use std::sync::Arc;
use std::time::Duration;

use polyphony_chassis::accept::Ended;
use polyphony_chassis::config::ServerConfig;
use polyphony_chassis::models::Models;
use polyphony_chassis::places::Places;
use polyphony_chassis::{Program, Runtime, Server};
use polyphony_config::{Dump, Layers};
use polyphony_jobs::{Queue, Terms};
use polyphony_proto::ocr::v1 as pb;
use polyphony_proto::ocr::v1::ocr_service_server::{OcrServiceServer, SERVICE_NAME};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::batch::{self, Batches};
use crate::config::Config;
use crate::engines::{self, Engines};
use crate::grpc::Service;
use crate::job::Tools;
use crate::reader::{NoProgram, Readers};

/// The program, for `polyphony_chassis::main` and for `polyphony up`.
#[derive(Debug)]
pub struct Ocr;

/// A page ends soon after it is told to; a process that ends does not wait for it longer than this.
const PARTING: Duration = Duration::from_secs(5);
/// What is kept of a batch besides its request.
const ENVELOPE: usize = 1 << 10;

/// Text recognition cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store of models cannot be opened, or the server cannot serve.
    #[error(transparent)]
    Serve(#[from] polyphony_chassis::Error),
    /// The queue of batches cannot be opened.
    #[error("cannot open the queue of batches")]
    Jobs(#[from] polyphony_jobs::Error),
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
            .section("inference", &config.inference)?
            .section("jobs", &config.jobs)
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
    let queue = Queue::open(&config.jobs, terms(&config)).await?;
    let batches = Batches::new(queue.clone());
    operations.tell_of(Arc::new(batches.clone()));
    let tools = Tools {
        readers,
        engines,
        places: Places::new("ocr", config.streams(), config.workers(), config.max_queue),
        max_pages: config.max_pages,
    };
    let stop = CancellationToken::new();
    let mut working = JoinSet::new();
    for _ in 0..config.workers() {
        let largest = limits.max_send_message;
        working.spawn(batch::work(queue.clone(), tools.clone(), largest, stop.clone()));
    }
    let ocr = OcrServiceServer::new(Service::new(config, tools, batches));
    let ended = server
        .within(&runtime)
        .awaits(SERVICE_NAME, "the default model", move || awaited.ready(preload))
        .service(polyphony_chassis::server!(ocr, &limits), pb::FILE_DESCRIPTOR_SET)
        .operations(operations)
        .serve(listener, runtime.shutdown)
        .await;
    stop.cancel();
    let parted = async { while working.join_next().await.is_some() {} };
    if tokio::time::timeout(PARTING, parted).await.is_err() {
        tracing::warn!("a batch is broken off; it is read anew after the next start");
    }
    Ok(ended?)
}

fn terms(config: &Config) -> Terms {
    let limits = &config.server.limits;
    Terms {
        service: Ocr::NAME,
        max_attempts: 3,
        // Batches are worked on in this process, so one that takes it along is to blame.
        blame_losses: true,
        max_interruptions: None,
        holder_stops: false,
        max_queue: config.max_operations,
        max_kept: config.max_operations,
        retention: Some(config.operation_retention.get()),
        lanes: config.workers(),
        max_payload: limits.receive().as_usize().saturating_add(ENVELOPE),
        max_result: limits.max_send_message.as_usize(),
        drop_payload: true,
    }
}
