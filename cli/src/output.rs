//! What people see: results on standard output, everything else on standard error.

use std::error::Error;
use std::io::{self, IsTerminal, Write};

use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Prints a line of a result. A closed pipe (`| head`) ends the process quietly, as every Unix tool does.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(anyhow::Error::new(ClosedPipe)),
        other => Ok(other?),
    }
}

/// Prints a JSON object as one line.
pub(crate) fn object(value: &Value) -> anyhow::Result<()> {
    line(&value.to_string())
}

/// Prints a remark for a person; where nobody can read it, that is not worth an end.
pub(crate) fn remark(text: &str) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}

/// Whether somebody watches standard error.
pub(crate) fn is_watched() -> bool {
    io::stderr().is_terminal()
}

/// Prints why a command failed, in one line.
pub(crate) fn failure(error: &anyhow::Error, json: bool) {
    if error.is::<ClosedPipe>() {
        return;
    }
    let status = error.chain().find_map(|cause| cause.downcast_ref::<Status>());
    if json {
        let (code, reason) = status.map_or((None, None), |status| {
            (
                Some(format!("{:?}", status.code())),
                status.get_error_details().error_info().map(|i| i.reason.clone()),
            )
        });
        remark(&json!({ "error": describe(error), "code": code, "reason": reason }).to_string());
    } else {
        remark(&format!("polyphony: {}", describe(error)));
    }
}

/// Whether the connection broke, rather than that the mesh said no.
pub(crate) fn is_broken_connection(error: &anyhow::Error) -> bool {
    let status = error.chain().find_map(|cause| cause.downcast_ref::<Status>());
    status.is_some_and(|status| status.source().is_some())
}

/// The chain of causes as one sentence; a status from the mesh by its message, a refused connection with the remedy.
fn describe(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        if let Some(status) = cause.downcast_ref::<Status>() {
            if let Some(cause) = status.source() {
                // Not what the mesh said, but what became of the connection.
                parts.push(format!("the connection to the mesh broke ({})", root(cause)));
                break;
            }
            parts.push(match status.code() {
                Code::Ok | Code::Unknown if status.message().is_empty() => {
                    "the mesh gave no reason".to_owned()
                }
                code if status.message().is_empty() => code.description().to_owned(),
                _ => status.message().to_owned(),
            });
            break;
        }
        parts.push(cause.to_string());
    }
    parts.dedup();
    parts.join(": ")
}

/// The cause of all causes: what is above it only says that something failed.
pub(crate) fn root<'a>(mut error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    while let Some(cause) = error.source() {
        error = cause;
    }
    error
}

/// The reader of our standard output went away.
#[derive(Debug)]
pub(crate) struct ClosedPipe;

impl std::fmt::Display for ClosedPipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("standard output was closed")
    }
}

impl Error for ClosedPipe {}
