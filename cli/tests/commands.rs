//! The commands that need no mesh: help, completions, doctor.

use serde_json::Value;

use crate::{Ended, Polyphony};

/// The names under `Commands:` in a help text.
fn subcommands(help: &str) -> impl Iterator<Item = &str> {
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
}

#[test]
fn every_command_explains_itself() {
    let mut left = vec![String::new()];
    let mut seen = Vec::new();
    while let Some(path) = left.pop() {
        let args: Vec<&str> = path.split_whitespace().chain(["--help"]).collect();
        let help = Polyphony::new(&args).run().printed();
        assert!(help.contains("Usage: polyphony"), "{path}: {help}");
        left.extend(subcommands(&help).map(|name| format!("{path} {name}").trim_start().to_owned()));
        seen.push(path);
    }
    for known in [
        "up",
        "transcribe",
        "models list",
        "models pull",
        "doctor",
        "completions",
    ] {
        assert!(
            seen.iter().any(|path| path == known),
            "{known} is not in {seen:?}"
        );
    }
}

#[test]
fn a_misspelt_command_is_refused_with_the_one_that_was_meant() {
    let said = Polyphony::new(&["transcibe", "a.wav"]).run().refusal();
    assert!(said.contains("'transcribe'"), "{said}");
    let said = Polyphony::new(&["up", "--chek"]).run().refusal();
    assert!(said.contains("'--check'"), "{said}");
}

#[test]
fn completions_name_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = Polyphony::new(&["completions", shell]).run().printed();
        let complete = script.contains("transcribe") && script.contains("--dump-config");
        assert!(
            complete || shell == "fish" && script.contains("-l dump-config"),
            "{shell}: {script}"
        );
    }
}

#[test]
fn a_reader_that_went_away_ends_a_command_without_a_word() {
    for args in [
        &["completions", "bash"][..],
        &["completions", "zsh"],
        &["up", "--dump-config"],
        &["doctor", "--json"],
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut polyphony = Polyphony::new(args);
        polyphony.command.stdout(writer);
        let Ended { code, stderr, .. } = polyphony.run();
        assert_eq!((code, stderr.as_str()), (Some(1), ""), "{args:?}");
    }
}

#[test]
fn nobody_who_reads_what_is_said_is_no_crash() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut polyphony = Polyphony::new(&["up", "--check", "--set", "gatway.listen=127.0.0.1:1"]);
    polyphony.command.stderr(writer);
    assert_eq!(polyphony.run().code, Some(64));
}

#[test]
fn a_service_that_there_is_not_is_refused_with_those_that_there_are() {
    let said = Polyphony::new(&["up", "--only", "asr,choir"]).run().refusal();
    assert!(
        said.contains("'choir'") && said.contains("[possible values: asr"),
        "{said}"
    );
}

#[test]
fn doctor_prints_one_json_object_a_line() {
    let doctor = Polyphony::new(&["doctor", "--json"]).run();
    assert_eq!(doctor.stderr, "");
    let findings: Vec<Value> = doctor
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    for what in ["ONNX Runtime", "libpocketsphinx", "video worker"] {
        let found = findings.iter().any(|finding| finding["what"] == what);
        assert!(found, "no {what} in {}", doctor.stdout);
    }
    let mut missing = false;
    for finding in &findings {
        match finding["verdict"].as_str() {
            Some("ok" | "absent") => {}
            Some("missing") => {
                missing = true;
                assert_ne!(finding["remedy"], "", "{finding}");
            }
            other => panic!("verdict {other:?} in {finding}"),
        }
    }
    assert_eq!(doctor.code, Some(i32::from(missing)), "{}", doctor.stdout);
}
