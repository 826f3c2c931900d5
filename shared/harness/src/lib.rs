//! A program of the mesh in a test of its own crate: on a port that nobody else has, and handed over when it serves.
//!
//! A dev-dependency only, and above the chassis; what knows nothing of ours is in `polyphony-testing`. It panics where a
//! library would return an error, for a test has nobody to hand one to.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::time::Duration;

use polyphony_chassis::accept::Ended;
use polyphony_chassis::{Program, Readiness, Runtime, Shutdown, Trigger};
use polyphony_config::{Layers, Sources};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;

/// A program that serves, until its trigger says stop or the test is over.
#[derive(Debug)]
pub struct Running {
    /// Where it answers.
    pub address: SocketAddr,
    /// What it waits for.
    pub readiness: Readiness,
    /// Stops it.
    pub trigger: Trigger,
    /// How it ended.
    pub ended: JoinHandle<Ended>,
}

/// Long for what takes a moment on a busy machine, short for what would never come.
const PATIENCE: Duration = Duration::from_secs(20);
/// Calls at once, far more than a test makes.
const MOST_CALLS: usize = 512;

/// The environment, and above it these settings, as flags would set them ("asr.workers=1"); no file.
///
/// # Panics
/// If a setting is none.
pub fn layers(settings: &[impl AsRef<str>]) -> Layers {
    let settings = settings
        .iter()
        .map(|setting| setting.as_ref().to_owned())
        .collect();
    let sources = Sources {
        search: Vec::new(),
        ..Sources::of_process(None, settings)
    };
    Layers::load(sources).expect("layers")
}

/// Runs a program with these settings until `service`, by its full gRPC name, serves.
///
/// # Panics
/// If the settings cannot be used, or it does not come to serve.
pub async fn program<P: Program>(service: &str, settings: &[impl AsRef<str>]) -> Running {
    let config = P::read(&layers(settings)).expect("a config");
    running(service, |runtime, listener| P::run(config, runtime, listener)).await
}

/// Runs a server of the test's own making until `service`, by its full gRPC name, serves.
///
/// # Panics
/// If it does not come to serve.
pub async fn running<F, E>(service: &str, run: impl FnOnce(Runtime, TcpListener) -> F) -> Running
where
    F: Future<Output = Result<Ended, E>> + Send + 'static,
    E: Debug,
{
    let (listener, address) = polyphony_testing::listener().await;
    let (trigger, shutdown) = Shutdown::manual();
    let runtime = Runtime::new(shutdown, MOST_CALLS);
    let readiness = runtime.readiness.clone();
    let run = run(runtime, listener);
    let ended = tokio::spawn(async move { run.await.expect("runs") });
    let serving = async {
        while readiness.is_serving(service) != Some(true) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    if timeout(PATIENCE, serving).await.is_err() {
        let awaited = readiness.not_ready();
        panic!("not ready: {awaited:?}; `make setup` installs what is missing");
    }
    Running {
        address,
        readiness,
        trigger,
        ended,
    }
}

// === impl Running ===

impl Running {
    /// A channel to it, in the clear.
    ///
    /// # Panics
    /// If it does not answer.
    pub async fn channel(&self) -> Channel {
        let uri = format!("http://{}", self.address);
        let channel = Channel::from_shared(uri).expect("a uri").connect().await;
        channel.expect("connects")
    }
}
