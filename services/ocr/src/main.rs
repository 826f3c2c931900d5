//! Text recognition as a process of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    polyphony_ocr::reader::run_if_asked().unwrap_or_else(polyphony_chassis::main::<polyphony_ocr::Ocr>)
}
