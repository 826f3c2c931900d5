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

/// `EX_USAGE` of sysexits.h, as every process of the mesh answers a command line or config that cannot be used.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help and version are errors to clap, and none to anybody else. A reader that went away does not matter.
            let code = if error.use_stderr() { USAGE } else { 0 };
            drop(error.print());
            return ExitCode::from(code);
        }
    };
    let json = args.json;
    match run(args) {
        Ok(code) => code,
        Err(error) => {
            output::failure(&error, json);
            if error.is::<polyphony_config::Error>() {
                ExitCode::from(USAGE)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Up(up) => up::run(&up, args.json),
        Command::Transcribe(transcribe) => {
            client::call(&args.mesh, transcribe::run(&args.mesh, args.json, transcribe))
        }
        Command::Models(models) => client::call(&args.mesh, models::run(&args.mesh, args.json, models)),
        Command::Doctor(doctor) => doctor::run(&doctor, args.json),
        Command::Completions { shell } => {
            // Not straight to standard output: the generator panics when that is closed.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "polyphony", &mut script);
            output::line(String::from_utf8(script)?.trim_end())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
