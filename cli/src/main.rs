//! `polyphony`: run the mesh, talk to it, manage models.
//!
//! One file a command. Every command takes `--json` and `--gateway`, shows progress on a terminal and none in a pipe,
//! and exits non-zero with one clear line on failure: 64 for a wrong command line or config, 1 for everything else.

mod align;
mod args;
mod chat;
mod client;
mod diarize;
mod doctor;
mod models;
mod ocr;
mod output;
mod pitch;
mod rag;
mod say;
mod source;
mod stems;
mod transcribe;
mod up;
mod video;
mod whole_file;
mod wire;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::args::{Args, Command};

/// `EX_USAGE` of sysexits.h, as every process of the mesh answers a command line or config that cannot be used.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    // `up` opens documents in processes of this same program.
    if let Some(code) = polyphony_ocr::reader::run_if_asked() {
        return code;
    }
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
    let (mesh, json) = (&args.mesh, args.json);
    match args.command {
        Command::Up(up) => up::run(&up, json),
        Command::Transcribe(args) => client::call(mesh, transcribe::run(mesh, json, args)),
        Command::Align(args) => client::call(mesh, align::run(mesh, json, args)),
        Command::Diarize(args) => client::call(mesh, diarize::run(mesh, json, args)),
        Command::Say(args) => client::call(mesh, say::run(mesh, json, args)),
        Command::Ocr(args) => client::call(mesh, ocr::run(mesh, json, args)),
        Command::Rag(args) => client::call(mesh, rag::run(mesh, json, args)),
        Command::Chat(args) => client::call(mesh, chat::run(mesh, json, args)),
        Command::Pitch(args) => client::call(mesh, pitch::run(mesh, json, args)),
        Command::Stems(args) => client::call(mesh, stems::run(mesh, json, args)),
        Command::Video(args) => client::call(mesh, video::run(mesh, json, args)),
        Command::Models(models) => client::call(mesh, models::run(mesh, json, models)),
        Command::Doctor(doctor) => doctor::run(&doctor, json),
        Command::Completions { shell } => {
            // Not straight to standard output: the generator panics when that is closed.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "polyphony", &mut script);
            output::line(String::from_utf8(script)?.trim_end())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
