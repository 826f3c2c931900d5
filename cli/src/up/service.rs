//! Programs of different types in one list: read, then bound to their port, then run.

use std::net::SocketAddr;

use futures_util::future::BoxFuture;
use polyphony_chassis::accept::Ended;
use polyphony_chassis::telemetry::Metrics;
use polyphony_chassis::{Launch, Program, SharedResidents, Shutdown};
use polyphony_config::{Dump, Layers};

/// A service whose configuration was read.
pub(super) trait Service: Send {
    /// Adds its sections to a dump.
    fn dump<'a>(&self, dump: Dump<'a>) -> Result<Dump<'a>, polyphony_config::Error>;

    /// Another service of this process is here.
    fn find_at(&mut self, service: &str, addr: SocketAddr);

    /// Opens its sockets. It serves until `shutdown`.
    fn bind(
        self: Box<Self>,
        shutdown: Shutdown,
        residents: &SharedResidents,
    ) -> BoxFuture<'static, anyhow::Result<Bound>>;
}

/// A service with its sockets open.
pub(super) struct Bound {
    pub(super) name: &'static str,
    pub(super) address: SocketAddr,
    run: Box<Run>,
}

type Run = dyn FnOnce(Metrics, String) -> BoxFuture<'static, anyhow::Result<Ended>> + Send;

/// A program's configuration.
struct Read<P: Program>(P::Config);

/// Reads and checks the sections of a program.
pub(super) fn read<P: Program>(layers: &Layers) -> Result<Box<dyn Service>, polyphony_config::Error> {
    Ok(Box::new(Read::<P>(P::read(layers)?)))
}

// === impl Bound ===

impl Bound {
    /// Serves until it is drained.
    pub(super) async fn run(self, metrics: Metrics, dump: String) -> anyhow::Result<Ended> {
        (self.run)(metrics, dump).await
    }
}

// === impl Read ===

impl<P: Program> Service for Read<P> {
    fn dump<'a>(&self, dump: Dump<'a>) -> Result<Dump<'a>, polyphony_config::Error> {
        P::dump(&self.0, dump)
    }

    fn find_at(&mut self, service: &str, addr: SocketAddr) {
        P::find_at(&mut self.0, service, addr);
    }

    fn bind(
        self: Box<Self>,
        shutdown: Shutdown,
        residents: &SharedResidents,
    ) -> BoxFuture<'static, anyhow::Result<Bound>> {
        let residents = residents.clone();
        Box::pin(async move {
            let launch = Launch::<P>::bind(self.0, shutdown).await?.sharing(&residents);
            Ok(Bound {
                name: P::NAME,
                address: launch.address()?,
                run: Box::new(|metrics, dump| Box::pin(async { Ok(launch.run(metrics, dump).await?) })),
            })
        })
    }
}
