//! `polyphony up`: every service in this process, each on its own loopback port, behind the gateway.
//!
//! The services stop after the gateway: while it drains, what is in flight still needs them.

mod ready;

use std::process::ExitCode;
use std::time::Duration;

use polyphony_asr::Asr;
use polyphony_chassis::telemetry::{self, TelemetryConfig};
use polyphony_chassis::{Launch, Program, SECTIONS, Shutdown};
use polyphony_config::{Dump, Layers, Sources};
use polyphony_gateway::Gateway;

use crate::args::Up;
use crate::output;

/// Blocking work cannot be interrupted; nobody waits for it longer than this.
const THREAD_PATIENCE: Duration = Duration::from_millis(100);

/// The services that there are, in the order of their ports.
pub(crate) const SERVICES: [&str; 1] = [Asr::NAME];

/// The config of every part, read and checked.
struct Loaded {
    asr: <Asr as Program>::Config,
    gateway: <Gateway as Program>::Config,
    telemetry: TelemetryConfig,
    dump: String,
}

pub(crate) fn run(args: &Up, json: bool) -> anyhow::Result<ExitCode> {
    let loaded = Loaded::read(args)?;
    if args.dump_config {
        output::line(loaded.dump.trim_end())?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.check {
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(live(loaded, json));
    runtime.shutdown_timeout(THREAD_PATIENCE);
    ended.map(|()| ExitCode::SUCCESS)
}

async fn live(loaded: Loaded, json: bool) -> anyhow::Result<()> {
    let Loaded {
        asr,
        gateway,
        telemetry,
        dump,
    } = loaded;
    let telemetry = telemetry::init(&telemetry, "polyphony")?;
    let signals = Shutdown::on_signals()?;
    let (services, stop_services) = {
        let (trigger, shutdown) = Shutdown::manual();
        (shutdown, trigger)
    };

    let asr = Launch::<Asr>::bind(asr, services).await?;
    let mut gateway = Launch::<Gateway>::bind(gateway, signals.clone()).await?;
    let addresses = ready::Addresses {
        gateway: gateway.address()?,
        asr: asr.address()?,
    };
    gateway.config_mut().find_at(Asr::NAME, addresses.asr);

    let asr = asr.run(telemetry.metrics(), dump.clone());
    let door = gateway.run(telemetry.metrics(), dump);
    let (asr, door) = (std::pin::pin!(asr), std::pin::pin!(door));
    // The door ends last among those that wait for the signal; only then may the services behind it go.
    let door = async {
        let ended = door.await;
        stop_services.drain();
        ended
    };
    let announce = async {
        tokio::select! {
            announced = ready::announce(&addresses, json) => announced,
            () = signals.asked() => Ok(()),
        }
    };
    let (asr, door, announced) = tokio::try_join!(
        async { asr.await.map_err(anyhow::Error::from) },
        async { door.await.map_err(anyhow::Error::from) },
        announce,
    )?;
    let _: (_, _, ()) = (asr, door, announced);
    Ok(())
}

// === impl Loaded ===

impl Loaded {
    fn read(args: &Up) -> Result<Self, polyphony_config::Error> {
        let sources = Sources::of_process(args.config.config.clone(), args.config.sets.clone());
        let layers = Layers::load(sources)?;
        layers.check_sections(&SECTIONS)?;
        let asr = Asr::read(&layers)?;
        let gateway = Gateway::read(&layers)?;
        let telemetry: TelemetryConfig = layers.section("telemetry")?;
        telemetry
            .check()
            .map_err(|error| layers.invalid("telemetry", error.to_string()))?;
        let dump = Asr::dump(&asr, Dump::new(&layers))?;
        let dump = Gateway::dump(&gateway, dump)?
            .section("telemetry", &telemetry)?
            .finish();
        Ok(Self {
            asr,
            gateway,
            telemetry,
            dump,
        })
    }
}
