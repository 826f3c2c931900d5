//! The video service as a process of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    polyphony_chassis::main::<polyphony_video_gen::VideoGen>()
}
