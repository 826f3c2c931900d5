//! The proxy as a process of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    polyphony_chassis::main::<polyphony_llm_proxy::LlmProxy>()
}
