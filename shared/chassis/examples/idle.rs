//! The smallest process of the mesh: health, reflection, the admin pages, and a way to stop.

use std::process::ExitCode;

use polyphony_chassis::accept::Ended;
use polyphony_chassis::config::ServerConfig;
use polyphony_chassis::{Error, Program, Runtime, Server};
use polyphony_config::{Dump, Layers};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

/// A program that does nothing. It borrows the section of the last service to be built.
struct Idle;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    server: ServerConfig,
}

impl Program for Idle {
    const NAME: &'static str = "flow";
    const PORT: u16 = 7010;
    type Config = Config;
    type Error = Error;

    fn read(layers: &Layers) -> Result<Config, polyphony_config::Error> {
        layers.section(Self::NAME)
    }

    fn dump<'a>(config: &Config, dump: Dump<'a>) -> Result<Dump<'a>, polyphony_config::Error> {
        dump.section(Self::NAME, config)
    }

    fn server(config: &Config) -> &ServerConfig {
        &config.server
    }

    async fn run(config: Config, runtime: Runtime, listener: TcpListener) -> Result<Ended, Error> {
        let server = Server::new(Self::NAME, &config.server)
            .readiness(&runtime.readiness)
            .admission(&runtime.admission);
        server.serve(listener, runtime.shutdown).await
    }
}

fn main() -> ExitCode {
    polyphony_chassis::main::<Idle>()
}
