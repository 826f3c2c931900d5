//! The integration tests of this crate, in one binary so that they link once.

mod commands;
mod config;
mod local_pull;
mod mesh;
mod reference;

use std::process::{Command, Output};

/// A `polyphony` to which nothing but its arguments says anything: no variable of ours, an empty current folder, and
/// no models.
struct Polyphony {
    folder: tempfile::TempDir,
    command: Command,
}

/// How it ended.
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

// === impl Polyphony ===

impl Polyphony {
    fn new(args: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new(env!("CARGO_BIN_EXE_polyphony"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("POLYPHONY_") {
                command.env_remove(name);
            }
        }
        command
            .args(args)
            .current_dir(folder.path())
            .env("POLYPHONY_HOME", folder.path().join("home"));
        Self { folder, command }
    }

    /// With this `polyphony.toml` in the current folder.
    fn with_file(self, text: &str) -> Self {
        std::fs::write(self.folder.path().join("polyphony.toml"), text).expect("the file is written");
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    fn run(mut self) -> Ended {
        self.command.output().expect("polyphony runs").into()
    }
}

// === impl Ended ===

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

impl Ended {
    /// What a run that went well printed.
    fn printed(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self.stdout
    }

    /// What a run that was refused for its command line or config said.
    fn refusal(self) -> String {
        assert_eq!(self.code, Some(64), "{}{}", self.stdout, self.stderr);
        assert_eq!(self.stdout, "");
        self.stderr
    }
}
