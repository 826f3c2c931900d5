//! The one way a process of the mesh starts and ends: flags, configuration, telemetry, signals, exit code.
//!
//! A program's `main` is `polyphony_chassis::main::<Asr>()`. `polyphony up` runs several [`Program`]s in one process by
//! calling [`Program::run`] itself. Exit codes: 0 after a drain, 1 when the start failed, 64 for flags or a configuration
//! that cannot be used (`EX_USAGE`).

mod flags;

use std::convert::Infallible;
use std::future::Future;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use polyphony_config::{Dump, Layers, Sources};
use polyphony_models::{ResidencyPolicy, Residents};
use tokio::net::TcpListener;

use crate::accept::Ended;
use crate::admin::Admin;
use crate::config::ServerConfig;
use crate::layers::admission::Admission;
use crate::operations::Operations;
use crate::readiness::Readiness;
use crate::shutdown::Shutdown;
use crate::telemetry::{self, Metrics, TelemetryConfig};
use flags::Flags;

/// A process of the mesh, apart from what all have in common.
pub trait Program: Sized + Send + 'static {
    /// Its one word: section of the configuration, name in logs, metrics and traces.
    const NAME: &'static str;
    /// The port it listens on unless told otherwise.
    const PORT: u16;
    /// What it is configured by: its own section, and the shared ones that it uses.
    type Config: Send + 'static;
    /// Why it cannot start.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Reads its sections, and checks the rules that their types cannot express.
    ///
    /// # Errors
    /// The first key whose value cannot be used.
    fn read(layers: &Layers) -> Result<Self::Config, polyphony_config::Error>;

    /// Adds its sections to a dump.
    ///
    /// # Errors
    /// When a section cannot be printed.
    fn dump<'a>(config: &Self::Config, dump: Dump<'a>) -> Result<Dump<'a>, polyphony_config::Error>;

    /// The part of its configuration that says how it is served.
    fn server(config: &Self::Config) -> &ServerConfig;

    /// In one process with others: the service of this name is here. Of interest to programs that call it, unless their
    /// configuration says where it is.
    fn find_at(_config: &mut Self::Config, _service: &str, _addr: SocketAddr) {}

    /// Builds the program and serves on `listener` until [`Runtime::shutdown`].
    ///
    /// # Errors
    /// When it cannot start. What fails later is a condition in [`Runtime::readiness`], or a call's own error.
    fn run(
        config: Self::Config,
        runtime: Runtime,
        listener: TcpListener,
    ) -> impl Future<Output = Result<Ended, Self::Error>> + Send;
}

/// A program with its sockets open, not yet serving.
#[derive(Debug)]
pub struct Launch<P: Program> {
    config: P::Config,
    runtime: Runtime,
    listener: TcpListener,
    admin: TcpListener,
}

/// What a program shares with the process around it. Clones share it too.
#[derive(Debug, Clone)]
pub struct Runtime {
    /// When to stop.
    pub shutdown: Shutdown,
    /// What is still awaited.
    pub readiness: Readiness,
    /// How much is taken on at once.
    pub admission: Admission,
    /// The models in memory.
    pub residents: SharedResidents,
}

/// What the programs of a process share: the models in memory, under one budget, and the long work, so that whoever
/// lists them sees all.
#[derive(Debug, Clone, Default)]
pub struct SharedResidents {
    residents: Arc<OnceLock<Residents>>,
    operations: Operations,
}

/// A process that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address that cannot be listened on.
    #[error("cannot listen on {addr}; give another address or stop what listens there")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Signals cannot be heard.
    #[error("cannot install the signal handlers")]
    Signals(#[source] io::Error),
    /// The threads of the process cannot be started.
    #[error("cannot start the runtime")]
    Threads(#[source] io::Error),
    /// Logs, traces or metrics cannot be set up.
    #[error("cannot set up telemetry")]
    Telemetry(#[source] telemetry::Error),
    /// The program says no.
    #[error("cannot start {name}")]
    Program {
        /// Its name.
        name: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The sections that one file for the whole mesh may have.
pub const SECTIONS: [&str; 16] = [
    "align",
    "analysis",
    "asr",
    "cli",
    "diar",
    "flow",
    "gateway",
    "inference",
    "jobs",
    "llm-proxy",
    "models",
    "ocr",
    "rag",
    "telemetry",
    "tts",
    "video-gen",
];
/// `EX_USAGE` of sysexits.h.
const USAGE: u8 = 64;
/// Blocking work cannot be interrupted; nobody waits for it longer than this.
const THREAD_PATIENCE: Duration = Duration::from_millis(100);

/// A configuration that was read and checked.
struct Loaded<P: Program> {
    program: P::Config,
    telemetry: TelemetryConfig,
    dump: String,
}

/// Runs the program as this process, from the command line to the exit code.
pub fn main<P: Program>() -> ExitCode {
    let flags = match Flags::parse(P::NAME) {
        Ok(flags) => flags,
        Err(error) => {
            // Help and version are errors to clap, and none to anybody else.
            let code = if error.use_stderr() { USAGE } else { 0 };
            drop(error.print());
            return ExitCode::from(code);
        }
    };
    let loaded = match Loaded::<P>::read(&flags) {
        Ok(loaded) => loaded,
        Err(error) => {
            say(
                io::stderr(),
                &format!("{}: {}", P::NAME, polyphony_error::chain(&error)),
            );
            return ExitCode::from(USAGE);
        }
    };
    if flags.dump_config {
        say(io::stdout(), &loaded.dump);
        return ExitCode::SUCCESS;
    }
    if flags.check {
        return ExitCode::SUCCESS;
    }
    match start(loaded) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            say(
                io::stderr(),
                &format!("{}: {}", P::NAME, polyphony_error::chain(&error)),
            );
            ExitCode::FAILURE
        }
    }
}

/// Listens on `addr`.
///
/// # Errors
/// When the address is taken or not ours.
async fn bind(addr: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(addr)
        .await
        .map_err(|source| StartError::Bind { addr, source })
}

fn start<P: Program>(loaded: Loaded<P>) -> Result<Ended, StartError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(StartError::Threads)?;
    let ended = runtime.block_on(live(loaded));
    runtime.shutdown_timeout(THREAD_PATIENCE);
    ended
}

/// From telemetry to the end of the drain.
async fn live<P: Program>(loaded: Loaded<P>) -> Result<Ended, StartError> {
    let telemetry = telemetry::init(&loaded.telemetry, P::NAME).map_err(StartError::Telemetry)?;
    let shutdown = Shutdown::on_signals().map_err(StartError::Signals)?;
    let launch = Launch::<P>::bind(loaded.program, shutdown).await?;
    launch.run(telemetry.metrics(), loaded.dump).await
}

fn readiness_in_words(readiness: &Readiness) -> impl Fn() -> Vec<String> + Send + Sync + 'static {
    let readiness = readiness.clone();
    move || {
        let awaited = readiness.not_ready().into_iter();
        let mut words: Vec<String> = awaited
            .map(|(service, what)| format!("{service}: {what}"))
            .collect();
        if readiness.is_starting() {
            words.push("the start of the program".to_owned());
        }
        if readiness.is_draining() {
            words.push("nothing, the process is draining".to_owned());
        }
        words
    }
}

/// Writes a line; a reader that went away does not matter.
fn say(mut to: impl Write, text: &str) {
    drop(writeln!(to, "{}", text.trim_end()));
}

// === impl Launch ===

impl<P: Program> Launch<P> {
    /// Opens the sockets of a program. It serves until `shutdown`.
    ///
    /// # Errors
    /// [`StartError::Bind`].
    pub async fn bind(config: P::Config, shutdown: Shutdown) -> Result<Self, StartError> {
        let server = P::server(&config);
        let runtime = Runtime::new(shutdown, server.limits.max_in_flight);
        let listener = bind(server.listen_or(P::PORT)).await?;
        let admin = bind(server.admin_or(P::PORT)).await?;
        Ok(Self {
            config,
            runtime,
            listener,
            admin,
        })
    }

    /// Lets it share the models in memory with other programs of the process.
    #[must_use]
    pub fn sharing(mut self, residents: &SharedResidents) -> Self {
        self.runtime.residents = residents.clone();
        self
    }

    /// Where it will answer.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What it still waits for.
    pub fn readiness(&self) -> &Readiness {
        &self.runtime.readiness
    }

    /// Its configuration, to be changed before it runs.
    pub fn config_mut(&mut self) -> &mut P::Config {
        &mut self.config
    }

    /// Serves, with the admin pages beside it, until the shutdown has drained it. `dump` is what `/configz` shows.
    ///
    /// # Errors
    /// [`StartError::Program`].
    pub async fn run(self, metrics: Metrics, dump: String) -> Result<Ended, StartError> {
        // The admin pages are there before the program is.
        self.runtime.readiness.starting();
        let awaited = readiness_in_words(&self.runtime.readiness);
        let admin = Admin::new(metrics, &self.runtime.readiness, awaited, dump)
            .serve(self.admin, std::future::pending());
        let program = P::run(self.config, self.runtime, self.listener);
        let never = async {
            admin.await;
            std::future::pending::<Infallible>().await
        };
        tokio::select! {
            // Boxed, for it holds all of the program.
            ended = Box::pin(program) => ended.map_err(|source| StartError::Program {
                name: P::NAME,
                source: Box::new(source),
            }),
            // The admin pages answer to the end, so that a drain can be watched.
            never = never => match never {},
        }
    }
}

// === impl Runtime ===

impl Runtime {
    /// A process that serves until `shutdown`, takes on so many calls at once, awaits nothing, and holds no model yet.
    pub fn new(shutdown: Shutdown, max_in_flight: usize) -> Self {
        Self {
            shutdown,
            readiness: Readiness::new(),
            admission: Admission::new(max_in_flight),
            residents: SharedResidents::default(),
        }
    }
}

// === impl SharedResidents ===

impl SharedResidents {
    /// The models in memory. The first program that asks decides on the policy; all read it from the same section.
    ///
    /// # Panics
    /// Outside of a tokio runtime, when it is the first.
    pub fn get(&self, policy: impl FnOnce() -> ResidencyPolicy) -> Residents {
        self.residents.get_or_init(|| Residents::new(policy())).clone()
    }

    /// The long work of the process, whichever of its programs does it.
    pub fn operations(&self) -> Operations {
        self.operations.clone()
    }
}

// === impl Loaded ===

impl<P: Program> Loaded<P> {
    fn read(flags: &Flags) -> Result<Self, polyphony_config::Error> {
        let sources = Sources::of_process(flags.config.clone(), flags.set.clone());
        let layers = Layers::load(sources)?;
        layers.check_sections(&SECTIONS)?;
        let program = P::read(&layers)?;
        let telemetry: TelemetryConfig = layers.section("telemetry")?;
        telemetry
            .check()
            .map_err(|error| layers.invalid("telemetry", error.to_string()))?;
        let dump = P::dump(&program, Dump::new(&layers))?.section("telemetry", &telemetry)?;
        Ok(Self {
            dump: dump.finish(),
            program,
            telemetry,
        })
    }
}
