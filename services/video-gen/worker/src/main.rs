//! The video worker as a process of its own. The service starts it and speaks with it by its standard input and output.

use std::env;
use std::io::{self, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use clap::{Parser, ValueEnum};
use polyphony_video_worker::device::Device;
use polyphony_video_worker::protocol::{self, Precision};
use polyphony_video_worker::studio::{self, Studio};
use polyphony_video_worker::{desk, prove};

/// Text to video on LibTorch. Commands come by standard input and events go out by standard output, JSON, a line each.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where to compute: "auto", "cpu", "cuda", "cuda:N".
    #[arg(long, default_value = "auto")]
    device: String,
    /// What numbers transformers are computed in; by default bf16 on a GPU, fp32 on a processor.
    #[arg(long, value_enum)]
    precision: Option<Width>,
    /// Threads of the processor; by default one for each core.
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..=1024))]
    threads: Option<i32>,
    /// Measure the device and exit: matmul, attention, conv3d, then a video of Wan 2.1 1.3B's size with random weights.
    #[arg(long)]
    prove: bool,
    /// With --prove: small sizes, for a processor.
    #[arg(long, requires = "prove")]
    toy: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Width {
    Bf16,
    Fp32,
}

/// How the threads of OpenMP wait for one another.
const WAIT_POLICY: &str = "OMP_WAIT_POLICY";

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    wait_patiently();
    if let Some(threads) = arguments.threads {
        tch::set_num_threads(threads);
    }
    let precision = arguments.precision.map(|width| match width {
        Width::Bf16 => Precision::Bf16,
        Width::Fp32 => Precision::Fp32,
    });
    let outcome = Device::find(&arguments.device, precision).and_then(|device| {
        if arguments.prove {
            prove::prove(device, arguments.toy, &mut io::stdout())
        } else {
            let studio = Studio::new(device)?;
            desk::work(BufReader::new(io::stdin()), io::stdout(), studio);
            Ok(())
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Who started it reads this; when nobody does, the exit code is all there is to say.
            drop(protocol::write(
                &mut io::stdout(),
                &studio::failed(None, None, &error),
            ));
            ExitCode::FAILURE
        }
    }
}

/// Begins anew with threads that sleep while they wait, unless the environment says how they shall. By default they spin,
/// which on a processor that others use too makes a video five times as long; and the library that has them reads its
/// environment as it is loaded, before this program begins.
fn wait_patiently() {
    if env::var_os(WAIT_POLICY).is_some() {
        return;
    }
    if let Ok(program) = env::current_exe() {
        // It returns only when it failed; then threads spin, and all else is as it should be.
        drop(
            Command::new(program)
                .args(env::args_os().skip(1))
                .env(WAIT_POLICY, "passive")
                .exec(),
        );
    }
}
