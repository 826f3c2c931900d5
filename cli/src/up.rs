//! `polyphony up`: every service in this process, each on its own loopback port, behind the gateway.
//!
//! The services stop after the gateway: while it drains, what is in flight still needs them.

mod ready;
mod service;

use std::process::ExitCode;
use std::time::Duration;

use polyphony_align::Align;
use polyphony_analysis::Analysis;
use polyphony_asr::Asr;
use polyphony_chassis::telemetry::{self, TelemetryConfig};
use polyphony_chassis::{Launch, Program, SECTIONS, SharedResidents, Shutdown};
use polyphony_config::{Dump, Layers, Sources};
use polyphony_diar::Diar;
use polyphony_gateway::Gateway;
use polyphony_llm_proxy::LlmProxy;
use polyphony_ocr::Ocr;
use polyphony_rag::Rag;
use polyphony_tts::Tts;
use polyphony_video_gen::VideoGen;

use crate::args::Up;
use crate::output;
use service::{Bound, Service};

/// Blocking work cannot be interrupted; nobody waits for it longer than this.
const THREAD_PATIENCE: Duration = Duration::from_millis(100);

/// The services that there are, in the order of their ports.
pub(crate) const SERVICES: [&str; 9] = [
    Asr::NAME,
    Align::NAME,
    Diar::NAME,
    LlmProxy::NAME,
    Tts::NAME,
    Ocr::NAME,
    Rag::NAME,
    VideoGen::NAME,
    Analysis::NAME,
];

/// The config of every part that is to run, read and checked.
struct Loaded {
    services: Vec<Box<dyn Service>>,
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
        services,
        gateway,
        telemetry,
        dump,
    } = loaded;
    let telemetry = telemetry::init(&telemetry, "polyphony")?;
    let signals = Shutdown::on_signals()?;
    let (shutdown, stop_services) = {
        let (trigger, shutdown) = Shutdown::manual();
        (shutdown, trigger)
    };

    let residents = SharedResidents::default();
    let mut bound: Vec<Bound> = Vec::new();
    for mut service in services {
        // Whom a service calls comes before it in the list.
        for other in &bound {
            service.find_at(other.name, other.address);
        }
        bound.push(service.bind(shutdown.clone(), &residents).await?);
    }
    let mut gateway = Launch::<Gateway>::bind(gateway, signals.clone()).await?;
    for name in SERVICES {
        match bound.iter().find(|service| service.name == name) {
            Some(service) => gateway.config_mut().find_at(name, service.address),
            None => gateway.config_mut().leave_out(name),
        }
    }
    let addresses = ready::Addresses {
        gateway: gateway.address()?,
        services: bound
            .iter()
            .map(|service| (service.name, service.address))
            .collect(),
    };

    let services = bound
        .into_iter()
        .map(|service| service.run(telemetry.metrics(), dump.clone()));
    let services = futures_util::future::try_join_all(services);
    let door = std::pin::pin!(gateway.run(telemetry.metrics(), dump));
    // The door ends last among those that wait for the signal; only then may the services behind it go.
    let door = async {
        let ended = door.await;
        stop_services.drain();
        ended.map_err(anyhow::Error::from)
    };
    let announce = async {
        tokio::select! {
            announced = ready::announce(&addresses, json) => announced,
            () = signals.asked() => Ok(()),
        }
    };
    tokio::try_join!(services, door, announce).map(drop)
}

// === impl Loaded ===

impl Loaded {
    fn read(args: &Up) -> Result<Self, polyphony_config::Error> {
        let sources = Sources::of_process(args.config.config.clone(), args.config.sets.clone());
        let layers = Layers::load(sources)?;
        layers.check_sections(&SECTIONS)?;
        let every = [
            service::read::<Asr>,
            service::read::<Align>,
            service::read::<Diar>,
            service::read::<LlmProxy>,
            service::read::<Tts>,
            service::read::<Ocr>,
            service::read::<Rag>,
            service::read::<VideoGen>,
            service::read::<Analysis>,
        ];
        let mut services = Vec::new();
        let mut dump = Dump::new(&layers);
        for (name, read) in SERVICES.into_iter().zip(every) {
            // A section is checked also where it is not used: what is wrong in it is wrong.
            let service = read(&layers)?;
            if args.only.is_empty() || args.only.iter().any(|only| only == name) {
                dump = service.dump(dump)?;
                services.push(service);
            }
        }
        let gateway = Gateway::read(&layers)?;
        let telemetry: TelemetryConfig = layers.section("telemetry")?;
        telemetry
            .check()
            .map_err(|error| layers.invalid("telemetry", error.to_string()))?;
        let dump = Gateway::dump(&gateway, dump)?
            .section("telemetry", &telemetry)?
            .finish();
        Ok(Self {
            services,
            gateway,
            telemetry,
            dump,
        })
    }
}
