//! `polyphony` as a person or a script uses it, against a mesh of its own.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use polyphony_tests::{Mesh, binary, speech, speech_bytes, wav};

#[test]
fn the_command_line_prints_what_was_asked_for() {
    let mesh = Mesh::start();
    let (recording, said) = speech();
    let transcribe = |flags: &[&str]| {
        let output = Command::new(binary("polyphony"))
            .args(["transcribe", "--gateway", &mesh.url()])
            .args(flags)
            .arg(&recording)
            .output()
            .expect("polyphony starts");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    assert_eq!(transcribe(&[]).trim(), said);
    assert!(transcribe(&["--format", "vtt"]).starts_with("WEBVTT\n\n00:00:0"));
    let srt = transcribe(&["--stream", "--format", "srt"]);
    assert!(
        srt.starts_with("1\n00:00:0") && srt.contains(" --> ") && srt.contains(said),
        "{srt}"
    );
    let json: serde_json::Value =
        serde_json::from_str(transcribe(&["--json"]).trim()).expect("one JSON object");
    assert_eq!(
        json["words"].as_array().expect("words").len(),
        said.split(' ').count()
    );
}

#[test]
fn failures_are_one_clear_line() {
    let polyphony = |arguments: &[&str]| {
        let output = Command::new(binary("polyphony"))
            .args(arguments)
            .output()
            .expect("polyphony starts");
        let error = String::from_utf8(output.stderr).expect("UTF-8");
        (output.status.code(), error.trim().to_owned())
    };
    let recording = speech().0;
    let recording = recording.to_str().expect("UTF-8");
    let (code, error) = polyphony(&["transcribe", "--gateway", "http://127.0.0.1:1", recording]);
    assert_eq!(code, Some(1));
    assert!(
        error.contains("polyphony up") && error.lines().count() == 1,
        "{error}"
    );

    let (code, error) = polyphony(&["up", "--check", "--set", "asr.max_strems=3"]);
    assert_eq!(code, Some(64));
    assert!(
        error.contains("asr.max_strems") && error.contains("max_streams"),
        "{error}"
    );

    let mesh = Mesh::start_with(&["models.offline=true"]);
    let (code, error) = polyphony(&[
        "models",
        "pull",
        "onnx-community/whisper-tiny.en",
        "--gateway",
        &mesh.url(),
    ]);
    assert_eq!(code, Some(1));
    assert!(error.contains("offline") && error.lines().count() == 1, "{error}");
}

#[test]
fn an_interrupt_ends_the_input_and_what_was_said_is_still_written_down() {
    let mesh = Mesh::start();
    let mut polyphony = Command::new(binary("polyphony"))
        .args(["transcribe", "--stream", "--json", "--gateway", &mesh.url(), "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("polyphony starts");
    // The pipe stays open, as a microphone's does.
    let mut microphone = polyphony.stdin.take().expect("a pipe");
    microphone.write_all(&speech_bytes()).expect("it reads");
    let mut results = BufReader::new(polyphony.stdout.take().expect("a pipe")).lines();
    results.next().expect("an interim result").expect("UTF-8");

    let sent = Command::new("kill")
        .args(["-INT", &polyphony.id().to_string()])
        .status()
        .expect("kill runs");
    assert!(sent.success(), "it is gone already");
    let last = results.last().expect("more results").expect("UTF-8");
    let last: serde_json::Value = serde_json::from_str(&last).expect("JSON");
    assert_eq!(
        (last["final"].as_bool(), last["text"].as_str()),
        (Some(true), Some(speech().1))
    );
    assert_eq!(polyphony.wait().expect("it ends").code(), Some(130));
    drop(microphone);
}

#[test]
fn a_recording_longer_than_a_message_is_streamed_unasked() {
    let mesh = Mesh::start();
    let folder = tempfile::tempdir().expect("a folder");
    let recording = folder.path().join("long.wav");
    // Five minutes, ten million bytes.
    std::fs::write(&recording, wav(&vec![0; 10_000_000])).expect("written");
    let output = Command::new(binary("polyphony"))
        .args(["transcribe", "--json", "--gateway", &mesh.url()])
        .arg(&recording)
        .output()
        .expect("polyphony starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && output.stdout.is_empty(), "{said}");
}

#[test]
fn a_mesh_that_dies_in_the_middle_of_a_stream_is_one_clear_line() {
    let mesh = Mesh::start();
    let mut polyphony = Command::new(binary("polyphony"))
        .args(["transcribe", "--stream", "--json", "--gateway", &mesh.url(), "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("polyphony starts");
    let mut microphone = polyphony.stdin.take().expect("a pipe");
    microphone.write_all(&speech_bytes()).expect("it reads");
    let mut results = BufReader::new(polyphony.stdout.take().expect("a pipe")).lines();
    results.next().expect("an interim result").expect("UTF-8");
    drop(mesh);
    assert_eq!(polyphony.wait().expect("it ends").code(), Some(1));
    let log = BufReader::new(polyphony.stderr.take().expect("a pipe"));
    let said = log.lines().last().expect("a line").expect("UTF-8");
    let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    let error = said["error"].as_str().expect("a text");
    assert!(error.contains("the connection to the mesh broke"), "{error}");
    drop(microphone);
}
