//! Retrieval as a program: from its configuration to the end of its drain.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use polyphony_chassis::accept::Ended;
use polyphony_chassis::config::ServerConfig;
use polyphony_chassis::models::Models;
use polyphony_chassis::{Program, Runtime, Server, connect};
use polyphony_config::{Dump, Layers};
use polyphony_error::Fault;
use polyphony_jobs::{Queue, Terms};
use polyphony_proto::rag::v1 as pb;
use polyphony_proto::rag::v1::rag_service_server::{RagServiceServer, SERVICE_NAME};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::clients::{Llm, Pages, Speech};
use crate::config::Config;
use crate::encoders::Encoders;
use crate::fetch::{Fetcher, Hosts};
use crate::grpc::Service;
use crate::ingestions::{self, Ingestions};
use crate::prepare::{Classifiers, Kinds, Preparer};
use crate::{Error, Store};

/// The program, for `polyphony_chassis::main` and for `polyphony up`.
#[derive(Debug)]
pub struct Rag;

/// To let go of an ingestion takes a write; a process that ends does not wait for it longer than this.
const PARTING: Duration = Duration::from_secs(5);

/// Retrieval cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store of models cannot be opened, or the server cannot serve.
    #[error(transparent)]
    Serve(#[from] polyphony_chassis::Error),
    /// The documents' store cannot be opened.
    #[error("cannot open the store of documents")]
    Store(#[source] Error),
    /// The queue of ingestions cannot be opened.
    #[error("cannot open the queue of ingestions")]
    Jobs(#[from] polyphony_jobs::Error),
    /// Another service has an address that is none.
    #[error("{key} cannot be used")]
    Endpoint {
        /// The key of the configuration.
        key: &'static str,
        /// What is wrong.
        #[source]
        source: connect::Error,
    },
    /// A key of the configuration cannot be used.
    #[error("cannot be configured so")]
    Config(#[source] Fault),
}

// === impl Rag ===

impl Program for Rag {
    const NAME: &'static str = "rag";
    const PORT: u16 = 7007;
    type Config = Config;
    type Error = StartError;

    fn read(layers: &Layers) -> Result<Config, polyphony_config::Error> {
        Config::read(layers)
    }

    fn dump<'a>(config: &Config, dump: Dump<'a>) -> Result<Dump<'a>, polyphony_config::Error> {
        dump.section("rag", config)?
            .section("models", &config.models)?
            .section("inference", &config.inference)?
            .section("jobs", &config.jobs)
    }

    fn server(config: &Config) -> &ServerConfig {
        &config.server
    }

    fn find_at(config: &mut Config, service: &str, addr: SocketAddr) {
        config.find_at(service, addr);
    }

    async fn run(config: Config, runtime: Runtime, listener: TcpListener) -> Result<Ended, StartError> {
        let (store, residents, models) = Models::open(&config.models, &runtime)?;
        let encoders =
            Encoders::of_store(&store, &residents, &config).map_err(polyphony_chassis::Error::from)?;
        let server = Server::new(Self::NAME, &config.server).models(models);
        serve(server, config, encoders, runtime, listener).await
    }
}

/// Serves retrieval with these models, besides what `server` serves already, until the runtime says stop.
///
/// # Errors
/// When the server cannot start.
pub async fn serve(
    server: Server,
    config: Config,
    encoders: Encoders,
    runtime: Runtime,
    listener: TcpListener,
) -> Result<Ended, StartError> {
    let refused = |(key, problem): (&'static str, String)| {
        StartError::Config(Fault::invalid(format!("rag.{key}"), problem))
    };
    let hosts = Hosts::parse(&config.uri_hosts, config.uri_http)
        .map_err(|wrong| refused(("uri_hosts", wrong.to_string())))?;
    let fetcher = Fetcher::new(hosts, config.uri_timeout.get());
    let endpoint = |key: &'static str, uri: &str| {
        let uri = uri.parse::<Uri>();
        uri.map_err(|error| refused((key, error.to_string())))
    };
    let broken = |key: &'static str| move |source| StartError::Endpoint { key, source };
    let llm_endpoint = endpoint("llm_endpoint", &config.llm_endpoint)?;
    let patience = config.answer.first_word_timeout.get();
    let llm = Llm::new(&llm_endpoint, &config.channel, patience).map_err(broken("rag.llm_endpoint"))?;
    let ocr_endpoint = endpoint("ocr_endpoint", &config.ocr_endpoint)?;
    let pages = Pages::new(&ocr_endpoint, &config.channel).map_err(broken("rag.ocr_endpoint"))?;
    let asr_endpoint = endpoint("asr_endpoint", &config.asr_endpoint)?;
    let speech = Speech::new(&asr_endpoint, &config.channel).map_err(broken("rag.asr_endpoint"))?;

    let classifiers = Classifiers::at(config.classifier().map_err(refused)?);
    let kinds = Kinds::new(classifiers, config.doc_types.clone());
    let preparer = Preparer::new(encoders.clone(), pages, speech, kinds);
    let queue = Queue::open(&config.jobs, terms(&config)).await?;
    let store = Store::open(config.clone(), Arc::new(encoders.clone()), Arc::new(preparer))
        .await
        .map_err(StartError::Store)?;

    let (awaited, looked_at, preload) = (encoders.clone(), store.clone(), config.preload);
    let ready = move || {
        let (encoders, store) = (awaited.clone(), looked_at.clone());
        async move {
            encoders.ready(preload).await?;
            store
                .check()
                .await
                .map_err(|error| Fault::from(error).to_string())
        }
    };
    let (operations, limits) = (runtime.residents.operations(), config.server.limits.clone());
    let ingestions = Ingestions::new(queue.clone());
    operations.tell_of(Arc::new(ingestions.clone()));
    let stop = CancellationToken::new();
    let largest = limits.max_send_message;
    let watching = tokio::spawn(ingestions::work(queue, store.clone(), largest, stop.clone()));
    let service = Service::new(config, store.clone(), encoders, llm, fetcher, ingestions);
    let ended = server
        .within(&runtime)
        .awaits(SERVICE_NAME, "an embedding model", ready)
        .service(
            polyphony_chassis::server!(RagServiceServer::new(service), &limits),
            pb::FILE_DESCRIPTOR_SET,
        )
        .operations(operations)
        .serve(listener, runtime.shutdown)
        .await;
    stop.cancel();
    if tokio::time::timeout(PARTING, watching).await.is_err() {
        tracing::warn!("an ingestion is watched no longer; the next start goes on with it");
    }
    // What waits is in the ledger; what runs may finish its step.
    store.close().await;
    Ok(ended?)
}

fn terms(config: &Config) -> Terms {
    Terms {
        service: Rag::NAME,
        // Nothing is attempted by them: they watch.
        max_attempts: 3,
        blame_losses: false,
        max_interruptions: None,
        // Documents go on without them, so a cancelled one is over when these are stopped.
        holder_stops: true,
        max_queue: config.max_operations,
        max_kept: config.max_operations,
        retention: Some(config.operation_retention.get()),
        lanes: ingestions::MOST_WATCHED,
        max_payload: ingestions::most_payload(config.max_documents),
        max_result: config.server.limits.max_send_message.as_usize(),
        drop_payload: true,
    }
}
