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
fn every_service_has_its_command() {
    let mesh = Mesh::start();
    let (recording, said) = speech();
    let recording = recording.to_str().expect("UTF-8");
    let at = |name: &str| mesh.folder().join(name).to_str().expect("UTF-8").to_owned();
    let polyphony = |arguments: &[&str]| {
        let output = Command::new(binary("polyphony"))
            .args(arguments)
            .args(["--gateway", &mesh.url()])
            .output()
            .expect("polyphony starts");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };

    let text = polyphony(&["align", recording, "--text", said]);
    let words: Vec<_> = text
        .lines()
        .filter_map(|line| line.split_whitespace().last())
        .collect();
    assert_eq!(words.join(" "), said, "{text}");
    let align = |format| polyphony(&["align", recording, "--text", said, "--format", format]);
    assert!(align("srt").contains(" --> "));
    assert!(align("vtt").starts_with("WEBVTT"));
    assert!(align("textgrid").starts_with("File type = \"ooTextFile\""));
    assert_eq!(align("ctm").lines().count(), said.split(' ').count());

    let rttm = polyphony(&["diarize", recording, "--format", "rttm"]);
    assert!(rttm.starts_with("SPEAKER go_forward 1 "), "{rttm}");

    let both = polyphony(&["transcribe", "--align", "--diarize", "--json", recording]);
    let line: serde_json::Value = serde_json::from_str(both.trim()).expect("one JSON object");
    assert_eq!(line["text"], said);
    assert_eq!(line["speaker"], "SPEAKER_00", "{line}");
    let words = line["words"].as_array().expect("words");
    assert_eq!(words.len(), said.split(' ').count());
    assert!(words.iter().all(|word| word["speaker"] == "SPEAKER_00"), "{line}");

    for (name, magic) in [
        ("a.wav", &b"RIFF"[..]),
        ("a.flac", b"fLaC"),
        ("a.opus", b"OggS"),
        ("a.mp3", b"\xff"),
    ] {
        polyphony(&["say", "Good morning.", "-o", &at(name)]);
        let sound = std::fs::read(at(name)).expect("the file is there");
        assert!(sound.starts_with(magic) && sound.len() > 1_000, "{name}");
    }
    let spoken = polyphony(&["say", "Good morning.", "--words", "-o", &at("b.wav")]);
    assert_eq!(spoken.lines().count(), 2, "{spoken}");
    assert!(polyphony(&["say", "--list-voices", "--language", "de"]).contains("voices/"));

    let pitch = polyphony(&["pitch", &at("a.wav")]);
    assert!(pitch.starts_with("time,frequency,periodicity\n0.000,"), "{pitch}");
    let voiced = pitch
        .lines()
        .skip(1)
        .filter(|line| !line.contains(",0.000,"))
        .count();
    assert!(voiced > 20, "{pitch}");

    let picture = polyphony_tests::repository().join("tests/fixtures/hello.png");
    let picture = picture.to_str().expect("UTF-8");
    assert!(polyphony(&["ocr", picture]).contains("Hello"));
    let hocr = polyphony(&["ocr", picture, "--format", "hocr"]);
    assert!(hocr.contains("ocrx_word") && hocr.contains("Hello"), "{hocr}");
}

#[test]
fn documents_are_taken_in_found_asked_kept_and_deleted() {
    let mesh = Mesh::start();
    let folder = mesh.folder().join("handbooks");
    std::fs::create_dir_all(folder.join(".git")).expect("a folder");
    let wings = "# Wings\n\nThe wing of the Heron stalls at an angle of 14 degrees.\n";
    for (name, bytes) in [
        ("wings.md", wings.as_bytes()),
        ("engine.txt", b"The engine of the Heron weighs 900 kilograms."),
        ("table.csv", b"part,material\nwing,spruce\n"),
        ("data.bin", b"\0\x01\x02"),
        (".git/config", b"[core]"),
    ] {
        std::fs::write(folder.join(name), bytes).expect("written");
    }
    let picture = polyphony_tests::repository().join("tests/fixtures/hello.png");
    std::fs::copy(picture, folder.join("hello.png")).expect("copied");
    let run = |arguments: &[&str]| {
        Command::new(binary("polyphony"))
            .args(["rag", "--gateway", &mesh.url()])
            .args(arguments)
            .current_dir(mesh.folder())
            .output()
            .expect("polyphony starts")
    };
    let rag = |arguments: &[&str]| {
        let output = run(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };

    let taken = rag(&["ingest", "handbooks"]);
    assert_eq!(
        taken.trim(),
        "4 taken into \"default\", 0 there already, 0 failed, 1 skipped"
    );
    // Again, and only what changed is sent.
    std::fs::write(
        folder.join("engine.txt"),
        "The engine of the Heron weighs 950 kilograms.",
    )
    .expect("written");
    let again = rag(&["ingest", "handbooks"]);
    assert_eq!(
        again.trim(),
        "1 taken into \"default\", 3 there already, 0 failed, 1 skipped"
    );

    let found = rag(&["search", "wing stall angle"]);
    assert!(found.starts_with("1. handbooks/wings.md, line "), "{found}");
    let line: serde_json::Value =
        serde_json::from_str(rag(&["search", "Hello", "--json", "--top", "1"]).trim())
            .expect("one JSON object");
    assert_eq!(
        line["anchor"]["page"], 1,
        "read by the ocr service of the same mesh: {line}"
    );

    let answer = rag(&["ask", "At which angle does the wing of the Heron stall?"]);
    assert!(
        answer.starts_with("The wing of the Heron stalls at an angle of 14 degrees."),
        "{answer}"
    );
    assert!(
        answer.contains("[1] handbooks/wings.md, line 3: \"The wing"),
        "{answer}"
    );

    let documents = rag(&["documents"]);
    assert_eq!(documents.lines().count(), 4, "{documents}");
    let archive = mesh.folder().join("a.archive");
    let archive = archive.to_str().expect("UTF-8");
    rag(&["export", "-o", archive]);
    rag(&["import", archive, "--as", "copy"]);
    assert!(rag(&["--space", "copy", "search", "spruce"]).contains("handbooks/table.csv"));
    assert!(rag(&["spaces"]).lines().any(|line| line.starts_with("copy ")));
    let wings = documents
        .lines()
        .find(|line| line.starts_with("wings.md"))
        .expect("it is listed");
    rag(&["delete", wings.split_whitespace().next().expect("an id")]);
    assert_eq!(rag(&["documents"]).lines().count(), 3);
    let refused = run(&["spaces", "delete", "copy"]);
    let error = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1));
    assert!(error.contains("force") && error.lines().count() == 1, "{error}");
    rag(&["spaces", "delete", "copy", "--force"]);
}

#[test]
fn what_needs_a_model_that_is_not_there_says_how_to_get_it() {
    let mesh = Mesh::start();
    let output = Command::new(binary("polyphony"))
        .args(["stems", "--gateway", &mesh.url(), "-o"])
        .arg(mesh.folder().join("stems"))
        .arg(speech().0)
        .output()
        .expect("polyphony starts");
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(
        error.contains("polyphony models list") && error.lines().count() == 1,
        "{error}"
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
