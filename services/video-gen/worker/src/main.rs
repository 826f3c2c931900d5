//! The video worker as a process of its own. The service starts it and speaks with it by its standard input and output.

use std::io::{self, BufReader};
use std::process::ExitCode;

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

fn main() -> ExitCode {
    let arguments = Arguments::parse();
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
            desk::work(BufReader::new(io::stdin()), io::stdout(), Studio::new(device));
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
