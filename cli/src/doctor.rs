//! `polyphony doctor`: what this machine has, what is missing, and the command that mends it.
//!
//! It asks the same code that a service asks, so it cannot say yes where a service would say no. Exit code 1 when
//! something is missing without which a service cannot run.

mod checks;
mod matrix;

use std::process::ExitCode;

use polyphony_config::{Layers, Sources};
use serde_json::json;

use crate::args::Doctor;
use crate::output;

/// What was found out about one thing.
#[derive(Debug)]
struct Finding {
    verdict: Verdict,
    /// What was looked at.
    what: String,
    /// What there is.
    found: String,
    /// The command that mends it; empty: nothing to mend.
    remedy: String,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It is there and fits.
    Good,
    /// The mesh runs without it.
    Optional,
    /// A service cannot run.
    Missing,
}

pub(crate) fn run(args: &Doctor, as_json: bool) -> anyhow::Result<ExitCode> {
    let layers = Layers::load(Sources::of_process(
        args.config.config.clone(),
        args.config.sets.clone(),
    ))?;
    let video: polyphony_video_gen::Config = layers.section("video-gen")?;
    let findings = checks::all(
        &layers.section("inference")?,
        &layers.section("models")?,
        &video.worker,
    );
    for finding in &findings {
        if as_json {
            output::object(&finding.object())?;
        } else {
            output::line(&finding.text())?;
        }
    }
    if !as_json {
        output::line("")?;
        output::line(matrix::TEXT.trim_end())?;
    }
    let missing = findings.iter().any(|finding| finding.verdict == Verdict::Missing);
    Ok(if missing {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

// === impl Finding ===

impl Finding {
    fn good(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Good,
            what: what.into(),
            found: found.into(),
            remedy: String::new(),
        }
    }

    fn optional(what: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Optional,
            what: what.into(),
            found: found.into(),
            remedy: remedy.into(),
        }
    }

    fn missing(what: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Missing,
            what: what.into(),
            found: found.into(),
            remedy: remedy.into(),
        }
    }

    fn text(&self) -> String {
        let mark = match self.verdict {
            Verdict::Good => "ok     ",
            Verdict::Optional => "absent ",
            Verdict::Missing => "MISSING",
        };
        let mut text = format!("{mark}  {:24} {}", self.what, self.found);
        if !self.remedy.is_empty() {
            text.push_str(&format!("\n         {:24} mend: {}", "", self.remedy));
        }
        text
    }

    fn object(&self) -> serde_json::Value {
        let verdict = match self.verdict {
            Verdict::Good => "ok",
            Verdict::Optional => "absent",
            Verdict::Missing => "missing",
        };
        json!({ "verdict": verdict, "what": self.what, "found": self.found, "remedy": self.remedy })
    }
}
