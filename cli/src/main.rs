//! `polyphony`: run the mesh, talk to it, manage models.
//!
//! One file a command. Every command takes `--json` and `--gateway`, shows progress on a terminal and none in a pipe,
//! and exits non-zero with one clear line on failure: 64 for a wrong command line or config, 1 for everything else.

mod args;
mod client;
mod doctor;
mod models;
mod output;
mod transcribe;
mod up;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::args::{Args, Command};

fn main() -> ExitCode {
    let args = Args::parse();
    let json = args.json;
    match run(args) {
        Ok(code) => code,
        Err(error) => {
            output::failure(&error, json);
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Up(up) => up::run(&up, args.json),
        Command::Transcribe(transcribe) => {
            client::block_on(async { transcribe::run(&args.gateway, args.json, transcribe).await })
        }
        Command::Models(models) => {
            client::block_on(async { models::run(&args.gateway, args.json, models).await })
        }
        Command::Doctor(doctor) => doctor::run(&doctor, args.json),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Args::command(), "polyphony", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    }
}
