//! The same recording from clients in other languages, and from grpcurl, through the gateway.

use std::process::Command;

use polyphony_tests::{Mesh, binary, clients_python, grpcurl, node, repository, speech};
use serde_json::Value;

#[test]
fn every_client_reads_the_same_text() {
    let mesh = Mesh::start();
    let (recording, said) = speech();
    let clients = repository().join("tests/clients");

    let python = json(
        clients_python()
            .arg(clients.join("python/stream.py"))
            .arg(mesh.address())
            .arg(&recording),
    );
    let node = json(
        node()
            .arg(clients.join("node/stream.js"))
            .arg(mesh.address())
            .arg(&recording)
            .arg(repository().join("proto")),
    );
    let cli = text(
        Command::new(binary("polyphony"))
            .args(["transcribe", "--stream", "--gateway", &mesh.url()])
            .arg(&recording),
    );

    assert_eq!(python["final"], said);
    assert_eq!(node["final"], said);
    assert_eq!(cli.trim(), said);
    assert!(
        python["interim"].as_u64() > Some(0),
        "python saw no interim result: {python}"
    );
    assert!(
        node["interim"].as_u64() > Some(0),
        "node saw no interim result: {node}"
    );
}

#[test]
fn a_python_client_calls_every_service_by_the_address_alone() {
    let mesh = Mesh::start();
    let picture = repository().join("tests/fixtures/hello.png");
    let tour = json(
        clients_python()
            .arg(repository().join("tests/clients/python/tour.py"))
            .arg(mesh.address())
            .arg(picture),
    );
    let words = ["Go", "forward", "ten", "meters,", "then", "turn", "around."];
    assert_eq!(tour["alignedWords"], serde_json::json!(words), "{tour}");
    assert_eq!(
        tour["saidWords"].as_array().map(Vec::len),
        Some(words.len()),
        "{tour}"
    );
    // What was aligned is what was said: by the same voice, so nearly at the same times.
    let starts = |of: &str| -> Vec<f64> {
        let starts = tour[of].as_array().expect("starts");
        starts.iter().filter_map(Value::as_f64).collect()
    };
    for (said, aligned) in starts("saidStarts").into_iter().zip(starts("alignedStarts")) {
        assert!((said - aligned).abs() < 0.1, "{said} s and {aligned} s: {tour}");
    }
    assert_eq!(tour["speakers"], 1, "{tour}");
    let hertz = tour["voicedHertz"].as_f64().expect("a pitch");
    assert!((60.0..300.0).contains(&hertz), "{tour}");
    assert!(tour["lufs"].as_f64().is_some_and(|lufs| lufs < 0.0), "{tour}");
    let events: Vec<_> = tour["events"]
        .as_array()
        .expect("events")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(
        (events.first(), events.last()),
        (Some(&"ready"), Some(&"ended")),
        "{tour}"
    );
    assert!(events.contains(&"audio") && events.contains(&"marker"), "{tour}");
    assert!(
        tour["text"].as_str().is_some_and(|text| text.contains("Hello")),
        "{tour}"
    );
    let documents = &tour["documents"];
    assert_eq!(documents["ingested"], "JOB_STATE_SUCCEEDED", "{tour}");
    assert_eq!(documents["found"], "spaces/tour/documents/manual.md", "{tour}");
    let answer = documents["answer"].as_str().expect("an answer");
    assert!(answer.contains("Its battery lasts for three hours."), "{tour}");
    // No language model is up in a test, and that is said.
    assert_eq!(documents["degraded"], "NO_LANGUAGE_MODEL", "{tour}");
    assert_eq!(documents["quoteIsThere"], true, "{tour}");
}

#[test]
fn grpcurl_lists_and_calls_every_service() {
    let mesh = Mesh::start();
    let call = |arguments: &[&str]| {
        let (method, flags) = arguments.split_last().expect("a method");
        text(
            grpcurl()
                .arg("-plaintext")
                .args(flags)
                .arg(mesh.address())
                .arg(method),
        )
    };

    let services = call(&["list"]);
    let expected = [
        "google.longrunning.Operations",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "polyphony.align.v1.AlignService",
        "polyphony.analysis.v1.AnalysisService",
        "polyphony.asr.v1.AsrService",
        "polyphony.diar.v1.DiarService",
        "polyphony.llm.v1.LlmService",
        "polyphony.models.v1.ModelService",
        "polyphony.ocr.v1.OcrService",
        "polyphony.rag.v1.RagService",
        "polyphony.tts.v1.TtsService",
        "polyphony.video.v1.VideoService",
    ];
    assert_eq!(
        services.lines().collect::<Vec<_>>(),
        expected,
        "reflection lists what answers, and nothing else"
    );

    let described = call(&["describe"]);
    for service in expected {
        assert!(described.contains(service), "{service} is not described");
    }
    let has_health = |name: &&&str| !name.starts_with("grpc.");
    for service in expected.iter().filter(has_health) {
        let health = call(&[
            "-d",
            &format!("{{\"service\":\"{service}\"}}"),
            "grpc.health.v1.Health/Check",
        ]);
        assert!(
            health.contains("SERVING") && !health.contains("NOT_SERVING"),
            "{service}: {health}"
        );
    }
    let capabilities = call(&["polyphony.asr.v1.AsrService/GetCapabilities"]);
    assert!(
        capabilities.contains("pocketsphinx") && capabilities.contains("degraded"),
        "{capabilities}"
    );
    for (method, engine) in [
        ("polyphony.align.v1.AlignService/GetCapabilities", "dtw"),
        ("polyphony.diar.v1.DiarService/GetCapabilities", "ge2e"),
        ("polyphony.tts.v1.TtsService/GetCapabilities", "espeak"),
        ("polyphony.ocr.v1.OcrService/GetCapabilities", "ppocr"),
        ("polyphony.rag.v1.RagService/GetCapabilities", "all-MiniLM-L6-v2"),
        ("polyphony.analysis.v1.AnalysisService/GetCapabilities", "crepe"),
    ] {
        let capabilities = call(&[method]);
        assert!(capabilities.contains(engine), "{method}: {capabilities}");
    }
    assert!(call(&["polyphony.models.v1.ModelService/ListModels"]).contains("silero-vad"));
    assert_eq!(
        call(&["google.longrunning.Operations/ListOperations"]).trim(),
        "{}"
    );
}

fn json(command: &mut Command) -> Value {
    let text = text(command);
    serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{command:?} printed no JSON ({error}): {text}"))
}

fn text(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}
